"""Labelled clips: real composites and generated scenes."""

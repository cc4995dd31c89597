"""Scores: a network over labelled data, or stored masks against stored truth."""

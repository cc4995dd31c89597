"""Stored masks of every kind of file, and which of them belong together."""

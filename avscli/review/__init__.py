"""Runs that a person looks over: what was decided, and the runs that come of it."""

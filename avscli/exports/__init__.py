"""Finished runs, and masks corrected elsewhere, in the formats of other tools."""

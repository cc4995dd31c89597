"""Measures of masks and of what a network says about itself: pure functions and sums."""

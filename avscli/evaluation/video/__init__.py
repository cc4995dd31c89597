"""Real video against labels by the second: what `avs segment` would mark in each of them."""

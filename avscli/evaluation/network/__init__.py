"""A network over data sets: opening them, running it, and the same with other sounds."""

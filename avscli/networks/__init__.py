"""The AVS networks."""

"""What training has to know about single networks, and what holds for all others."""

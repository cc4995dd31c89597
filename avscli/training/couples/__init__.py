"""Training on couples: one picture, two sounds, one frame each; so the shipped weights are made."""

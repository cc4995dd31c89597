"""Picture and sound encoders that the networks share."""

"""Pure waveform maths."""

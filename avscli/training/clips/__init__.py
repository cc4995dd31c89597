"""Training on labelled clips of T steps: AVSBench as published, and sets laid out like it."""

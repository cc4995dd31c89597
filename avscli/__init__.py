"""Audio-visual segmentation of any video."""

__version__ = "0.1.0"

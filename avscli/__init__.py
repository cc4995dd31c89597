"""Audio-visual segmentation of any video: mark what makes the sound, pixel by pixel.

>>> import avscli
>>> for frame in avscli.segment("clip.mp4"):  # doctest: +SKIP
...     for each in frame.objects:
...         print(frame.stamp.pts_seconds, each.track_category, frame.mask_of(each.track_id).sum())
>>> run = avscli.Run.open("avs_out/clip.mp4")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avscli.checkpoints import load_network
    from avscli.outputs.run import Run
    from avscli.pipeline import segment

__version__ = "0.1.0"
__all__ = ["Run", "__version__", "load_network", "segment"]

# Read on demand: importing avscli must not import torch.
_HOMES = {
    "load_network": "avscli.checkpoints",
    "segment": "avscli.pipeline",
    "Run": "avscli.outputs.run",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'avscli' has no attribute {name!r}")

"""Frames as label maps: one number per pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from avscli.masks import decode_mask, palette
from avscli.media.stills import png_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from avscli.exports.video import MarkedFrame, MarkedObject, MarkedVideo
    from avscli.masks import LabelMap


class LabelMaps:
    """Draws the frames of one video, and counts those in which masks lie on one another.

    Args:
        video: whose frames are drawn.
        number_of: gives the number of an object, 1 … 254.
    """

    def __init__(self, video: MarkedVideo, number_of: Callable[[MarkedObject], int]) -> None:
        self._video, self._number_of = video, number_of
        self._colours = palette(256)
        self._num_overlapping = 0

    def of(self, frame: MarkedFrame) -> LabelMap:
        """Return [H, W] uint8, 0 where nothing is marked; later objects hide earlier ones."""
        labels = np.zeros(self._video.size_hw, np.uint8)
        overlaps = False
        for each in frame.objects:
            mask = decode_mask(each.mask.size_hw, each.mask.counts)
            overlaps |= bool(labels[mask].any())
            labels[mask] = self._number_of(each)
        self._num_overlapping += overlaps
        return labels

    def write(self, frame: MarkedFrame, path: Path) -> None:
        """Write a frame as a palette PNG."""
        path.write_bytes(png_bytes(self.of(frame), self._colours))

    def tell(self, on_note: Callable[[str], None]) -> None:
        """Tell of pixels that had two masks."""
        if self._num_overlapping:
            on_note(
                f"{self._video.name}: masks lie on one another in {self._num_overlapping} frames; "
                "a label map shows the last one"
            )

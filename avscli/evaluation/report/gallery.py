"""The clips that went worst, as strips of pictures small enough to keep."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from avscli.outputs.strip import strip_jpeg

if TYPE_CHECKING:
    from avscli.evaluation.clips import JudgedClip

NUM_WORST = 8
MOST_FRAMES = 5


@dataclass(frozen=True, slots=True)
class Strip:
    """Frames with what is right and wrong in them, for the page.

    Attributes:
        caption: where they are from and how bad they are.
        jpeg: the frames side by side.
    """

    caption: str
    jpeg: bytes


@dataclass(frozen=True, slots=True, order=True)
class WorstClip:
    """One of the clips with the least IoU; the better one is the smaller.

    Attributes:
        minus_iou: the negative of its IoU.
        clip_id: its name.
        jpeg: its first frames side by side.
    """

    minus_iou: float
    clip_id: str
    jpeg: bytes

    @property
    def strip(self) -> Strip:
        """What the page shows of it."""
        return Strip(f"{self.clip_id}: IoU {-self.minus_iou:.3f}", self.jpeg)


class Gallery:
    """Keeps the worst clips seen so far; memory does not grow with their number."""

    def __init__(self) -> None:
        self._heap: list[WorstClip] = []

    def add(self, clip: JudgedClip, mean_iou: float | None) -> None:
        """Look at a clip, or the next part of one; those in which nothing sounds do not count.

        Args:
            clip: its first frames are shown.
            mean_iou: of all its parts up to this one.
        """
        if mean_iou is None:
            return
        for place, kept in enumerate(self._heap):
            if kept.clip_id == clip.clip_id:
                self._heap[place] = replace(kept, minus_iou=-mean_iou)
                heapq.heapify(self._heap)
                return
        if len(self._heap) == NUM_WORST and -mean_iou <= self._heap[0].minus_iou:
            return
        steps = clip.labelled.nonzero()[0][:MOST_FRAMES]
        pictures = None if clip.pictures is None else clip.pictures[steps]
        jpeg = strip_jpeg(clip.labels[steps] > 0, clip.targets[steps], pictures)
        heapq.heappush(self._heap, WorstClip(-mean_iou, clip.clip_id, jpeg))
        if len(self._heap) > NUM_WORST:
            heapq.heappop(self._heap)

    def worst(self) -> list[WorstClip]:
        """Return the worst clips, the very worst first."""
        return sorted(self._heap, reverse=True)

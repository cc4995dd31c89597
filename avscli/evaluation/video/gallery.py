"""The seconds that went worst; their pictures are read once all are known."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from avscli.evaluation.report.gallery import NUM_WORST, Strip
from avscli.media.fallback import probed
from avscli.media.frames import upright_picture
from avscli.metrics.overlap import EMPTY_SHARE
from avscli.outputs.strip import strip_jpeg

if TYPE_CHECKING:
    from avscli.datasets.labelled_video import LabelledVideo
    from avscli.evaluation.video.seconds import JudgedSecond, Shown


@dataclass(frozen=True, slots=True, order=True)
class _Kept:
    """A second worth showing; the better one is the smaller."""

    badness: float
    place: int  # of the second in the evaluation: later ones give way to earlier ones
    caption: str = field(compare=False)
    video: LabelledVideo = field(compare=False)
    shown: Shown = field(compare=False)


class SecondsGallery:
    """Keeps the worst seconds with a mask, and the most marked in which nothing visible sounds."""

    def __init__(self) -> None:
        self._least_iou: list[_Kept] = []
        self._most_marked: list[_Kept] = []
        self._num_seen = 0

    def add(self, video: LabelledVideo, second: JudgedSecond) -> None:
        """Look at a second; only those that show something wrong count."""
        self._num_seen += 1
        shown, place = second.shown, f"{video.clip_id}, second {second.label.second}"
        if shown is None:
            return
        if second.overlap is not None:
            iou = second.overlap.iou
            kept = _Kept(-iou, -self._num_seen, f"{place}: IoU {iou:.3f}", video, shown)
            _push(self._least_iou, kept)
            return
        share = float(shown.mask.mean())
        if share >= EMPTY_SHARE:
            told = f"{place}, {second.label.state}: {share:.0%} of the frame marked"
            _push(self._most_marked, _Kept(share, -self._num_seen, told, video, shown))

    def strips(self) -> list[Strip]:
        """Read the frames again and draw what is right and wrong in them, the worst first.

        Raises:
            MediaError: a video cannot be read any more.
        """
        worst = [
            *sorted(self._least_iou, reverse=True),
            *sorted(self._most_marked, reverse=True),
        ]
        return [Strip(kept.caption, _jpeg(kept)) for kept in worst]


def _push(heap: list[_Kept], kept: _Kept) -> None:
    heapq.heappush(heap, kept)
    if len(heap) > NUM_WORST:
        heapq.heappop(heap)


def _jpeg(kept: _Kept) -> bytes:
    with probed(kept.video.path) as media:
        picture = upright_picture(media, kept.shown.index)
    targets = kept.shown.truth.astype(np.uint8)
    return strip_jpeg(kept.shown.mask[None], targets[None], picture[None])

"""Whether what was scored can be what was meant: how much of it there was, and which way round."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from avscli.datatypes import VOID
from avscli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from avscli.evaluation.clips import JudgedClip

_LEAST_SCORED = 0.01  # share of pixels that are not void
_MOST_MARKED = 0.5  # things that sound rarely fill half of all frames; the background does


class Plausibility:
    """Adds up what passes by, and judges it at the end.

    Args:
        may_be_inverted: by side, ``predictions`` and ``truth``: whether nothing but the user's word
            tells marked from unmarked, as in black-and-white pictures.
    """

    def __init__(self, *, predictions: bool, truth: bool) -> None:
        self._may_be_inverted = {"predictions": predictions, "truth": truth}
        self._pixels = self._scored = 0
        self._marked = {"predictions": 0, "truth": 0}
        self._ious: list[float] = []
        # One side as it is against the other one's negative, by the side that is turned.
        self._ious_of_negative: dict[str, list[float]] = {"predictions": [], "truth": []}

    def watch(self, clips: Iterator[JudgedClip]) -> Iterator[JudgedClip]:
        """Pass clips on, adding them up."""
        for clip in clips:
            for labels, target in zip(clip.labels, clip.targets, strict=True):
                scored = target != VOID
                truth, marked = (target > 0) & scored, (labels > 0) & scored
                num_scored, num_true, num_marked, num_both = (
                    int(np.count_nonzero(mask)) for mask in (scored, truth, marked, truth & marked)
                )
                self._pixels += target.size
                self._scored += num_scored
                self._marked["predictions"] += num_marked
                self._marked["truth"] += num_true
                if num_true:
                    missed, false = num_true - num_both, num_marked - num_both
                    self._ious.append(num_both / (num_true + false))
                    self._ious_of_negative["truth"].append(false / max(1, num_scored - missed))
                    unmarked_or_true = num_scored - num_marked + num_both
                    self._ious_of_negative["predictions"].append(missed / unmarked_or_true)
            yield clip

    def require(self, on_warning: Callable[[str], None]) -> None:
        """Judge what passed by.

        Raises:
            DataError: next to nothing was scored, or one side is the other one's negative.
        """
        void = self._pixels - self._scored
        if self._scored < _LEAST_SCORED * self._pixels or (void and not self._marked["truth"]):
            raise DataError(
                f"nothing was scored: {void} of {self._pixels} pixels of the truth are void, and "
                f"{self._marked['truth']} are marked",
                hint="void are 255 in label maps and iscrowd in COCO files; --gt-marked crowds "
                "takes crowds for things",
            )
        for side, count in self._marked.items():
            option = "--gt-marked" if side == "truth" else "--pred-marked"
            share = count / self._scored
            if not count:
                on_warning(f"of the {side}, nothing in any frame is marked")
            elif share > _MOST_MARKED and self._may_be_inverted[side]:
                self._judge_negative(side, share, option, on_warning)

    def _judge_negative(
        self, side: str, share: float, option: str, on_warning: Callable[[str], None]
    ) -> None:
        told = f"{share:.0%} of the {side} are marked"
        ious = (self._ious, self._ious_of_negative[side])
        iou, iou_of_negative = (float(np.mean(each)) if each else 0.0 for each in ious)
        if iou < _MOST_MARKED < iou_of_negative:
            raise DataError(
                f"{told}, and the other side marks what they leave out (IoU "
                f"{iou_of_negative:.2f}, as they are {iou:.2f}): inverted?",
                hint=f"{option} black if black is what is marked, {option} white if not",
            )
        on_warning(f"{told}: if they are inverted, say so with {option} black")

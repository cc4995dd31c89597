"""Masks at 255 thresholds at once: one histogram instead of one mask per threshold.

A pixel of probability p is marked at every threshold up to p. So it is enough to know, per pixel,
the last threshold that marks it; counting backwards from the highest gives the marked pixels of
every threshold, exactly as comparing 255 times would.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUM_THRESHOLDS = 255
BETA_SQUARED = 0.3
# torch's own rounding, since the published masks are compared with it; the last one is 1.0.
THRESHOLDS: NDArray[np.float32] = torch.linspace(0, 1 - 1e-10, NUM_THRESHOLDS).numpy()
_NEXT = np.append(THRESHOLDS[1:], np.float32(np.inf))


@dataclass(frozen=True, slots=True, eq=False)
class ThresholdCounts:
    """Pixels of one frame at each of `THRESHOLDS`.

    Attributes:
        hits: [255] int64 pixels marked and true.
        marked: [255] int64 pixels marked.
        true: true pixels.
    """

    hits: NDArray[np.int64]
    marked: NDArray[np.int64]
    true: int

    def f_scores(self, beta_squared: float = BETA_SQUARED) -> NDArray[np.float64]:
        """Return [255] the F-score at each threshold, 0 where nothing is hit."""
        hit = (1.0 + beta_squared) * self.hits
        # Summed so that a perfect mask scores 1 exactly.
        total = hit + beta_squared * (self.true - self.hits) + (self.marked - self.hits)
        with np.errstate(invalid="ignore"):  # nothing true and nothing marked
            scores: NDArray[np.float64] = np.nan_to_num(hit / total, nan=0.0)
        return scores


def last_thresholds(probability: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return, per pixel, the index of the highest of `THRESHOLDS` that is not above it.

    Args:
        probability: [H, W] float32 in 0 … 1.

    Returns:
        [H, W] uint8.
    """
    place = (probability * np.float32(NUM_THRESHOLDS - 1)).astype(np.uint8)
    # The product is rounded, so the neighbour may be the right one.
    place += probability >= np.take(_NEXT, place)
    place -= probability < np.take(THRESHOLDS, place)
    return place


def count_at_thresholds(
    probability: NDArray[np.float32],
    truth: NDArray[np.bool_],
    scored: NDArray[np.bool_] | None = None,
) -> ThresholdCounts:
    """Count marked and hit pixels of one frame at every threshold.

    Args:
        probability: [H, W] float32 in 0 … 1.
        truth: [H, W] bool.
        scored: [H, W] bool, False on void pixels; None scores everything.
    """
    last = last_thresholds(probability)
    if scored is not None:
        truth = truth & scored
    marked = _from_the_top(last, scored)
    hits = _from_the_top(last, truth)
    return ThresholdCounts(hits, marked, int(hits[0]))


def _from_the_top(last: NDArray[np.uint8], where: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    inside = None if where is None else np.ascontiguousarray(where).view(np.uint8)
    # OpenCV's histogram of bytes takes 1/20 of the time of numpy.bincount.
    counts = cv2.calcHist([last], [0], inside, [NUM_THRESHOLDS], [0, NUM_THRESHOLDS])
    return np.cumsum(counts.ravel()[::-1].astype(np.int64))[::-1]

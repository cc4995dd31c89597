"""Scores over the pixels of a whole data set: each class's share of right and false pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ClassPixels:
    """One class over a data set.

    Attributes:
        iou: None when the class was neither seen nor marked.
        false_discovery_rate: marked and not true over marked; None when never marked.
    """

    iou: float | None
    false_discovery_rate: float | None


class Confusion:
    """Counts of (true class, marked class) over all pixels.

    Args:
        num_classes: including the background, class 0.
    """

    def __init__(self, num_classes: int) -> None:
        self._num_classes = num_classes
        self._counts = np.zeros(num_classes**2, np.int64)

    def add(
        self,
        labels: NDArray[np.uint8],
        target: NDArray[np.uint8],
        scored: NDArray[np.bool_],
    ) -> None:
        """Add a frame [H, W]; `scored` is False on void pixels."""
        pairs = target[scored].astype(np.int64) * self._num_classes + labels[scored]
        self._counts += np.bincount(pairs, minlength=self._num_classes**2)

    def classes(self) -> tuple[ClassPixels, ...]:
        """Return one entry per class."""
        matrix = self._counts.reshape(self._num_classes, self._num_classes)
        hit, true, marked = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
        union = true + marked - hit
        return tuple(
            ClassPixels(
                iou=float(hit[c] / union[c]) if union[c] else None,
                false_discovery_rate=float(1 - hit[c] / marked[c]) if marked[c] else None,
            )
            for c in range(self._num_classes)
        )


def mean_of_known(values: list[float | None]) -> float | None:
    """Return the mean of the values that are known; None without any."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None

"""Is a stated probability what happens? Expected calibration error, in constant memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUM_BINS = 15


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """One row of a reliability table.

    Attributes:
        low, high: the bin holds probabilities in [low, high), the last one also 1.
        count: how many fell into it.
        mean_probability: what they said; None when the bin is empty.
        true_share: how many of them were true, 0 … 1; None when the bin is empty.
    """

    low: float
    high: float
    count: int
    mean_probability: float | None
    true_share: float | None


class Reliability:
    """Sums per bin of stated probabilities and of what was true.

    Adding in any order and in any portions gives the same table, up to rounding of sums.

    Args:
        num_bins: equally wide bins over 0 … 1.
    """

    def __init__(self, num_bins: int = NUM_BINS) -> None:
        self._num_bins = num_bins
        self._counts = np.zeros(num_bins, np.int64)
        self._said = np.zeros(num_bins)
        self._true = np.zeros(num_bins, np.int64)

    def add(
        self,
        probability: NDArray[np.floating],
        truth: NDArray[np.bool_],
        scored: NDArray[np.bool_] | None = None,
    ) -> None:
        """Add stated probabilities with the truth about each.

        Args:
            probability: [...] in 0 … 1.
            truth: [...] bool.
            scored: [...] bool, False where nothing is known; None counts everything.
        """
        if scored is not None:
            probability, truth = probability[scored], truth[scored]
        said = probability.ravel()
        bins = np.minimum((said * self._num_bins).astype(np.intp), self._num_bins - 1)
        self._counts += np.bincount(bins, minlength=self._num_bins)
        self._said += np.bincount(bins, weights=said, minlength=self._num_bins)
        self._true += np.bincount(bins[truth.ravel()], minlength=self._num_bins)

    @property
    def error(self) -> float:
        """Expected calibration error, 0 … 1: Σ count · |mean probability − true share| / Σ count.

        NaN when nothing was added.

        Source: Guo et al., On Calibration of Modern Neural Networks (2017), eq. 3, with the
        probability of the foreground in place of that of the predicted class.
        """
        total = int(self._counts.sum())
        return float(np.abs(self._said - self._true).sum() / total) if total else float("nan")

    def table(self) -> tuple[ReliabilityBin, ...]:
        """Return one row per bin, from 0 to 1."""
        edges = np.linspace(0.0, 1.0, self._num_bins + 1)
        return tuple(
            ReliabilityBin(
                low=float(edges[i]),
                high=float(edges[i + 1]),
                count=int(count),
                mean_probability=float(self._said[i] / count) if count else None,
                true_share=float(self._true[i] / count) if count else None,
            )
            for i, count in enumerate(self._counts)
        )

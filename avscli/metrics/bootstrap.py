"""How sure a score is: intervals from drawing the clips of a data set again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NUM_RESAMPLES = 1000
LEVEL = 0.95
_AT_ONCE = 50  # resamples in memory; 50 × 10 000 clips are 4 MB


class Interval(NamedTuple):
    """Between these a score lies with 95 % confidence; None below two clips."""

    low: float | None
    high: float | None


class Ratio(NamedTuple):
    """A score as sums over clips: Σ part / Σ whole.

    Attributes:
        part: [n] one number per clip.
        whole: [n] one number per clip.
    """

    part: NDArray[np.float64]
    whole: NDArray[np.float64]

    @property
    def value(self) -> float | None:
        """The score over all clips; None when there is nothing to divide by."""
        whole = float(self.whole.sum())
        return float(self.part.sum()) / whole if whole else None


def interval(ratio: Ratio, *, seed: int = 0) -> Interval:
    """Return the 95 % percentile interval of a ratio over clips drawn with replacement.

    Frames of one clip resemble each other, so whole clips are drawn.

    Args:
        ratio: per clip.
        seed: of the draws; the same seed draws the same clips whatever the ratio.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    return _percentiles(_resampled([ratio], seed)[0])


def difference_interval(first: Ratio, second: Ratio, *, seed: int = 0) -> Interval:
    """Return the interval of ``second − first`` over the same draws of the same clips.

    Args:
        first, second: two runs over the same clips in the same order.
        seed: of the draws.
    """
    a, b = _resampled([first, second], seed)
    return _percentiles(b - a)


def _resampled(ratios: Sequence[Ratio], seed: int) -> NDArray[np.float64]:
    """Return [ratios, resamples]; NaN where a draw has nothing to divide by."""
    rng = np.random.default_rng(seed)
    num_clips = len(ratios[0].part)
    if num_clips < 2:
        return np.full((len(ratios), NUM_RESAMPLES), np.nan)
    parts = []
    for _ in range(0, NUM_RESAMPLES, _AT_ONCE):
        drawn = rng.integers(num_clips, size=(_AT_ONCE, num_clips))
        with np.errstate(invalid="ignore", divide="ignore"):
            values = [r.part[drawn].sum(axis=1) / r.whole[drawn].sum(axis=1) for r in ratios]
        parts.append(values)
    return np.concatenate(parts, axis=1)


def _percentiles(values: NDArray[np.float64]) -> Interval:
    known = values[np.isfinite(values)]
    if not len(known):
        return Interval(None, None)
    outside = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(known, [outside, 1.0 - outside])
    return Interval(float(low), float(high))

"""Is it told at all that something sounds? One score per frame against yes or no."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


def area_under_roc(scores: Sequence[float], truth: Sequence[bool]) -> float | None:
    """Return the chance that a true frame has a higher score than another; ties count half.

    Args:
        scores: [n] one per frame, higher means surer that something sounds.
        truth: [n] whether something does.

    Returns:
        0 … 1; None when all frames are of one sort.

    Source: the Mann-Whitney statistic, which is the area under the ROC curve.
    """
    is_true = np.asarray(truth, np.bool_)
    num_true = int(is_true.sum())
    num_false = len(is_true) - num_true
    if not num_true or not num_false:
        return None
    _, places, counts = np.unique(np.asarray(scores), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2.0)[places]
    above = ranks[is_true].sum() - num_true * (num_true + 1) / 2.0
    return float(above / (num_true * num_false))

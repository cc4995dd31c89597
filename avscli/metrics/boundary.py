"""How well the outline of a mask follows the outline of the truth: the boundary F of DAVIS."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE_SHARE = 0.008  # of the frame's diagonal, as in the benchmark


def boundary_f(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Return the F-score of outline pixels that have one of the other outline within reach.

    Args:
        mask: [H, W] bool.
        truth: [H, W] bool.

    Returns:
        0 … 1; 1 when neither has an outline, 0 when only one has.

    Source: Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object
    Segmentation (2016), section 5; reach as in the benchmark: 0.8 % of the diagonal, rounded up.
    """
    marked, true = outline(mask), outline(truth)
    num_marked, num_true = np.count_nonzero(marked), np.count_nonzero(true)
    if not num_marked or not num_true:
        return float(num_marked == num_true)
    disk = _disk(math.ceil(TOLERANCE_SHARE * math.hypot(*mask.shape)))
    precision = np.count_nonzero(marked & _grown(true, disk)) / num_marked
    recall = np.count_nonzero(true & _grown(marked, disk)) / num_true
    both = precision + recall
    return 2.0 * precision * recall / both if both else 0.0


def outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return [H, W] bool: pixels that differ from the one to the right, below, or below right."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    beside, below, diagonal = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    differs: NDArray[np.bool_] = (mask != beside) | (mask != below) | (mask != diagonal)
    return differs


def _grown(outlined: NDArray[np.bool_], disk: NDArray[np.uint8]) -> NDArray[np.bool_]:
    grown = cv2.dilate(outlined.view(np.uint8), disk, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(grown, np.uint8) > 0


@cache
def _disk(radius: int) -> NDArray[np.uint8]:
    reach = np.arange(-radius, radius + 1) ** 2
    return (reach[:, None] + reach[None] <= radius**2).astype(np.uint8)

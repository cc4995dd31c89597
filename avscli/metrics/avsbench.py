"""J and F of AVSBench (S4 and MS3), exactly as its evaluation gives them, oddities included.

Source: Zhou et al., Audio-Visual Segmentation (ECCV 2022), and the published evaluation code's
behaviour. docs/evaluation.md names the oddities, and what the avs protocol does instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from avscli.metrics.thresholds import NUM_THRESHOLDS, count_at_thresholds

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_EPSILON = 1e-7


@dataclass(slots=True, eq=False)
class BatchSums:
    """The published J and F of one batch as sums over its frames, so that none has to stay.

    Attributes:
        ious: sum over frames.
        num_frames: frames added.
        curve: [255] sum of the F-curves of frames with a target that is not empty.
        num_curves: how many those are.
    """

    ious: float = 0.0
    num_frames: int = 0
    curve: NDArray[np.float64] = field(default_factory=lambda: np.zeros(NUM_THRESHOLDS))
    num_curves: int = 0

    def add_ious(self, probability: Tensor, target: Tensor) -> None:
        """Add what J needs of frames [N, H, W]; see `mask_iou`."""
        marked, true = probability > 0.5, target > 0
        pixels = marked[0].numel()
        hits = (marked & true).sum((1, 2))
        unions = (marked | true).sum((1, 2))
        is_empty = ~true.any(2).any(1)
        hits = torch.where(is_empty, pixels - unions, hits)
        unions = torch.where(is_empty, pixels, unions)
        self.ious += float((hits / (unions + _EPSILON)).double().sum())
        self.num_frames += len(marked)

    def add_curves(self, probability: Tensor, target: Tensor) -> None:
        """Add what F needs of frames [N, H, W]; see `f_measure`."""
        for said, is_true in zip(probability.numpy(), (target > 0).numpy(), strict=True):
            if is_true.any():
                self.curve += count_at_thresholds(said, is_true).f_scores()
                self.num_curves += 1

    @property
    def mask_iou(self) -> float:
        """J of the frames added."""
        return self.ious / self.num_frames

    @property
    def f_measure(self) -> float:
        """F of the frames added."""
        return float(self.curve.max()) / max(1, self.num_curves)


def mask_iou(logits: Tensor, target: Tensor) -> float:
    """Return J of a batch: the mean over frames of IoU at probability > 0.5.

    A frame whose target is empty counts the share of its pixels left unmarked, so a false mask
    over a tenth of it still scores 0.9.

    Args:
        logits: [N, H, W] float32 before the sigmoid.
        target: [N, H, W] float32 of 0 and 1.

    Returns:
        0 … 1.
    """
    sums = BatchSums()
    sums.add_ious(torch.sigmoid(logits), target)
    return sums.mask_iou


def f_measure(logits: Tensor, target: Tensor) -> float:
    """Return F of a batch: the mean over frames of the F-curve, then its maximum.

    The threshold is thus chosen per batch with the truth at hand, and the result depends on the
    batch size. Frames with an empty target are left out; a batch of only such frames scores 0.

    Args:
        logits: [N, H, W] float32 before the sigmoid.
        target: [N, H, W] float32 of 0 and 1.

    Returns:
        0 … 1.
    """
    sums = BatchSums()
    sums.add_curves(torch.sigmoid(logits), target)
    return sums.f_measure

"""J and F of AVSBench (S4 and MS3), exactly as its evaluation gives them, oddities included.

Source: Zhou et al., Audio-Visual Segmentation (ECCV 2022), and the published evaluation code's
behaviour. docs/evaluation.md names the oddities; `avscli.metrics.frames` is what we use instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from avscli.metrics.thresholds import NUM_THRESHOLDS, count_at_thresholds

if TYPE_CHECKING:
    from torch import Tensor

_EPSILON = 1e-7


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
    marked = torch.sigmoid(logits) > 0.5
    true = target > 0
    pixels = marked[0].numel()
    hits = (marked & true).sum((1, 2))
    unions = (marked | true).sum((1, 2))
    is_empty = ~true.any(2).any(1)
    hits = torch.where(is_empty, pixels - unions, hits)
    unions = torch.where(is_empty, pixels, unions)
    return float((hits / (unions + _EPSILON)).double().mean())


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
    probability = torch.sigmoid(logits).numpy()
    true = (target > 0).numpy()
    curve = np.zeros(NUM_THRESHOLDS)
    num_frames = 0
    for said, is_true in zip(probability, true, strict=True):
        if is_true.any():
            curve += count_at_thresholds(said, is_true).f_scores()
            num_frames += 1
    return float(curve.max() / max(1, num_frames))

"""The training losses; void pixels (255) count nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from avscli.datatypes import VOID
from avscli.networks.layers import resize

if TYPE_CHECKING:
    from torch import Tensor


def stage_loss(logits: Tensor, target: Tensor, *, smoothing_pixels: float) -> Tensor:
    """Binary cross-entropy plus soft IoU of one stage.

    The smoothing makes an empty target well-behaved: marking k of its pixels costs
    k / (k + smoothing), so a few wrong pixels cost little and a wrong object costs about 1.

    Args:
        logits: [N, 1, h, w]; resized bilinearly to the target's size first.
        target: [N, H, W] uint8: 1 sounds, 0 does not, 255 void.
        smoothing_pixels: added to intersection and union.

    Returns:
        A scalar: the mean over samples of both terms' sum.

    Source: BCE and 1 − (I + s) / (U + s) as in networks.md 1.4, with s a parameter.
    """
    scores = resize(logits.float(), target.shape[-2:])[:, 0]
    scored = (target != VOID).float()
    truth = (target == 1).float()
    pixels = scored.sum(dim=(1, 2)).clamp_min(1.0)
    entropy = F.binary_cross_entropy_with_logits(scores, truth, weight=scored, reduction="none")
    probability = scores.sigmoid() * scored
    intersection = (probability * truth).sum(dim=(1, 2))
    union = (probability + truth).sum(dim=(1, 2)) - intersection
    iou = (intersection + smoothing_pixels) / (union + smoothing_pixels)
    return (entropy.sum(dim=(1, 2)) / pixels + 1.0 - iou).mean()


def naming_loss(logits: Tensor, present: Tensor) -> Tensor:
    """Binary cross-entropy of several names at once, summed over names, mean over samples.

    Args:
        logits: [N, K]; 0 for N = 0.
        present: [N, K] float, 1 where the name fits, else 0; or the probability that it does.
    """
    loss = F.binary_cross_entropy_with_logits(logits.float(), present, reduction="sum")
    return loss / max(1, len(logits))


def picture_loss(logits: Tensor, shown: Tensor) -> Tensor:
    """Cross-entropy of the source class of every fourth row and column, mean over known pixels.

    In each picture a class weighs as much as the square root of its pixels there, or a distant
    walker would be lost in the street.

    Args:
        logits: [N, 1 + K, h, w]; resized bilinearly to a quarter of the target's size first.
        shown: [N, H, W] uint8: 0 none, 1 … K the class, 255 void.
    """
    shown = shown[:, 2::4, 2::4].long()  # these maps are coarse, and a pixel knows its neighbours
    scores = resize(logits.float(), shown.shape[-2:])
    known = (shown != VOID).float()
    counts = torch.stack([labels.bincount(minlength=VOID + 1) for labels in shown.flatten(1)])
    weights = known / counts.gather(1, shown.flatten(1)).reshape_as(known).sqrt()
    losses = F.cross_entropy(scores, shown, ignore_index=VOID, reduction="none")
    return (weights * losses).sum() / weights.sum().clamp_min(torch.finfo().tiny)

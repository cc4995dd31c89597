"""The training losses; void pixels (255) count nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

from avscli.networks.pcmanet.modules import resize

if TYPE_CHECKING:
    from torch import Tensor

VOID = 255


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

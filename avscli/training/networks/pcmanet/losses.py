"""The losses of naming what is heard and what is seen; void pixels (255) count nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from avscli.datatypes import VOID
from avscli.networks.layers import resize

if TYPE_CHECKING:
    from torch import Tensor


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

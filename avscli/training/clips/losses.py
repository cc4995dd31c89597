"""The losses of the published recipes, as sums over labelled steps.

Sums, not means: processes that hold different numbers of labelled steps then divide by the
number in the whole batch, and train exactly as one process with the whole batch would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from avscli.datatypes import VOID
from avscli.networks.layers import resize
from avscli.training.losses import stage_loss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def stage_totals(
    stage_logits: Sequence[Tensor],
    targets: Tensor,
    labelled: Tensor,
    *,
    smoothing_pixels: float,
) -> Tensor:
    """Return the loss of every stage, summed over labelled steps.

    One class: binary cross-entropy plus soft IoU; several: cross-entropy. Both are means over the
    pixels of a step, with the logits resized to the target's size.

    Args:
        stage_logits: per stage [B, T, C, h_k, w_k].
        targets: [B, T, H, W] uint8: 0 … C − 1 (one class: 0 or 1), 255 void.
        labelled: [B, T] bool.
        smoothing_pixels: of the soft IoU.

    Returns:
        [stages] float32; zero, with a gradient of zero, when no step is labelled.

    Source: Zhou et al., Audio-Visual Segmentation (ECCV 2022) and its semantic sequel, whose losses
    PCMANet keeps at every stage.
    """
    truth = targets[labelled]
    totals = []
    for logits in stage_logits:
        scores = logits[labelled].float()
        if not len(scores):
            totals.append(logits.float().sum() * 0.0)
        elif logits.shape[2] == 1:
            mean = stage_loss(scores, truth, smoothing_pixels=smoothing_pixels)
            totals.append(mean * len(scores))
        else:
            totals.append(_cross_entropy(scores, truth).sum())
    return torch.stack(totals)


def _cross_entropy(scores: Tensor, truth: Tensor) -> Tensor:
    """Return [N]: the mean over the pixels of each step that are not void."""
    scores = resize(scores, truth.shape[-2:])
    per_pixel = F.cross_entropy(scores, truth.long(), ignore_index=VOID, reduction="none")
    pixels = (truth != VOID).sum(dim=(1, 2)).clamp_min(1)
    return per_pixel.sum(dim=(1, 2)) / pixels

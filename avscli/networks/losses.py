"""The losses of masks and label maps, as sums over labelled steps.

Sums, not means: processes that hold different numbers of labelled steps then divide by the
number in the whole batch, and train exactly as one process with the whole batch would.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch.nn.functional as F

from avscli.datatypes import VOID
from avscli.networks.layers import resize

if TYPE_CHECKING:
    from torch import Tensor

    from avscli.datatypes import NetworkOutput


@dataclass(frozen=True, slots=True, eq=False)
class Supervision:
    """What B clips of T steps should have been.

    Attributes:
        targets: [B, T, H, W] uint8: 0 … C − 1 (one class: 0 or 1), 255 void.
        labelled: [B, T] bool, the steps whose targets are known.
        smoothing_pixels: of the soft IoU.
    """

    targets: Tensor
    labelled: Tensor
    smoothing_pixels: float


def stage_losses(output: NetworkOutput, truth: Supervision) -> dict[str, Tensor]:
    """Return the `mask_loss` of every supervised stage: ``stage1``, the finest, and so on."""
    return {
        f"stage{number}": mask_loss(logits, truth)
        for number, logits in enumerate(output.stage_logits, start=1)
    }


def mask_loss(logits: Tensor, truth: Supervision) -> Tensor:
    """Return the loss of one stage, summed over labelled steps.

    One class: binary cross-entropy plus soft IoU; several: cross-entropy. Both are means over the
    pixels of a step, with the logits resized to the target's size.

    Args:
        logits: [B, T, C, h, w].
        truth: of the same clips.

    Returns:
        A float32 scalar; zero, with a gradient of zero, when no step is labelled.

    Source: Zhou et al., Audio-Visual Segmentation (ECCV 2022) and its semantic sequel, whose losses
    the networks after it keep.
    """
    scores, targets = logits[truth.labelled].float(), truth.targets[truth.labelled]
    if not len(scores):
        return logits.float().sum() * 0.0
    if logits.shape[2] == 1:
        mean = binary_loss(scores, targets, smoothing_pixels=truth.smoothing_pixels)
        return mean * len(scores)
    return _cross_entropy(scores, targets).sum()


def binary_loss(logits: Tensor, target: Tensor, *, smoothing_pixels: float) -> Tensor:
    """Binary cross-entropy plus soft IoU of masks; void pixels (255) count nowhere.

    The smoothing makes an empty target well-behaved: marking k of its pixels costs
    k / (k + smoothing), so a few wrong pixels cost little and a wrong object costs about 1.

    Args:
        logits: [N, 1, h, w]; resized bilinearly to the target's size first.
        target: [N, H, W] uint8: 1 sounds, 0 does not, 255 void.
        smoothing_pixels: added to intersection and union.

    Returns:
        A scalar: the mean over samples of both terms' sum.

    Source: BCE and 1 − (I + s) / (U + s), as `mask_loss`, with s a parameter.
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


def _cross_entropy(scores: Tensor, truth: Tensor) -> Tensor:
    """Return [N]: the mean over the pixels of each step that are not void."""
    scores = resize(scores, truth.shape[-2:])
    per_pixel = F.cross_entropy(scores, truth.long(), ignore_index=VOID, reduction="none")
    pixels = (truth != VOID).sum(dim=(1, 2)).clamp_min(1)
    return per_pixel.sum(dim=(1, 2)) / pixels

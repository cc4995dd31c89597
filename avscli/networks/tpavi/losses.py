"""What TPAVI and C3N learn by, frame by frame.

Source: Zhou et al., "Audio-Visual Segmentation", ECCV 2022 (arXiv 2207.05042), equations 3 to 5,
with the norms and pooling of the published code; Dice as in the published C3N.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from avscli.datatypes import VOID
from avscli.networks.layers import resize
from avscli.networks.losses import SoftOverlap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from avscli.networks.losses import Supervision


def of_labelled(
    loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, truth: Supervision
) -> Tensor:
    """Return a loss of frames, summed over labelled steps; zero, with a graph, where none is.

    Args:
        loss: of logits [N, C, h, w] and targets [N, H, W], to [N].
        logits: [B·T, C, h, w].
        truth: of the same clips.
    """
    labelled = truth.labelled.flatten()
    if not labelled.any():
        return logits.float().sum() * 0.0
    return loss(logits[labelled], truth.targets.flatten(0, 1)[labelled]).sum()


def pixel_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return [N] float32: the cross-entropy of each frame, mean over its pixels that are not void.

    Args:
        logits: [N, C, h, w]; one class means a sigmoid, several a softmax.
        targets: [N, H, W] uint8: 0 … C − 1 (one class: 0 or 1), 255 void.
    """
    scores, scored = resize(logits.float(), targets.shape[-2:]), targets != VOID
    if scores.shape[1] == 1:
        truth = (targets == 1).float()
        entropy = F.binary_cross_entropy_with_logits(scores[:, 0], truth, reduction="none") * scored
    else:
        entropy = F.cross_entropy(scores, targets.long(), ignore_index=VOID, reduction="none")
    return entropy.sum(dim=(1, 2)) / scored.sum(dim=(1, 2)).clamp_min(1)


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return [N] float32: 1 − 2 (Σ p·g + 1) / (Σ p + Σ g + 1) of each frame's mask.

    The smoothing lies inside the factor of two, as published: nothing marked where nothing sounds
    gives −1.

    Args:
        logits: [N, 1, h, w].
        targets: [N, H, W] uint8: 0 or 1, 255 void.
    """
    scores = resize(logits.float(), targets.shape[-2:])[:, 0]
    overlap = SoftOverlap.of(scores, targets)
    return 1.0 - 2.0 * (overlap.intersection + 1.0) / (overlap.sums + 1.0)


def audio_visual_matching(
    logits: Tensor, maps: Sequence[Tensor], sounds: Sequence[Tensor]
) -> Tensor:
    """Return [N] float32: how far what is marked is from what is heard (the paper's AVM).

    At every stage the features under the mask are averaged, and compared with the projected sound
    by the Kullback–Leibler divergence of their softmax over channels; mean over stages. A mask of
    one class is soft, and learns from this; of several it is where a class other than the first is
    likeliest, and does not.

    Args:
        logits: [N, C, H, W].
        maps: per stage [N, D, h_k, w_k], rectified.
        sounds: per stage [N, D].
    """
    total = logits.new_zeros(len(logits), dtype=torch.float32)
    for features, sound in zip(maps, sounds, strict=True):
        size = (features.shape[2], features.shape[3])
        if logits.shape[1] == 1:
            mask = F.adaptive_avg_pool2d(logits.float(), size).sigmoid()
        else:
            marked = (logits.argmax(dim=1, keepdim=True) > 0).float()
            mask = F.adaptive_avg_pool2d(marked, size)
        seen = (features.float() * mask).mean(dim=(2, 3)).log_softmax(dim=1)
        heard = sound.float().log_softmax(dim=1)
        total = total + F.kl_div(seen, heard, reduction="none", log_target=True).sum(dim=1)
    return total / len(maps)

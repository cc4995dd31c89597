"""Mean IoU on the validation split, by which the best epoch is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from avscli.datatypes import VOID
from avscli.networks.layers import resize

if TYPE_CHECKING:
    from torch import Tensor

    from avscli.training.process_group import ProcessGroup


class OverlapSums:
    """Sums of IoUs over labelled steps, per class, at the network's frame size.

    One class: every step counts, an empty mask on an empty target as 1. Several: a class counts in
    the steps in which it is seen or marked, as in AVSBench's semantic scores; classes never met
    count nowhere.

    Args:
        num_classes: C of the network.
    """

    def __init__(self, num_classes: int) -> None:
        self._sums = torch.zeros(2, num_classes, dtype=torch.float64)

    def add(self, logits: Tensor, targets: Tensor, labelled: Tensor) -> None:
        """Add a batch.

        Args:
            logits: [B, T, C, h, w] of the finest stage.
            targets: [B, T, H, W] uint8, 255 void.
            labelled: [B, T] bool.
        """
        truth = targets[labelled].long()
        scores = resize(logits[labelled].float(), truth.shape[-2:])
        scored = truth != VOID
        if scores.shape[1] == 1:
            marked = scores[:, 0] >= 0
            hits = (marked & (truth == 1) & scored).sum(dim=(1, 2))
            unions = ((marked | (truth == 1)) & scored).sum(dim=(1, 2))
            ious = torch.where(unions > 0, hits / unions.clamp_min(1), 1.0)
            self._sums[0] += ious.cpu().double().sum()
            self._sums[1] += len(ious)
            return
        labels = scores.argmax(dim=1)
        hits, marked, true = (
            self._histograms(values, where & scored)
            for values, where in (
                (truth, truth == labels),
                (labels, scored),
                (truth, scored),
            )
        )
        unions = marked + true - hits
        self._sums[0] += (hits / unions.clamp_min(1)).sum(dim=0)
        self._sums[1] += (unions > 0).sum(dim=0)

    def mean_iou(self, processes: ProcessGroup, device: str) -> float:
        """Return the mean over classes, of what all processes added; NaN without any step."""
        # NCCL takes tensors of its own devices only.
        where = device if "cuda" in device else "cpu"
        sums, counts = processes.sum(self._sums.clone().to(where)).cpu()
        met = counts > 0
        return float((sums[met] / counts[met]).mean())

    def _histograms(self, values: Tensor, where: Tensor) -> Tensor:
        """Count each class in each of [N, H, W] steps, where [N, H, W] is true: [N, C] float64."""
        N, C = len(values), self._sums.shape[1]
        steps = torch.arange(N, device=values.device)[:, None, None] * C
        counts = torch.bincount((values + steps)[where], minlength=N * C)
        return counts.reshape(N, C).cpu().double()

"""Mean IoU on the validation split, by which the best epoch is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from avscli.datasets.labelled import VOID
from avscli.networks.pcmanet.modules import resize

if TYPE_CHECKING:
    from torch import Tensor

    from avscli.training.processes import Processes


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
        truth = targets[labelled]
        scores = resize(logits[labelled].float(), truth.shape[-2:])
        scored = truth != VOID
        if scores.shape[1] == 1:
            self._count(0, (scores[:, 0] >= 0) & scored, (truth == 1) & scored, empty=1.0)
            return
        marked = scores.argmax(dim=1)
        for index in range(scores.shape[1]):
            self._count(index, (marked == index) & scored, truth == index, empty=None)

    def mean_iou(self, processes: Processes, device: str) -> float:
        """Return the mean over classes, of what all processes added; NaN without any step."""
        # NCCL takes tensors of its own device only, and MPS no float64.
        where = device if "cuda" in device else "cpu"
        sums, counts = processes.sum(self._sums.clone().to(where)).cpu()
        met = counts > 0
        return float((sums[met] / counts[met]).mean())

    def _count(self, index: int, marked: Tensor, true: Tensor, *, empty: float | None) -> None:
        hits = (marked & true).sum(dim=(1, 2)).double()
        unions = (marked | true).sum(dim=(1, 2)).double()
        met = unions > 0
        ious = torch.where(met, hits / unions.clamp_min(1), empty or 0.0)
        counts = met if empty is None else torch.ones_like(met)
        self._sums[0, index] += float(ious.sum())
        self._sums[1, index] += float(counts.sum())

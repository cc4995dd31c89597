"""The losses of masks and label maps, as sums over labelled steps.

Sums, not means: processes that hold different numbers of labelled steps then divide by the
number in the whole batch, and train exactly as one process with the whole batch would.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F

from avscli.datatypes import VOID
from avscli.networks.evidence import (
    divergence_from_uniform,
    expected_cross_entropy,
    known_mean,
    resized_concentration,
)
from avscli.networks.layers import resize

if TYPE_CHECKING:
    from torch import Tensor

    from avscli.datatypes import Evidence, NetworkOutput

ANNEALED_UNTIL = 0.5  # of a run, until when the divergence of evidence grows in weight; ours


@dataclass(frozen=True, slots=True, eq=False)
class Supervision:
    """What B clips of T steps should have been.

    Attributes:
        targets: [B, T, H, W] uint8: 0 … C − 1 (one class: 0 or 1), 255 void.
        labelled: [B, T] bool, the steps whose targets are known.
        smoothing_pixels: of the soft IoU.
        progress: share of the run's steps that are done, 0 … 1; what is annealed goes by it.
    """

    targets: Tensor
    labelled: Tensor
    smoothing_pixels: float
    progress: float = 1.0


def stage_losses(output: NetworkOutput, truth: Supervision) -> dict[str, Tensor]:
    """Return the loss of every supervised stage: ``stage1``, the finest, and so on.

    It is the `mask_loss` of its logits. Of an evidential stage it is the expected cross-entropy
    and, of masks, the soft IoU of the expected probability; ``divergence`` is that of all stages.
    """
    if output.evidence is not None:
        return _evidential_stage_losses(output.evidence, truth)
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


def _evidential_stage_losses(evidence: Evidence, truth: Supervision) -> dict[str, Tensor]:
    losses: dict[str, Tensor] = {}
    divergences = []
    stages = zip(evidence.logits, evidence.concentration, strict=True)
    for number, (logits, concentration) in enumerate(stages, start=1):
        of_stage = evidence_losses(concentration, truth)
        loss = of_stage.cross_entropy
        if logits.shape[2] == 1 and truth.labelled.any():
            loss = loss + (1.0 - overlap_of(logits, truth).iou(truth.smoothing_pixels)).sum()
        losses[f"stage{number}"] = loss
        divergences.append(of_stage.divergence)
    return losses | {"divergence": torch.stack(divergences).sum()}


class EvidenceLosses(NamedTuple):
    """What evidence costs, summed over labelled steps.

    Attributes:
        cross_entropy: expected over the Dirichlet distributions.
        divergence: of the evidence against the truth from none at all, annealed.
    """

    cross_entropy: Tensor
    divergence: Tensor


def evidence_losses(concentration: Tensor, truth: Supervision) -> EvidenceLosses:
    """Return the losses of evidence; both are means over the pixels of a step.

    The divergence grows linearly in weight until ANNEALED_UNTIL of a run is done: before a network
    knows anything, it would have it say that it knows nothing.

    Args:
        concentration: [B, T, K, h, w] Dirichlet parameters.
        truth: of the same clips.
    """
    told, targets = concentration[truth.labelled].float(), truth.targets[truth.labelled]
    if not len(told):
        nothing = concentration.float().sum() * 0.0
        return EvidenceLosses(nothing, nothing)
    told = resized_concentration(told, targets.shape[-2:])
    cross_entropy = known_mean(expected_cross_entropy(told, targets), targets)
    divergence = known_mean(divergence_from_uniform(told, targets), targets)
    annealed = min(1.0, truth.progress / ANNEALED_UNTIL)
    return EvidenceLosses(cross_entropy.sum(), annealed * divergence.sum())


class SoftOverlap(NamedTuple):
    """How much N masks of probabilities and the truth have in common; void counts nowhere.

    Attributes:
        intersection: [N] pixels.
        sums: [N] pixels of both together, those in common twice.
    """

    intersection: Tensor
    sums: Tensor

    @classmethod
    def of(cls, logits: Tensor, target: Tensor) -> SoftOverlap:
        """Return that of logits [N, H, W] and targets [N, H, W] uint8, 1 where it sounds."""
        truth = (target == 1).float()
        probability = logits.sigmoid() * (target != VOID).float()
        intersection = (probability * truth).sum(dim=(1, 2))
        return cls(intersection, (probability + truth).sum(dim=(1, 2)))

    def iou(self, smoothing: float) -> Tensor:
        """Return [N] soft IoU, with so many pixels added to intersection and union."""
        union = self.sums - self.intersection
        return (self.intersection + smoothing) / (union + smoothing)

    def dice(self, smoothing: float) -> Tensor:
        """Return [N] soft Dice, likewise."""
        return (2.0 * self.intersection + smoothing) / (self.sums + smoothing)


def overlap_of(logits: Tensor, truth: Supervision) -> SoftOverlap:
    """Return the overlap of masks [B, T, 1, h, w] with the N labelled steps, at their size."""
    scores, targets = logits[truth.labelled].float(), truth.targets[truth.labelled]
    return SoftOverlap.of(resize(scores, targets.shape[-2:])[:, 0], targets)


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
    iou = SoftOverlap.of(scores, target).iou(smoothing_pixels)
    return (entropy.sum(dim=(1, 2)) / pixels + 1.0 - iou).mean()


def _cross_entropy(scores: Tensor, truth: Tensor) -> Tensor:
    """Return [N]: the mean over the pixels of each step that are not void."""
    scores = resize(scores, truth.shape[-2:])
    per_pixel = F.cross_entropy(scores, truth.long(), ignore_index=VOID, reduction="none")
    pixels = (truth != VOID).sum(dim=(1, 2)).clamp_min(1)
    return per_pixel.sum(dim=(1, 2)) / pixels

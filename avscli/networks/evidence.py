"""Evidential uncertainty: how much is known of a pixel, beside what is believed of it.

A head gives evidence e_k ≥ 0 for each of K classes instead of logits; α_k = 1 + e_k are the
parameters of a Dirichlet distribution over the pixel's class probabilities (K = 2, background and
foreground, is a Beta distribution). With S = Σ α_k, the expected probability of a class is α_k / S,
and u = K / S is the uncertainty: 1 without any evidence, near 0 with much of it.

What a network returns as logits is the expected probability lowered by the uncertainty, as AMA + UE
(arXiv 2503.12847) lowers it where the sound's state is doubtful: each foreground class keeps
p_k · (1 − u), and what it loses goes to the background. So thresholds, confidence and every report
read it as they read any network's logits.

Source: Sensoy et al., "Evidential Deep Learning to Quantify Classification Uncertainty",
arXiv 1806.01768, equations 1–5. AMA + UE states neither how evidence is formed nor how much it
lowers a probability; both are choices of ours here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from avscli.datatypes import VOID, Evidence, NetworkOutput
from avscli.networks.layers import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from avscli.datatypes import NetworkSpec, SourceLogits

MOST_EVIDENCE = math.exp(10.0)  # of a class; beyond, a probability is 1 for every purpose
_CLASSES = -3  # the axis of classes in [..., classes, h, w]


@dataclass(frozen=True, slots=True)
class ScoreReading:
    """How the scores of a head are read: as logits, or as evidence.

    Attributes:
        num_classes: C of the logits, 1 for binary networks.
        evidence: how a score becomes evidence: ``exp``, or ``softplus``; None reads scores as
            logits.
    """

    num_classes: int
    evidence: str | None = None

    @classmethod
    def of(cls, spec: NetworkSpec, *, unless_stated: str = "none") -> ScoreReading:
        """Return what a spec asks for.

        Args:
            spec: ``architecture`` may say ``uncertainty = "evidential"``, and then ``evidence =
                "softplus"`` in place of our default ``exp``: the same evidence for a pixel takes a
                score of its logarithm, so that heads learn at the pace of those with logits.
            unless_stated: the ``uncertainty`` of a spec that says nothing about it.

        Raises:
            ValueError: a word nobody knows.
        """
        uncertainty = spec.architecture.get("uncertainty", unless_stated)
        if uncertainty == "none":
            return cls(spec.num_classes)
        evidence = str(spec.architecture.get("evidence", "exp"))
        if uncertainty != "evidential" or evidence not in ("exp", "softplus"):
            raise ValueError(
                f"uncertainty must be none or evidential, evidence exp or softplus, "
                f"got {uncertainty!r}, {evidence!r}"
            )
        return cls(spec.num_classes, evidence)

    @property
    def num_scores(self) -> int:
        """Channels of a head: C of logits, or K of evidence, the background first."""
        return max(2, self.num_classes) if self.evidence else self.num_classes

    def toward_foreground(self, scores: Tensor, logit: Tensor) -> Tensor:
        """Add the logit [N, 1, h, w] that something sounds to scores [N, ·, h, w]."""
        if self.evidence is None:
            return scores + logit
        return scores + torch.cat((-logit, logit.expand(-1, self.num_scores - 1, -1, -1)), dim=1)

    def concentration(self, scores: Tensor) -> Tensor:
        """Return Dirichlet parameters [..., K, h, w], at least 1, float32, of as many scores."""
        scores = scores.float()
        if self.evidence == "exp":
            return 1.0 + scores.clamp_max(math.log(MOST_EVIDENCE)).exp()
        return 1.0 + F.softplus(scores).clamp_max(MOST_EVIDENCE)

    def logits(self, scores: Tensor) -> Tensor:
        """Return logits [..., C, h, w] of scores: as they are, or lowered by the uncertainty."""
        if self.evidence is None:
            return scores
        concentration = self.concentration(scores)
        return lowered(expected_logits(concentration, self.num_classes), concentration)

    def output(
        self,
        scores: Sequence[Tensor],
        selected: Tensor,
        sources: SourceLogits | None = None,
        heard: Tensor | None = None,
    ) -> NetworkOutput:
        """Return the output of a network.

        Args:
            scores: per stage, finest first, [B, T, ·, h_k, w_k].
            selected, sources, heard: as in `NetworkOutput`.
        """
        if self.evidence is None:
            return NetworkOutput(tuple(s.float() for s in scores), selected, sources, heard)
        concentration = tuple(self.concentration(s) for s in scores)
        logits = tuple(expected_logits(c, self.num_classes) for c in concentration)
        return evident_output(Evidence(logits, concentration), selected, sources, heard)


def evident_output(
    evidence: Evidence,
    selected: Tensor,
    sources: SourceLogits | None = None,
    heard: Tensor | None = None,
) -> NetworkOutput:
    """Return an output whose logits are those of the evidence, lowered; see `NetworkOutput`."""
    stages = zip(evidence.logits, evidence.concentration, strict=True)
    return NetworkOutput(tuple(lowered(*s) for s in stages), selected, sources, heard, evidence)


def expected_logits(concentration: Tensor, num_classes: int) -> Tensor:
    """Return logits [..., C, h, w] of α_k / S; C = 1 takes the second of two classes."""
    logarithms = concentration.log()
    if num_classes > 1:
        return logarithms
    background, foreground = logarithms.unbind(_CLASSES)
    return (foreground - background).unsqueeze(_CLASSES)


def uncertainty(concentration: Tensor) -> Tensor:
    """Return u = K / S [..., 1, h, w] in (0, 1] of Dirichlet parameters [..., K, h, w]."""
    return concentration.shape[_CLASSES] / concentration.sum(dim=_CLASSES, keepdim=True)


def lowered(logits: Tensor, concentration: Tensor) -> Tensor:
    """Lower the probabilities of foreground classes to p_k · (1 − u).

    With E = S − K the evidence of all classes, 1 − u = E / S, and the background gets
    p_0 + Σ p_k u = (K + E p_0) / S. The common S leaves the softmax as it is, so nothing cancels.

    Args:
        logits: [..., C, h, w] of the probabilities, a sigmoid for C = 1, else a softmax whose first
            class is the background.
        concentration: [..., K, h, w] Dirichlet parameters that u is taken from.

    Returns:
        [..., C, h, w] float32 logits of the same kind.
    """
    logits = logits.float()
    num_classes = concentration.shape[_CLASSES]
    total = concentration.sum(dim=_CLASSES, keepdim=True) - num_classes
    total = total.clamp_min(torch.finfo(torch.float32).eps)
    if logits.shape[_CLASSES] == 1:
        kept = F.logsigmoid(logits) + total.log()
        return kept - (num_classes + total * (-logits).sigmoid()).log()
    shares = logits.log_softmax(dim=_CLASSES)
    background, foreground = shares.tensor_split([1], dim=_CLASSES)
    rest = (num_classes + total * background.exp()).log()
    return torch.cat((rest, foreground + total.log()), dim=_CLASSES)


def expected_cross_entropy(concentration: Tensor, target: Tensor) -> Tensor:
    """Return the expectation of the cross-entropy over the Dirichlet, per pixel.

    Args:
        concentration: [N, K, h, w].
        target: [N, h, w] uint8, the class of each pixel; void counts as the background.

    Returns:
        [N, h, w] ψ(S) − ψ(α of the class).

    Source: arXiv 1806.01768, equation 4.
    """
    of_class = concentration.gather(1, _classes(target)[:, None])[:, 0]
    return concentration.sum(dim=1).digamma() - of_class.digamma()


def divergence_from_uniform(concentration: Tensor, target: Tensor) -> Tensor:
    """Return how far the evidence against the truth is from none at all, per pixel.

    Args:
        concentration, target: as in `expected_cross_entropy`.

    Returns:
        [N, h, w] KL(Dir(α̃) ‖ Dir(1)), where α̃ is α with 1 in the place of the target's class.

    Source: arXiv 1806.01768, equation 5 and the display below it.
    """
    K = concentration.shape[1]
    misleading = concentration.scatter(1, _classes(target)[:, None], 1.0)
    total = misleading.sum(dim=1)
    surplus = (misleading - 1.0) * (misleading.digamma() - total.digamma()[:, None])
    of_gamma = total.lgamma() - misleading.lgamma().sum(dim=1) - math.lgamma(K)
    return of_gamma + surplus.sum(dim=1)


def resized_concentration(concentration: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Resize [N, K, h, w] so that the expected logits are resized bilinearly."""
    return resize(concentration.log(), size).exp()


def known_mean(values: Tensor, target: Tensor) -> Tensor:
    """Return [N]: the mean of values [N, h, w] over the pixels whose target is not void."""
    known = (target != VOID).to(values.dtype)
    return (values * known).sum(dim=(1, 2)) / known.sum(dim=(1, 2)).clamp_min(1.0)


def _classes(target: Tensor) -> Tensor:
    return target.where(target != VOID, torch.zeros_like(target)).long()

"""What CATR's queries are taught: which one refers to what sounds, and what it marks.

Source: the published S4 training of CATR (arXiv 2309.09709), costs and constants included. How the
scores' loss is averaged is not published: here over queries, by their weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from avscli.datatypes import VOID
from avscli.networks.layers import resize
from avscli.objects.regions import connected_regions
from avscli.objects.tracking import best_assignment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from avscli.networks.catr.decoder import Answers

REFERRED_COST, DICE_COST = 2.0, 7.0  # of a query for a source; the second is a literal, the first
# and the weight of queries without a source are those of MTTR, from which the settings descend.
UNREFERRED_WEIGHT = 0.1
# What a loss counts before a recipe weighs it: as published, and MTTR's for Dice.
WEIGHTS = {"referred": 1.0, "dice": 5.0, "focal": 5.0, "bce": 4.0}
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0
MOST_SOURCES = 8  # of a step, where sources are taught apart; what is smaller joins the last one


class Pairs(NamedTuple):
    """M queries and the sources that they are to mark.

    Attributes:
        steps: [M] int64, place among the N labelled steps.
        queries: [M] int64.
        sources: [M, H, W] bool.
        weights: [M] float32 with a sum of 1 for each step that has a source.
    """

    steps: Tensor
    queries: Tensor
    sources: Tensor
    weights: Tensor


def query_losses(
    answers: Answers, targets: Tensor, labelled: Tensor, *, official: bool, apart: bool = False
) -> dict[str, Tensor]:
    """Return each loss, weighed, summed over the labelled steps and the decoder's layers.

    Args:
        answers: of B clips of T steps.
        targets: [B, T, H, W] uint8: 1 what sounds, 0 what does not, 255 void.
        labelled: [B, T] bool.
        official: cross-entropy takes the sigmoid of a mask for its logits, as published.
        apart: each connected region of a target is a source of its own; otherwise all are one.

    Returns:
        ``referred``, ``dice``, ``focal`` and ``bce``, float32 scalars. All depend on all answers,
        with a gradient of zero where no step is labelled or nothing sounds.
    """
    truth = targets[labelled]
    known = truth != VOID
    sources = [sources_of(mask == 1, apart=apart) for mask in truth]
    of_all = torch.stack([values.float().sum() for values in answers]).sum() * 0.0
    totals = dict.fromkeys(WEIGHTS, of_all)
    for layer in range(len(answers.scores)):
        scores, masks = answers.scores[layer][labelled].float(), answers.masks(layer)[labelled]
        pairs = matched(scores, masks, sources, known)
        chosen = resize(masks[pairs.steps, pairs.queries][:, None], truth.shape[-2:])[:, 0]
        of_pairs = mask_losses(chosen, pairs.sources, known[pairs.steps], official=official)
        sums = {name: (values * pairs.weights).sum() for name, values in of_pairs.items()}
        sums["referred"] = referred_loss(scores, pairs).sum()
        totals = {name: total + WEIGHTS[name] * sums[name] for name, total in totals.items()}
    return totals


def sources_of(mask: Tensor, *, apart: bool) -> Tensor:
    """Return the K sources of a mask [H, W] bool as [K, H, W] bool; none of an empty one."""
    if not mask.any():
        return mask.new_zeros(0, *mask.shape)
    if not apart:
        return mask[None]
    regions = connected_regions(mask.cpu().numpy().view(np.uint8)).labels
    sizes = np.bincount(regions.ravel())[1:]
    rank = np.zeros(1 + len(sizes), np.int64)
    rank[1:][np.argsort(-sizes, kind="stable")] = np.arange(1, len(rank)).clip(max=MOST_SOURCES)
    ranked = torch.from_numpy(rank[regions]).to(mask.device)
    return ranked == torch.arange(1, int(rank.max()) + 1, device=mask.device)[:, None, None]


@torch.no_grad()
def matched(scores: Tensor, masks: Tensor, sources: Sequence[Tensor], known: Tensor) -> Pairs:
    """Give each source of N steps a query of its own, at the least cost for the step.

    Args:
        scores: [N, Q, 2] logits.
        masks: [N, Q, h, w] logits.
        sources: of each step, [K, H, W] bool.
        known: [N, H, W] bool, pixels that are not void.
    """
    steps, queries, found, weights = [], [], [known.new_zeros(0, *known.shape[1:])], []
    for step, of_step in enumerate(sources):
        if not len(of_step):
            continue
        cost = costs(
            scores[step], resize(masks[step, None], known.shape[1:])[0], of_step, known[step]
        )
        pairs = best_assignment(-cost.cpu().double().numpy())
        steps += [step] * len(pairs)
        queries += [query for query, _ in pairs]
        weights += [1.0 / len(pairs)] * len(pairs)
        found.append(of_step[[source for _, source in pairs]])
    where = masks.device
    return Pairs(
        steps=torch.tensor(steps, dtype=torch.int64, device=where),
        queries=torch.tensor(queries, dtype=torch.int64, device=where),
        sources=torch.cat(found),
        weights=torch.tensor(weights, dtype=torch.float32, device=where),
    )


def costs(scores: Tensor, masks: Tensor, sources: Tensor, known: Tensor) -> Tensor:
    """Return [Q, K]: what it costs that a query marks a source.

    Args:
        scores: [Q, 2] logits.
        masks: [Q, H, W] logits.
        sources: [K, H, W] bool.
        known: [H, W] bool.
    """
    overlap = dice_coefficient(masks[:, None], sources[None], known)
    return -REFERRED_COST * scores.softmax(dim=1)[:, :1] - DICE_COST * overlap


def dice_coefficient(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Return [...] in (0, 1]: twice the overlap over the sum of both, each with 1 pixel added.

    Args:
        logits: [..., H, W].
        truth: [..., H, W] bool.
        known: [..., H, W] bool; other pixels count nowhere.
    """
    probability, marked = logits.sigmoid() * known, (truth & known).to(logits.dtype)
    overlap = (probability * marked).sum((-2, -1))
    return (2.0 * overlap + 1.0) / (probability.sum((-2, -1)) + marked.sum((-2, -1)) + 1.0)


def mask_losses(
    logits: Tensor, truth: Tensor, known: Tensor, *, official: bool
) -> dict[str, Tensor]:
    """Return ``dice``, ``focal`` and ``bce`` of M masks, [M] each.

    Args:
        logits: [M, H, W].
        truth: [M, H, W] bool.
        known: [M, H, W] bool; the means are over these pixels.
        official: as in `query_losses`.
    """
    marked = truth.to(logits.dtype)
    pixels = known.sum((1, 2)).clamp_min(1)

    def mean(values: Tensor) -> Tensor:
        return (values * known).sum((1, 2)) / pixels

    entropy = F.binary_cross_entropy_with_logits(logits, marked, reduction="none")
    right = torch.where(truth, logits, -logits).sigmoid()
    share = torch.where(truth, FOCAL_ALPHA, 1.0 - FOCAL_ALPHA)
    focal = mean(share * (1.0 - right) ** FOCAL_GAMMA * entropy)
    if official:  # the published loss squashes twice, and cannot go below log(1 + 1/e)
        squashed = logits.sigmoid()
        entropy = F.binary_cross_entropy_with_logits(squashed, marked, reduction="none")
    dice = 1.0 - dice_coefficient(logits, truth, known)
    return {"dice": dice, "focal": focal, "bce": mean(entropy)}


def referred_loss(scores: Tensor, pairs: Pairs) -> Tensor:
    """Return [N]: cross-entropy of scores [N, Q, 2], index 0 for queries that have a source.

    A mean over queries, those without a source weighted by 0.1.
    """
    has_none = torch.ones(scores.shape[:2], dtype=torch.int64, device=scores.device)
    has_none[pairs.steps, pairs.queries] = 0
    weights = torch.where(has_none == 1, UNREFERRED_WEIGHT, 1.0)
    entropy = F.cross_entropy(scores.flatten(0, 1), has_none.flatten(), reduction="none")
    return (entropy.reshape(weights.shape) * weights).sum(dim=1) / weights.sum(dim=1)

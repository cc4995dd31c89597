"""The audio-guided modality alignment of one level of a picture encoder.

Source: Liu et al., arXiv 2503.12847, section 3.2; after the paper. Unknown, and so ours: where
tokens are normed, that groups are found on a grid no finer than stride 16, how a group's score
follows from its tokens', the scale of what is added, and the anchor and shares of the contrast.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from avscli.networks.ama.grouping import density_peaks, nearest_centre

if TYPE_CHECKING:
    from torch import Tensor

GROUPING_STRIDE = 16  # ours: densities compare all tokens with all, too many on finer grids
ADDED_AT_FIRST = 0.1  # ours: an encoder that was trained without the sound must not be upset


@dataclass(frozen=True, slots=True)
class Grouping:
    """How tokens are grouped and contrasted; no source states any number.

    Attributes:
        num_groups: P.
        num_neighbours: k of the densities.
        contrast_share: of the tokens of a picture that answer the sound most, and least.
        contrast_temperature: of the InfoNCE.
    """

    num_groups: int = 16
    num_neighbours: int = 5
    contrast_share: float = 0.25
    contrast_temperature: float = 0.1


class Aligned(NamedTuple):
    """What an alignment gives.

    Attributes:
        maps: [N, C, h, w], to go on with.
        contrast: [N] InfoNCE between tokens that answer the sound and those that do not.
    """

    maps: Tensor
    contrast: Tensor


class AudioGuidedAlignment(nn.Module):
    """AMA: group tokens, let the sound weigh each group's, and give them back what it heeds.

    Args:
        channels: C of the level.
        audio_features: D of the sound.
        heads: of the attention; must divide C.
        stride: of the level, in pixels.
        grouping: how tokens are grouped.
    """

    def __init__(
        self, channels: int, audio_features: int, *, heads: int, stride: int, grouping: Grouping
    ) -> None:
        super().__init__()
        self.heads = heads
        self.pooled = max(1, GROUPING_STRIDE // stride)
        self.grouping = grouping
        self.norm = nn.LayerNorm(channels)
        self.sound = nn.Linear(audio_features, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), ADDED_AT_FIRST))

    def forward(self, maps: Tensor, sound: Tensor) -> Aligned:
        """Align maps [N, C, h, w] of N frames with their sounds [N, D]."""
        tokens = maps.flatten(2).transpose(1, 2)  # [N, L, C]
        normed = self.norm(tokens)
        asked, keys = self.sound(sound), self.key(normed)
        response = self._response(asked, keys)  # [N, heads, L]
        member = self._members(normed.transpose(1, 2).reshape_as(maps), normed)  # [N, P, L]
        compact, score = self._merged(self.value(normed), response, member)
        affinity = normed @ compact.transpose(1, 2) / math.sqrt(tokens.shape[2])
        heeded = (affinity + score[:, None]).softmax(dim=2) @ compact  # [N, L, C]
        updated = tokens + self.scale * heeded
        contrast = contrast_of(
            F.cosine_similarity(keys, asked[:, None], dim=2),
            response.mean(dim=1),
            share=self.grouping.contrast_share,
            temperature=self.grouping.contrast_temperature,
        )
        return Aligned(updated.transpose(1, 2).reshape_as(maps), contrast)

    def _response(self, asked: Tensor, keys: Tensor) -> Tensor:
        """Return [N, heads, L]: how much tokens with keys [N, L, C] answer what is asked [N, C]."""
        per_head = keys.reshape(*keys.shape[:2], self.heads, -1)  # [N, L, heads, C / heads]
        question = asked.reshape(len(asked), self.heads, -1)
        response = torch.einsum("nlhd,nhd->nhl", per_head, question)
        return response / math.sqrt(per_head.shape[3])

    def _members(self, grid: Tensor, normed: Tensor) -> Tensor:
        """Return [N, P, L] bool: which tokens [N, L, C], on a grid [N, C, h, w], each group has."""
        coarse = F.avg_pool2d(grid, self.pooled).flatten(2).transpose(1, 2)
        num_groups = min(self.grouping.num_groups, coarse.shape[1])
        places = density_peaks(coarse, num_groups, self.grouping.num_neighbours)
        centres = coarse.gather(1, places[..., None].expand(-1, -1, coarse.shape[2]))
        labels = nearest_centre(normed, centres)
        groups = torch.arange(num_groups, device=labels.device)
        return labels[:, None] == groups[:, None]

    def _merged(self, values: Tensor, response: Tensor, member: Tensor) -> tuple[Tensor, Tensor]:
        """Merge each group into one token, its own by how much they answer the sound.

        Returns:
            [N, P, C] tokens, and [N, P] scores: the mean answer of what went into each; −∞ for a
            group without a member, which then nobody heeds.
        """
        within = response[:, :, None].masked_fill(~member[:, None], torch.finfo(response.dtype).min)
        weights = within.softmax(dim=3)  # [N, heads, P, L]
        per_head = values.reshape(*values.shape[:2], self.heads, -1).transpose(1, 2)
        compact = (weights @ per_head).transpose(1, 2).flatten(2)
        score = (weights * response[:, :, None]).sum(dim=3).mean(dim=1)
        return compact, score.masked_fill(~member.any(dim=2), -torch.inf)


def contrast_of(
    similarity: Tensor, response: Tensor, *, share: float, temperature: float
) -> Tensor:
    """InfoNCE: the sound is the anchor, tokens that answer it are positives, the others negatives.

    Args:
        similarity: [N, L] of each token to the sound, −1 … 1.
        response: [N, L]; only its order counts.
        share: of the tokens on either side, at least one.
        temperature: τ.

    Returns:
        [N] −mean over positives of log(e^{s/τ} / (e^{s/τ} + Σ over negatives e^{s/τ})).
    """
    order = response.detach().argsort(dim=1, descending=True, stable=True)
    count = max(1, int(share * order.shape[1]))
    scores = similarity.gather(1, order) / temperature
    positive, negative = scores[:, :count], scores[:, -count:]
    against = negative.logsumexp(dim=1, keepdim=True)
    return F.softplus(against - positive).mean(dim=1)

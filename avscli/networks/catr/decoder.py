"""From encoded clips to masks: queries ask each frame, each answers with a kernel and a score.

Source: arXiv 2309.09709; kernels as in Botach et al., "End-to-End Referring Video Object
Segmentation with Multimodal Transformers", arXiv 2111.14821, from which CATR descends.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from avscli.networks.catr.attention import DecoderLayer
from avscli.networks.catr.encoder import LAYERS

if TYPE_CHECKING:
    from torch import Tensor

    from avscli.networks.catr.attention import LayerSizes, Memory

_GROUPS = 8  # of the pixel decoder's norms
_LEAST_EVIDENCE = 1e-30  # whose logarithm is a number, and has a gradient


class Answers(NamedTuple):
    """What Q queries found in the frames of B clips, after each of the decoder's layers.

    Attributes:
        scores: [layers, B, T, Q, 2] logits of "refers to what sounds" and "does not".
        kernels: [layers, B, T, Q, K], weights of a 1×1 convolution each.
        pixels: [B, T, K, h, w] maps that the kernels are for.
    """

    scores: Tensor
    kernels: Tensor
    pixels: Tensor

    def referred(self, layer: int) -> Tensor:
        """Return [B, T, Q] float32 logits of "refers to what sounds", a sigmoid each."""
        scores = self.scores[layer].float()
        return scores[..., 0] - scores[..., 1]

    def any_referred(self, layer: int) -> Tensor:
        """Return [B, T] float32 logits of "some query refers to what sounds".

        Its probability is 1 − Π (1 − p) over the queries' own. While a network has not settled on
        one of them for a thing, each is unsure, and all together are not.
        """
        none = F.softplus(self.referred(layer)).sum(dim=2).clamp_min(_LEAST_EVIDENCE)  # −log Π
        return none + torch.log(-torch.expm1(-none))

    def masks(self, layer: int) -> Tensor:
        """Return [B, T, Q, h, w] float32 logits of all queries' masks."""
        return applied(self.kernels[layer], self.pixels)


def applied(kernels: Tensor, pixels: Tensor) -> Tensor:
    """Convolve maps [B, T, K, h, w] with kernels [B, T, Q, K] into float32 [B, T, Q, h, w]."""
    return torch.einsum("btqk,btkhw->btqhw", kernels, pixels).float()


class QueryDecoder(nn.Module):
    """Learned queries that ask the memory of each frame.

    Args:
        sizes: as everywhere.
        num_queries: Q.
    """

    def __init__(self, sizes: LayerSizes, num_queries: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(num_queries, sizes.channels))
        self.layers = nn.ModuleList(DecoderLayer(sizes) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(sizes.channels)

    def forward(self, memory: Memory, sought: Tensor) -> Tensor:
        """Ask.

        Args:
            memory: of N frames.
            sought: [N, C], with what all queries of a frame begin.

        Returns:
            [layers, N, Q, C] answers after each layer.
        """
        answers = sought[:, None].expand(-1, len(self.queries), -1)
        after = []
        for layer in self.layers:
            answers = layer(answers, self.queries, memory)
            after.append(self.norm(answers))
        return torch.stack(after)


class PixelDecoder(nn.Module):
    """Fused maps, with two coarser levels of the picture, to maps that kernels are for.

    Args:
        channels: C of all maps that come in; the ones that go out have K = C / 4.
        official: sample the fused maps down to the deepest level's grid, 1 of 16 values, and go
            back up to the middle one's; otherwise they keep their grid, and the levels come to it.
    """

    def __init__(self, channels: int, *, official: bool) -> None:
        super().__init__()
        self.official = official
        widths = [channels, *(channels // 2**k for k in range(4))]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, padding=1),
                nn.GroupNorm(_GROUPS, outputs),
                nn.ReLU(),
            )
            for inputs, outputs in pairwise(widths)
        )
        self.deep = nn.Conv2d(channels, channels // 2, 1)
        self.middle = nn.Conv2d(channels, channels // 4, 1)
        self.out = nn.Conv2d(channels // 8, channels // 4, 3, padding=1)

    def forward(self, fused: Tensor, middle: Tensor, deep: Tensor) -> Tensor:
        """Decode.

        Args:
            fused: [N, C, h, w] at stride 8.
            middle: [N, C, ·, ·] at stride 16.
            deep: [N, C, ·, ·] at stride 32.

        Returns:
            [N, C / 4, ·, ·] at stride 8, or at 16 if official.
        """
        first, second, third, fourth = self.blocks
        maps = self._joined(second(first(fused)), self.deep(deep))
        maps = self._joined(third(maps), self.middle(middle))
        pixels: Tensor = self.out(fourth(maps))
        return pixels

    def _joined(self, maps: Tensor, level: Tensor) -> Tensor:
        if self.official:
            return F.interpolate(maps, size=level.shape[-2:], mode="nearest") + level
        size = maps.shape[-2:]
        return maps + F.interpolate(level, size=size, mode="bilinear", align_corners=False)


def both(mask: Tensor, referred: Tensor) -> Tensor:
    """Return the logits of two things at once: that something sounds, and that it is this pixel.

    The probability is the product of the two: sigmoid(mask) · sigmoid(referred). So nothing is
    marked at ½ where no query is referred to, and no pixel is surer than that one is.

    >>> logits = both(torch.tensor([9.0, 9.0, -9.0]), torch.tensor([9.0, -1.0, 9.0]))
    >>> logits.sigmoid().round(decimals=2).tolist()
    [1.0, 0.27000001072883606, 0.0]
    """
    return -torch.logaddexp(torch.logaddexp(-mask, -referred), -mask - referred)

"""Pyramid Vision Transformer v2, size b5: the larger picture encoder of the AVS papers.

Paper: W. Wang et al., "PVT v2: Improved Baselines with Pyramid Vision Transformer",
Computational Visual Media 8 (2022), arXiv 2106.13797; sizes from its table 1, row b5.
Parameter names follow the published ImageNet checkpoints (``block3.17.attn.kv.weight``), so
that those load without a table. The code is our own, under this project's licence; the
ImageNet weights are their authors' (Apache-2.0) and are not part of this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avscli.networks.state_dicts import load_strictly

if TYPE_CHECKING:
    from collections.abc import Mapping

    from avscli.networks.layers import StageHook


@dataclass(frozen=True, slots=True)
class Stage:
    """One resolution of the pyramid.

    Attributes:
        channels: width of its tokens.
        depth: number of transformer blocks.
        num_heads: attention heads; each is ``channels / num_heads`` wide.
        reduction: keys and values are taken from a grid this many times coarser per side.
        mlp_ratio: hidden width of the feed-forward part over ``channels``.
    """

    channels: int
    depth: int
    num_heads: int
    reduction: int
    mlp_ratio: int = 4


B5_STAGES = (Stage(64, 3, 1, 8), Stage(128, 6, 2, 4), Stage(320, 40, 5, 2), Stage(512, 3, 8, 1))
# Blocks and stage ends use 1e-6, patch embeddings and reduced keys PyTorch's 1e-5: the
# published weights were trained that way.
BLOCK_NORM_EPS = 1e-6


class DropPath(nn.Module):
    """Stochastic depth: drop a residual branch per sample and rescale the others.

    Source: G. Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016, §3.

    Args:
        probability: of dropping, in [0, 1); no effect in evaluation.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, branch: Tensor) -> Tensor:
        """Return ``branch`` [N, ...] with some samples zeroed, mean preserved."""
        if not self.training or self.probability == 0.0:
            return branch
        keep = 1.0 - self.probability
        shape = (len(branch),) + (1,) * (branch.ndim - 1)
        return branch * branch.new_empty(shape).bernoulli_(keep).div_(keep)


class OverlapPatchEmbedding(nn.Module):
    """Strided convolution whose windows overlap, then LayerNorm over channels."""

    def __init__(self, in_channels: int, channels: int, *, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, kernel, stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(channels)

    def forward(self, maps: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Return tokens [N, h·w, channels] of maps [N, in, H, W], and their grid (h, w)."""
        maps = self.proj(maps)
        tokens: Tensor = self.norm(_to_tokens(maps))
        return tokens, (maps.shape[2], maps.shape[3])


class SpatialReductionAttention(nn.Module):
    """Multi-head self-attention whose keys and values come from a coarser grid (SRA)."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.num_heads = stage.num_heads
        self.q = nn.Linear(stage.channels, stage.channels)
        self.kv = nn.Linear(stage.channels, 2 * stage.channels)
        self.proj = nn.Linear(stage.channels, stage.channels)
        self.reduction = stage.reduction
        if stage.reduction > 1:
            self.sr = nn.Conv2d(stage.channels, stage.channels, stage.reduction, stage.reduction)
            self.norm = nn.LayerNorm(stage.channels)

    def forward(self, tokens: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """Attend over tokens [N, h·w, C] lying on ``grid_hw``; same shape out."""
        N, L, C = tokens.shape
        heads = (self.num_heads, C // self.num_heads)
        query = self.q(tokens).reshape(N, L, *heads).transpose(1, 2)  # [N, heads, L, d]
        source = tokens
        if self.reduction > 1:
            source = self.norm(_to_tokens(self.sr(_to_maps(tokens, grid_hw))))
        key, value = self.kv(source).reshape(N, -1, 2, *heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.proj(mixed.transpose(1, 2).reshape(N, L, C))
        return projected


class DepthwiseConvolution(nn.Module):
    """3×3 depth-wise convolution of tokens on their grid; it also encodes position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, tokens: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """Convolve tokens [N, h·w, C] lying on ``grid_hw``; same shape out."""
        return _to_tokens(self.dwconv(_to_maps(tokens, grid_hw)))


class ConvolutionalFeedForward(nn.Module):
    """Linear, depth-wise convolution, GELU, linear."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.dwconv = DepthwiseConvolution(hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, tokens: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """Transform tokens [N, h·w, C] lying on ``grid_hw``; same shape out."""
        hidden = F.gelu(self.dwconv(self.fc1(tokens), grid_hw))
        transformed: Tensor = self.fc2(hidden)
        return transformed


class Block(nn.Module):
    """Pre-norm transformer block: attention and feed-forward, each with a residual."""

    def __init__(self, stage: Stage, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(stage.channels, eps=BLOCK_NORM_EPS)
        self.attn = SpatialReductionAttention(stage)
        self.norm2 = nn.LayerNorm(stage.channels, eps=BLOCK_NORM_EPS)
        self.mlp = ConvolutionalFeedForward(stage.channels, stage.mlp_ratio * stage.channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """Transform tokens [N, h·w, C] lying on ``grid_hw``; same shape out."""
        attended: Tensor = self.drop_path(self.attn(self.norm1(tokens), grid_hw))
        tokens = tokens + attended
        transformed: Tensor = self.drop_path(self.mlp(self.norm2(tokens), grid_hw))
        return tokens + transformed


class PyramidVisionTransformer(nn.Module):
    """Four stages of transformer blocks at strides 4, 8, 16, 32.

    Args:
        stages: the pyramid, finest first.
        drop_path: stochastic-depth probability of the last block; earlier blocks grow towards
            it linearly from 0.

    Attributes:
        channels: of the four feature maps, finest first.
        taps: the modules after which each stage's norm follows, finest first.
    """

    def __init__(
        self, stages: tuple[Stage, Stage, Stage, Stage], *, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.channels = tuple(stage.channels for stage in stages)
        self.taps = tuple(f"block{k}.{stage.depth - 1}" for k, stage in enumerate(stages, start=1))
        rates = torch.linspace(0.0, drop_path, sum(stage.depth for stage in stages)).tolist()
        in_channels = 3
        for number, stage in enumerate(stages, start=1):
            kernel, stride = (7, 4) if number == 1 else (3, 2)
            embedding = OverlapPatchEmbedding(
                in_channels, stage.channels, kernel=kernel, stride=stride
            )
            blocks = nn.ModuleList(Block(stage, rates.pop(0)) for _ in range(stage.depth))
            self.add_module(f"patch_embed{number}", embedding)
            self.add_module(f"block{number}", blocks)
            self.add_module(f"norm{number}", nn.LayerNorm(stage.channels, eps=BLOCK_NORM_EPS))
            in_channels = stage.channels

    def forward(self, frames: Tensor, between: StageHook | None = None) -> list[Tensor]:
        """Encode frames.

        Args:
            frames: [N, 3, H, W] float32, normalised by ImageNet mean and standard deviation.
            between: changes the map of each level, where one wants to.

        Returns:
            Four maps [N, channels[k], H/4·2^-k, W/4·2^-k], k = 0 … 3.
        """
        maps, features = frames, []
        for number in range(1, 5):
            tokens, grid_hw = self.get_submodule(f"patch_embed{number}")(maps)
            for block in self.get_submodule(f"block{number}").children():
                tokens = block(tokens, grid_hw)
            maps = _to_maps(self.get_submodule(f"norm{number}")(tokens), grid_hw)
            maps = maps if between is None else between(number - 1, maps)
            features.append(maps)
        return features


def pvt_v2_b5(*, drop_path: float = 0.0) -> PyramidVisionTransformer:
    """Build the size the AVS papers use; they train it with ``drop_path`` 0.1."""
    return PyramidVisionTransformer(B5_STAGES, drop_path=drop_path)


def load_imagenet_pvt_v2(network: PyramidVisionTransformer, state: Mapping[str, Tensor]) -> None:
    """Start ``network`` from a published ImageNet classifier, without its ``head``.

    Raises:
        CheckpointMismatchError: a key is missing, unexpected, or of another shape.
    """
    headless = {key: value for key, value in state.items() if not key.startswith("head.")}
    load_strictly(network, headless, source="the ImageNet PVT v2 state dict")


def _to_tokens(maps: Tensor) -> Tensor:
    return maps.flatten(2).transpose(1, 2)  # [N, C, h, w] → [N, h·w, C]


def _to_maps(tokens: Tensor, grid_hw: tuple[int, int]) -> Tensor:
    N, _, C = tokens.shape
    return tokens.transpose(1, 2).reshape(N, C, *grid_hw)  # [N, h·w, C] → [N, C, h, w]

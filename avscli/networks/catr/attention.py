"""Transformer layers as CATR stacks them: attention, feed-forward, and a norm after each sum.

Source: Carion et al., "End-to-End Object Detection with Transformers", arXiv 2005.12872,
appendix A.3. Places are added to queries and keys, never to values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

_LONGEST_WAVE = 10_000.0


class LayerSizes(NamedTuple):
    """What all layers of one network share.

    Attributes:
        channels: C of every token.
        heads: of every attention; divides C.
        feed_forward: hidden width behind every attention.
        dropout: probability in [0, 1), in training.
    """

    channels: int
    heads: int
    feed_forward: int
    dropout: float


class Memory(NamedTuple):
    """Tokens that are attended to.

    Attributes:
        tokens: [N, S, C].
        places: [S, C] added to them where they serve as keys.
        is_valid: [N, S] bool, tokens that may be attended to; None for all of them.
    """

    tokens: Tensor
    places: Tensor
    is_valid: Tensor | None


class Attention(nn.MultiheadAttention):
    """Multi-head attention that never forms its weights as a whole."""

    def __init__(self, sizes: LayerSizes) -> None:
        super().__init__(sizes.channels, sizes.heads, dropout=sizes.dropout, batch_first=True)

    def attend(self, queries: Tensor, memory: Memory, *, values: Tensor | None = None) -> Tensor:
        """Let queries [N, Q, C] attend to a memory; return [N, Q, C].

        Args:
            queries: with their places.
            memory: keys, and values where none are given.
            values: [N, S, C].
        """
        # A mask, even one that hides nothing, keeps PyTorch from its fastest kernels.
        hidden = None if memory.is_valid is None else ~memory.is_valid
        attended: Tensor = self(
            queries,
            memory.tokens + memory.places,
            memory.tokens if values is None else values,
            key_padding_mask=hidden,
            need_weights=False,
        )[0]
        return attended


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward."""

    def __init__(self, sizes: LayerSizes) -> None:
        super().__init__()
        self.attention = Attention(sizes)
        self.norm1 = nn.LayerNorm(sizes.channels)
        self.feed_forward = _feed_forward(sizes)
        self.norm2 = nn.LayerNorm(sizes.channels)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, memory: Memory) -> Tensor:
        """Return the memory's tokens [N, S, C] after they attended to each other."""
        tokens, places, _ = memory
        attended = self.attention.attend(tokens + places, memory)
        tokens = self.norm1(tokens + self.dropout(attended))
        transformed: Tensor = self.norm2(tokens + self.dropout(self.feed_forward(tokens)))
        return transformed


class DecoderLayer(nn.Module):
    """Self-attention of queries, attention to a memory, feed-forward."""

    def __init__(self, sizes: LayerSizes) -> None:
        super().__init__()
        self.attention = Attention(sizes)
        self.norm1 = nn.LayerNorm(sizes.channels)
        self.memory_attention = Attention(sizes)
        self.norm2 = nn.LayerNorm(sizes.channels)
        self.feed_forward = _feed_forward(sizes)
        self.norm3 = nn.LayerNorm(sizes.channels)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, answers: Tensor, queries: Tensor, memory: Memory) -> Tensor:
        """Refine answers.

        Args:
            answers: [N, Q, C] what the queries found so far.
            queries: [Q, C], the places of the answers.
            memory: what they ask.

        Returns:
            [N, Q, C].
        """
        attended = self.attention.attend(answers + queries, Memory(answers, queries, None))
        answers = self.norm1(answers + self.dropout(attended))
        attended = self.memory_attention.attend(answers + queries, memory)
        answers = self.norm2(answers + self.dropout(attended))
        transformed: Tensor = self.norm3(answers + self.dropout(self.feed_forward(answers)))
        return transformed


def sine_places(height: int, width: int, channels: int, like: Tensor) -> Tensor:
    """Return [height · width, channels] sines and cosines of rows, then of columns.

    Args:
        height: rows h of the grid.
        width: columns w.
        channels: C, a multiple of 4.
        like: gives device and dtype.

    Source: arXiv 2005.12872, appendix A.4, with rows and columns scaled to (0, 2π].
    """
    half = channels // 2
    pairs = torch.arange(half, device=like.device) // 2
    waves = _LONGEST_WAVE ** (2.0 * pairs / half)

    def encoded(count: int) -> Tensor:
        steps = torch.arange(1, count + 1, device=like.device, dtype=torch.float32)
        angles = (steps / (count + 1e-6) * 2.0 * torch.pi)[:, None] / waves
        both = torch.stack((angles[:, 0::2].sin(), angles[:, 1::2].cos()), dim=2)
        return both.flatten(1)  # [count, half]

    rows = encoded(height)[:, None].expand(-1, width, -1)
    columns = encoded(width)[None].expand(height, -1, -1)
    return torch.cat((rows, columns), dim=2).flatten(0, 1).to(like.dtype)


def _feed_forward(sizes: LayerSizes) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(sizes.channels, sizes.feed_forward),
        nn.ReLU(),
        nn.Dropout(sizes.dropout),
        nn.Linear(sizes.feed_forward, sizes.channels),
    )

"""What networks of several papers are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch
    from torch import Tensor

    from avscli.datatypes import JsonScalar

    StageHook = Callable[[int, Tensor], Tensor]
    """From a level 0 … 3 of a picture encoder and its map to the map that takes its place.

    It is what the encoder returns, and what its next level is given.
    """


def conv_norm_relu(
    inputs: int, outputs: int, kernel_size: int, *, groups: int = 1
) -> nn.Sequential:
    """Return convolution (same size), batch norm, ReLU: the building block of every part."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2, groups=groups),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def resize(maps: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Resize [N, C, h, w] maps bilinearly with half-pixel centres; no copy when already there."""
    if maps.shape[-2:] == tuple(size):
        return maps
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)


class Attention(nn.Module):
    """Multi-head attention of one set of tokens over another.

    Args:
        channels: C of the tokens that ask, and of the answers.
        heads: must divide C.
        source_channels: of the tokens that are asked; C by default.
    """

    def __init__(self, channels: int, heads: int, source_channels: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(source_channels or channels, 2 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor, source: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Ask.

        Args:
            tokens: [N, Q, C].
            source: [N, K, source_channels].
            allowed: bool, broadcast to [N, heads, Q, K]: who may ask whom, each somebody.

        Returns:
            [N, Q, C].
        """
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)  # [N, heads, ·, C / heads]
            for part in (self.query(tokens), *self.key_value(source).chunk(2, dim=2))
        )
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        answers: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return answers


def heads_of(settings: Mapping[str, JsonScalar], channels: int) -> int:
    """Return a spec's number of attention ``heads``.

    Raises:
        ValueError: it does not divide the channels.
    """
    heads = settings["heads"]
    if not isinstance(heads, int) or heads < 1 or channels % heads:
        raise ValueError(f"heads must divide the {channels} channels, got {heads!r}")
    return heads


def count_of(settings: Mapping[str, JsonScalar], name: str, default: int, most: int) -> int:
    """Return a whole number of a spec, from 0 to what still fits into memory.

    Raises:
        ValueError: it is none, or too large.
    """
    count = settings.get(name, default)
    if not isinstance(count, int) or not 0 <= count <= most:
        raise ValueError(f"{name} must be 0 … {most}, got {count!r}")
    return count

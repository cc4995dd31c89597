"""What networks of several papers are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    import torch
    from torch import Tensor


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

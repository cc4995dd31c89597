"""What TPAVI and CATR put behind every level of their picture encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

_DILATIONS = (3, 6, 12, 18)


class DilatedSum(nn.ModuleList):
    """Sum of four 3×3 convolutions of the same maps, each of another dilation; nothing after it.

    Args:
        inputs: channels of the maps.
        outputs: channels of the sum.

    Source: Zhou et al., "Audio-Visual Segmentation", arXiv 2207.05042, whose code has neither norm
    nor activation here.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
            for dilation in _DILATIONS
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Map [N, inputs, h, w] to [N, outputs, h, w]."""
        first, *others = self
        total: Tensor = first(maps)
        for convolution in others:
            total = total + convolution(maps)
        return total

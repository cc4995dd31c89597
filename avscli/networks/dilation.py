"""What TPAVI and CATR put behind the levels of their picture encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

DILATIONS = (3, 6, 12, 18)


class DilatedSum(nn.Module):
    """Sum of four 3×3 convolutions that look differently far, without norm or activation.

    Source: Zhou et al., "Audio-Visual Segmentation", arXiv 2207.05042, section 3.2 (the ASPP of its
    figure 4).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
            for dilation in DILATIONS
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Map [N, inputs, h, w] to [N, outputs, h, w]."""
        first, *others = self.branches
        summed: Tensor = first(maps)
        for branch in others:
            summed = summed + branch(maps)
        return summed

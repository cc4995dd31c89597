"""MobileNetV2 without batch norm, as a four-level picture encoder.

Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
arXiv 1801.04381, table 2. Normalisation is folded into the convolutions, as in published
inference graphs, and stride-2 padding follows TensorFlow's SAME rule for even sizes (one pixel
after, none before), so that weights of such graphs can serve as a start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from avscli.networks.layers import StageHook

# (expansion, channels, repeats, stride of the first): arXiv 1801.04381 table 2, to 320 channels
_BLOCKS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
    (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
_TAPS = (2, 5, 12, 16)  # last block at strides 4, 8, 16, 32


class SameConv(nn.Conv2d):
    """3×3 or 1×1 convolution with TensorFlow's SAME padding for even input sizes."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        *,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__(
            inputs,
            outputs,
            kernel_size,
            stride=stride,
            padding=dilation * (kernel_size // 2) if stride == 1 else 0,
            groups=groups,
            dilation=dilation,
        )
        self.pads_after = stride == 2 and kernel_size == 3

    def reset_parameters(self) -> None:
        """Start with He's variance: without normalisation the default one fades with depth."""
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [N, C, h, w]; h and w must be even when the stride is 2."""
        if not self.pads_after:
            return super().forward(x)
        kernel = self._kernel_of_four()
        return F.conv2d(x, kernel, self.bias, stride=2, padding=1, groups=self.groups)

    def _kernel_of_four(self) -> Tensor:
        """Return a 4×4 kernel whose first row and column are zero.

        Over a picture padded on all sides it sees what the 3×3 kernel sees over one padded at the
        end, without a copy of the picture.
        """
        return F.pad(self.weight, (1, 0, 1, 0))

    @torch.no_grad()
    def padded_all_around(self) -> nn.Conv2d:
        """Return one that gives the same values, and pads as PyTorch does."""
        if not self.pads_after:
            return self
        same = nn.Conv2d(
            self.in_channels,
            self.out_channels,
            kernel_size=4,
            stride=2,
            padding=1,
            groups=self.groups,
            device="meta",
        )
        kernel = self._kernel_of_four().contiguous(memory_format=torch.channels_last)
        same.weight = nn.Parameter(kernel, requires_grad=self.weight.requires_grad)
        same.bias = self.bias
        return same


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; add the input when shapes allow."""

    def __init__(
        self, inputs: int, outputs: int, *, expansion: int, stride: int, dilation: int = 1
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = []
        if expansion > 1:
            layers += [SameConv(inputs, hidden, 1), nn.ReLU6(inplace=True)]
        layers += [
            SameConv(hidden, hidden, 3, stride=stride, groups=hidden, dilation=dilation),
            nn.ReLU6(inplace=True),
            SameConv(hidden, outputs, 1),
        ]  # fmt: skip
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, h, w] to [N, C', h/stride, w/stride]."""
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class MobileNetV2(nn.Module):
    """Picture encoder with maps of 24, 32, 96, 320 channels at strides 4, 8, 16, 32.

    Args:
        output_stride: 32, or 16 for a last level that keeps the third one's resolution and
            dilates its kernels instead (arXiv 1706.05587, as DeepLab's MobileNetV2 does).
    """

    channels = (24, 32, 96, 320)
    taps = tuple(f"blocks.{i}" for i in _TAPS)

    def __init__(self, output_stride: int = 32) -> None:
        super().__init__()
        self.stem = SameConv(3, 32, 3, stride=2)
        blocks: list[nn.Module] = []
        inputs = 32
        for expansion, outputs, repeats, first_stride in _BLOCKS:
            for i in range(repeats):
                stride, dilation = first_stride if i == 0 else 1, 1
                if len(blocks) > _TAPS[2] and output_stride == 16:
                    stride, dilation = 1, 1 if len(blocks) == _TAPS[2] + 1 else 2
                blocks.append(
                    InvertedResidual(
                        inputs, outputs, expansion=expansion, stride=stride, dilation=dilation
                    )
                )
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)

    def forward(self, frames: Tensor, between: StageHook | None = None) -> list[Tensor]:
        """Encode [N, 3, h, w] pictures in [-1, 1], sides divisible by 32, into four maps.

        Args:
            frames: of N pictures.
            between: changes the map of each level, where one wants to.
        """
        x = F.relu6(self.stem(frames), inplace=True)
        maps: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in _TAPS:
                x = x if between is None else between(len(maps), x)
                maps.append(x)
        return maps

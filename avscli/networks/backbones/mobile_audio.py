"""A light sound encoder: MobileNetV1 on one VGGish log-mel patch, without batch norm.

Source: Howard et al., "MobileNets", arXiv 1704.04861, table 1; the layer table on a 96 × 64
patch is that of the public YAMNet tagger, whose folded weights can serve as a start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import nn

from avscli.networks.backbones.mobilenet_v2 import SameConv

if TYPE_CHECKING:
    from torch import Tensor

# (channels, stride) of the depthwise-separable layers: arXiv 1704.04861 table 1
_LAYERS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1),
    (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
_PATCH_OFFSET = 0.01  # VGGish patches are log(mel + 0.01) …
_OWN_OFFSET = 0.001  # … and this encoder listens to log(mel + 0.001), as YAMNet does


class MobileAudio(nn.Module):
    """Log-mel patch to a 1024-d embedding."""

    num_features = 1024

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(1, 32, 3, stride=2)
        layers: list[nn.Module] = []
        inputs = 32
        for outputs, stride in _LAYERS:
            layers += [
                SameConv(inputs, inputs, 3, stride=stride, groups=inputs), nn.ReLU(inplace=True),
                SameConv(inputs, outputs, 1), nn.ReLU(inplace=True),
            ]  # fmt: skip
            inputs = outputs
        self.layers = nn.Sequential(*layers)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Encode VGGish log-mel patches [N, 1, 96, 64] into [N, 1024] non-negative features."""
        mel = (log_mel.float().exp() - _PATCH_OFFSET).clamp_min(0.0)
        x: Tensor = self.layers(F.relu(self.stem((mel + _OWN_OFFSET).log()), inplace=True))
        return x.mean(dim=(2, 3))

"""A light sound encoder: MobileNetV1 on one VGGish log-mel patch, without batch norm.

Source: Howard et al., "MobileNets", arXiv 1704.04861, table 1; the layer table on a 96 × 64
patch is that of the public YAMNet tagger, whose folded weights can serve as a start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
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
    """Log-mel patch to an embedding.

    Args:
        keeps_centre: append the features of the patch's middle third to their mean over the
            whole, so that what sounds *now* can be told from what sounded just before or after.
    """

    def __init__(self, *, keeps_centre: bool = False) -> None:
        super().__init__()
        self.keeps_centre = keeps_centre
        self.num_features = 2048 if keeps_centre else 1024
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
        """Encode VGGish log-mel patches [N, 1, 96, 64] into [N, D] non-negative features."""
        mel = (log_mel.float().exp() - _PATCH_OFFSET).clamp_min(0.0)
        x: Tensor = self.layers(F.relu(self.stem((mel + _OWN_OFFSET).log()), inplace=True))
        pooled = x.mean(dim=(2, 3))  # x: [N, 1024, 3, 2], time by frequency
        return torch.cat((pooled, x[:, :, 1].mean(dim=2)), dim=1) if self.keeps_centre else pooled

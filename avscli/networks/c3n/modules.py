"""C3N's projection of the encoder's maps, and its picture classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from avscli.networks.pcmanet.modules import PictureNaming

if TYPE_CHECKING:
    from torch import Tensor

_DILATIONS = (6, 12, 18)


class AtrousPyramid(nn.Module):
    """Five looks at a map, near to whole, joined by a 1×1 convolution; no norm, no activation.

    Source: Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation",
    arXiv 1706.05587, section 3.3, as the published C3N has it.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.whole = nn.Conv2d(inputs, outputs, 1)
        self.near = nn.Conv2d(inputs, outputs, 1)
        self.dilated = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
            for dilation in _DILATIONS
        )
        self.join = nn.Conv2d((2 + len(_DILATIONS)) * outputs, outputs, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Map [N, inputs, h, w] to [N, outputs, h, w]."""
        near = self.near(maps)
        whole = self.whole(maps.mean(dim=(2, 3), keepdim=True)).expand_as(near)
        looks = [whole, near, *(branch(maps) for branch in self.dilated)]
        joined: Tensor = self.join(torch.cat(looks, dim=1))
        return joined


class PooledClassifier(nn.Module):
    """Class logits of the mean over a map: what ends an ImageNet classifier."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(channels, num_classes)

    def forward(self, deep: Tensor) -> Tensor:
        """Map [N, E, h, w] to logits [N, K]."""
        logits: Tensor = self.head(deep.mean(dim=(2, 3)))
        return logits


class PlacesClassifier(nn.Module):
    """Class logits of each place, averaged: what a segmenter of named classes says of a picture."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.naming = PictureNaming(channels, 1 + num_classes)

    def forward(self, deep: Tensor) -> Tensor:
        """Map [N, E, h, w] to logits [N, K], the background left out."""
        logits: Tensor = self.naming(deep).mean(dim=(2, 3))[:, 1:]
        return logits

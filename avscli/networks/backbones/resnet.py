"""ResNet-50 as a picture encoder: the smaller one of the AVS papers.

Paper: K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1,
50 layers; the stride sits in the 3×3 convolution of a bottleneck, as in the published ImageNet
weights. Parameter names follow those weights (``layer3.5.conv2.weight``), so that they load
without a table. The published AVS checkpoints hold a second, never executed copy of the last
two layers (22 M parameters); it has no counterpart here and `avscli.networks.pcmanet.remap`
drops its keys. The code is our own, under this project's licence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from avscli.networks.state_dicts import load_strictly

if TYPE_CHECKING:
    from collections.abc import Mapping

    from avscli.networks.layers import StageHook

EXPANSION = 4  # output over inner channels of a bottleneck
WIDTHS = (64, 128, 256, 512)


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions with batch norm around a shortcut.

    Args:
        in_channels: channels of the input maps.
        width: inner channels; the output has four times as many.
        stride: of the 3×3 convolution and of the shortcut.
    """

    def __init__(self, in_channels: int, width: int, *, stride: int = 1) -> None:
        super().__init__()
        out_channels = EXPANSION * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = nn.Sequential()  # identity, without keys
        if stride != 1 or in_channels != out_channels:
            self.downsample.append(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False))
            self.downsample.append(nn.BatchNorm2d(out_channels))

    def forward(self, maps: Tensor) -> Tensor:
        """Transform maps [N, in, H, W] to [N, 4·width, H/stride, W/stride]."""
        branch = F.relu(self.bn1(self.conv1(maps)))
        branch = F.relu(self.bn2(self.conv2(branch)))
        return F.relu(self.bn3(self.conv3(branch)) + self.downsample(maps))


class ResNet(nn.Module):
    """A bottleneck ResNet without its classifier: four layers at strides 4, 8, 16, 32.

    Args:
        depths: number of bottlenecks in each layer.

    Attributes:
        channels: of the four feature maps, finest first.
        taps: the modules that give them.
    """

    channels = tuple(EXPANSION * width for width in WIDTHS)
    taps = ("layer1", "layer2", "layer3", "layer4")

    def __init__(self, depths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _layer(64, WIDTHS[0], depths[0], stride=1)
        self.layer2 = _layer(self.channels[0], WIDTHS[1], depths[1], stride=2)
        self.layer3 = _layer(self.channels[1], WIDTHS[2], depths[2], stride=2)
        self.layer4 = _layer(self.channels[2], WIDTHS[3], depths[3], stride=2)

    def forward(self, frames: Tensor, between: StageHook | None = None) -> list[Tensor]:
        """Encode frames.

        Args:
            frames: [N, 3, H, W] float32, normalised by ImageNet mean and standard deviation.
            between: changes the map of each level, where one wants to.

        Returns:
            Four maps [N, channels[k], H/4·2^-k, W/4·2^-k], k = 0 … 3.
        """
        stem = F.relu(self.bn1(self.conv1(frames)))
        maps, features = F.max_pool2d(stem, 3, stride=2, padding=1), []
        for level, layer in enumerate((self.layer1, self.layer2, self.layer3, self.layer4)):
            maps = layer(maps)
            maps = maps if between is None else between(level, maps)
            features.append(maps)
        return features


def resnet50() -> ResNet:
    """Build the 50-layer form."""
    return ResNet((3, 4, 6, 3))


def load_imagenet_resnet(network: ResNet, state: Mapping[str, Tensor]) -> None:
    """Start ``network`` from a published ImageNet classifier, without its ``fc``.

    Raises:
        CheckpointMismatchError: a key is missing, unexpected, or of another shape.
    """
    headless = {key: value for key, value in state.items() if not key.startswith("fc.")}
    load_strictly(network, headless, source="the ImageNet ResNet state dict")


def _layer(in_channels: int, width: int, depth: int, *, stride: int) -> nn.Sequential:
    first = Bottleneck(in_channels, width, stride=stride)
    rest = (Bottleneck(EXPANSION * width, width) for _ in range(depth - 1))
    return nn.Sequential(first, *rest)

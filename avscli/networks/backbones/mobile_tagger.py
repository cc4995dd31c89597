"""A light sound encoder that knows the 527 names of AudioSet: MobileNetV3 at width 0.4.

Source: Howard et al., "Searching for MobileNetV3", arXiv 1905.02244, table 1, on log-mel as in
Schmid et al., "Efficient Large-scale Audio Tagging via Transformer-to-CNN Knowledge Distillation",
arXiv 2211.04772. Batch norm is folded into the convolutions, as it is after training; the
published weights of EfficientAT's ``mn04_as`` serve as a start.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from avscli.networks.state_dicts import require_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

NUM_TAGS = 527
_NORM_EPSILON = 1e-3  # of the published batch norms


class _Block(NamedTuple):
    inputs: int
    expanded: int
    outputs: int
    kernel_size: int
    stride: int
    squeezes: bool
    activation: type[nn.Module]


_BLOCKS = tuple(
    _Block(*sizes, squeezes, activation)
    for repeats, sizes, squeezes, activation in (
        (1, (8, 8, 8, 3, 1), False, nn.ReLU),
        (1, (8, 24, 16, 3, 2), False, nn.ReLU),
        (1, (16, 32, 16, 3, 1), False, nn.ReLU),
        (1, (16, 32, 16, 5, 2), True, nn.ReLU),
        (2, (16, 48, 16, 5, 1), True, nn.ReLU),
        (1, (16, 96, 32, 3, 2), False, nn.Hardswish),
        (1, (32, 80, 32, 3, 1), False, nn.Hardswish),
        (2, (32, 72, 32, 3, 1), False, nn.Hardswish),
        (1, (32, 192, 48, 3, 1), True, nn.Hardswish),
        (1, (48, 272, 48, 3, 1), True, nn.Hardswish),
        (1, (48, 272, 64, 5, 2), True, nn.Hardswish),
        (2, (64, 384, 64, 5, 1), True, nn.Hardswish),
    )
    for _ in range(repeats)
)
_FEATURES = 384
_HIDDEN = 512


class MobileTagger(nn.Module):
    """Fine log-mel patch to an embedding, and from there to AudioSet's names.

    Attributes:
        num_features: D = 768, of an embedding: the mean over the patch, then the mean over its
            middle, so that what sounds *now* can be told from what sounded just before or after.
    """

    num_features = 2 * _FEATURES

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(1, 8, 3, stride=2), nn.Hardswish())
        self.blocks = nn.ModuleList(_InvertedResidual(block) for block in _BLOCKS)
        self.last = nn.Sequential(_conv(_BLOCKS[-1].outputs, _FEATURES, 1), nn.Hardswish())
        self.hidden = nn.Linear(_FEATURES, _HIDDEN)
        self.names = nn.Linear(_HIDDEN, NUM_TAGS)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Encode fine log-mel patches [N, 1, 128, F] into embeddings [N, 768]."""
        x = self.stem(log_mel.float())
        for block in self.blocks:
            x = block(x)
        of_steps = self.last(x).mean(dim=2)  # [N, 384, F / 32]
        margin = (of_steps.shape[2] - 1) // 3
        middle = of_steps[:, :, margin : of_steps.shape[2] - margin]
        return torch.cat((of_steps.mean(dim=2), middle.mean(dim=2)), dim=1)

    def tags(self, embedding: Tensor) -> Tensor:
        """Map embeddings [..., 768] to logits [..., 527] of AudioSet's names, a sigmoid each."""
        logits: Tensor = self.names(F.hardswish(self.hidden(embedding[..., :_FEATURES])))
        return logits


class _InvertedResidual(nn.Module):
    """Expand, filter each channel, weigh the channels, project; add the input when shapes allow."""

    def __init__(self, block: _Block) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if block.expanded != block.inputs:
            layers.append(nn.Sequential(_conv(block.inputs, block.expanded, 1), block.activation()))
        filtering = _conv(
            block.expanded,
            block.expanded,
            block.kernel_size,
            stride=block.stride,
            groups=block.expanded,
        )
        layers.append(nn.Sequential(filtering, block.activation()))
        if block.squeezes:
            layers.append(_SqueezeExcitation(block.expanded))
        layers.append(nn.Sequential(_conv(block.expanded, block.outputs, 1)))
        self.layers = nn.Sequential(*layers)
        self.adds_input = block.stride == 1 and block.inputs == block.outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.adds_input else y


class _SqueezeExcitation(nn.Module):
    """Weigh channels by what they hold on average.

    Source: Hu et al., "Squeeze-and-Excitation Networks", arXiv 1709.01507.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(8, (channels // 4 + 4) // 8 * 8)
        if squeezed < 0.9 * (channels // 4):  # as channels of MobileNets are rounded
            squeezed += 8
        self.fc1 = nn.Linear(channels, squeezed)
        self.fc2 = nn.Linear(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.fc2(F.relu(self.fc1(x.mean(dim=(2, 3))))).sigmoid()
        weighed: Tensor = x * weights[:, :, None, None]
        return weighed


def _conv(
    inputs: int, outputs: int, kernel_size: int, *, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    return nn.Conv2d(
        inputs, outputs, kernel_size, stride=stride, padding=kernel_size // 2, groups=groups
    )


def load_audioset_tagger(tagger: MobileTagger, state: Mapping[str, Tensor]) -> None:
    """Fill a tagger with the published weights of EfficientAT's ``mn04_as``.

    Args:
        tagger: in place.
        state: under the published names, with batch norms of their own.

    Raises:
        CheckpointMismatchError: naming the first published key that is missing, unexpected, or
            of another shape.
    """
    own = {key: tuple(value.shape) for key, value in tagger.state_dict().items()}
    folded = _without_norms({_own_name(key): value for key, value in state.items()})
    require_shapes(folded, own, source="the published tagger")
    tagger.load_state_dict(folded)


def _own_name(key: str) -> str:
    for pattern, name in (
        (r"^features\.0\.", "stem."),
        (r"^features\.16\.", "last."),
        (r"^classifier\.2\.", "hidden."),
        (r"^classifier\.5\.", "names."),
        (r"\.conc_se_layers\.0\.", "."),
    ):
        key = re.sub(pattern, name, key)
    return re.sub(
        r"^features\.(\d+)\.block\.", lambda found: f"blocks.{int(found[1]) - 1}.layers.", key
    )


def _without_norms(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fold every batch norm ``….1`` into the convolution ``….0`` before it."""
    folded = {}
    for key, value in state.items():
        room, _, leaf = key.rpartition(".")
        norm = room.removesuffix(".0") + ".1" if room.endswith(".0") else ""
        if f"{norm}.running_var" in state and leaf == "weight" and value.ndim == 4:
            mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
            scale = state[f"{norm}.weight"] / (variance + _NORM_EPSILON).sqrt()
            folded[f"{room}.weight"] = value * scale[:, None, None, None]
            folded[f"{room}.bias"] = state[f"{norm}.bias"] - mean * scale
        elif f"{room}.running_var" not in state:
            folded[key] = value
    return folded

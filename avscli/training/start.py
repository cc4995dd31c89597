"""Start weights of a run: published encoders, or a checkpoint of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from avscli.errors import CheckpointMismatchError
from avscli.networks.backbones.mobile_tagger import MobileTagger, load_audioset_tagger
from avscli.networks.backbones.pvt_v2 import PyramidVisionTransformer, load_imagenet_pvt_v2
from avscli.networks.backbones.resnet import ResNet, load_imagenet_resnet
from avscli.networks.backbones.vggish import VGGish, load_audioset_vggish
from avscli.networks.state_dicts import read_state_dict
from avscli.training.tflite_start import start_from_tflite

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


@dataclass(frozen=True, slots=True)
class StartWeights:
    """What a run starts from; None starts that part from random numbers.

    Attributes:
        backbone: state dict of a published ImageNet classifier, or a tflite graph for the light
            encoder.
        audio: VGGish state dict, or a tflite graph for the light encoder.
        checkpoint: a name or file of ours, for the whole network instead.
    """

    backbone: Path | None = None
    audio: Path | None = None
    checkpoint: str | None = None


def start_encoder(encoder: nn.Module, path: Path) -> None:
    """Fill an encoder from a published file in its own layout.

    Raises:
        WeightsError: the file is missing, damaged, or holds anything but weights.
        CheckpointMismatchError: weights of another encoder; names the file and the first key.
    """
    try:
        if isinstance(encoder, PyramidVisionTransformer):
            load_imagenet_pvt_v2(encoder, read_state_dict(path))
        elif isinstance(encoder, ResNet):
            load_imagenet_resnet(encoder, read_state_dict(path))
        elif isinstance(encoder, VGGish):
            load_audioset_vggish(encoder, read_state_dict(path))
        elif isinstance(encoder, MobileTagger):
            load_audioset_tagger(encoder, read_state_dict(path))
        else:
            start_from_tflite(encoder, path)
    except CheckpointMismatchError as err:
        raise CheckpointMismatchError(f"{path}: {err}", hint=err.hint) from err

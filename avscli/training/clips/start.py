"""Start weights of a run on clips: published encoders, or a checkpoint of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from avscli.checkpoints import load_network
from avscli.errors import CheckpointMismatchError, UsageError
from avscli.networks.backbones.mobile_tagger import MobileTagger, load_audioset_tagger
from avscli.networks.backbones.pvt_v2 import PyramidVisionTransformer, load_imagenet_pvt_v2
from avscli.networks.backbones.resnet import ResNet, load_imagenet_resnet
from avscli.networks.backbones.vggish import VGGish, load_audioset_vggish
from avscli.networks.state_dicts import load_strictly, read_state_dict
from avscli.training.tflite_start import start_from_tflite, start_naming

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from avscli.networks.pcmanet.network import PCMANet


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


def start_network(network: PCMANet, start: StartWeights, *, freezes_audio: bool) -> None:
    """Fill a fresh network with start weights.

    Args:
        network: in place.
        start: from these.
        freezes_audio: the audio encoder will not be trained, so it has to start as something.

    Raises:
        UsageError: two different starts, or none for an encoder that stays frozen.
        WeightsError: a file is missing, damaged, or holds anything but weights.
        CheckpointMismatchError: weights of another network.
    """
    if start.checkpoint is not None:
        if start.backbone or start.audio:
            raise UsageError("--start-weights brings both encoders; leave the other starts out")
        state = load_network(start.checkpoint).state_dict()
        load_strictly(network, state, source=f"the start weights {start.checkpoint}")
        return
    if freezes_audio and start.audio is None:
        raise UsageError(
            "this recipe keeps the audio encoder as it starts, so it needs --start-audio FILE",
            hint="give the VGGish state dict; docs/training.md says where it comes from",
        )
    if start.backbone is not None:
        start_encoder(network.backbone, start.backbone)
        if network.agreement is not None and start.backbone.suffix == ".tflite":
            names = str(network.spec.architecture["source_classes"]).split(",")
            start_naming(network.agreement.naming, names, start.backbone)
    if start.audio is not None:
        if network.audio_encoder is None:
            raise UsageError("this network has no audio encoder that --start-audio could fill")
        start_encoder(network.audio_encoder, start.audio)


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

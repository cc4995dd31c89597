"""Which picture encoder and which sound encoder a spec names, and what networks ask of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from avscli.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from avscli.datatypes import CheckpointInfo, JsonScalar, NetworkInput, NetworkSpec

VGGISH_FEATURES = 128  # what embeddings from outside have, where a network has no encoder
MOST_CHANNELS = 1024  # published networks have 256; a damaged number must not fill the memory


class AudioVisualNetwork(nn.Module):
    """What all networks have: an encoder of pictures, and mostly one of sounds.

    Args:
        spec: what the network expects and promises.
        backbone: picture encoder returning four maps at strides 4, 8, 16, 32, with their channel
            counts in ``channels``.
        audio_encoder: log-mel patches [N, 1, ·, ·] of ``spec.log_mel`` → embeddings [N, D], D in
            ``num_features``; one with ``tags`` names sounds as AudioSet does. None when embeddings
            are always given from outside.
    """

    def __init__(
        self, spec: NetworkSpec, backbone: nn.Module, audio_encoder: nn.Module | None
    ) -> None:
        super().__init__()
        self.spec = spec
        self.checkpoint: CheckpointInfo | None = None
        self.backbone = backbone
        self.audio_encoder = audio_encoder

    def encode_sound(self, log_mel: Tensor) -> Tensor:
        """Encode log-mel patches [N, 1, ·, ·] to [N, D]: what no picture has touched.

        Raises:
            WeightsError: the network was built without an audio encoder.
        """
        return encoded(self.audio_encoder, log_mel)


def picture_encoder(settings: Mapping[str, JsonScalar]) -> nn.Module:
    """Build the encoder that ``settings["backbone"]`` names.

    Args:
        settings: of ``spec.architecture``; ``output_stride`` of the light encoder and
            ``drop_path`` of PVT are read as well, where they differ from 32 and 0.

    Returns:
        Frames [N, 3, h, w] to four maps at strides 4, 8, 16 and 32 (or ``output_stride``), with
        their channel counts in ``channels``.

    Raises:
        WeightsError: a name nobody knows.
    """
    name = settings["backbone"]
    if name == "mobilenet_v2":
        from avscli.networks.backbones.mobilenet_v2 import MobileNetV2

        return MobileNetV2(int(settings.get("output_stride", 32)))
    if name == "pvt_v2_b5":
        from avscli.networks.backbones.pvt_v2 import pvt_v2_b5

        return pvt_v2_b5(drop_path=float(settings.get("drop_path", 0.0)))
    if name == "resnet50":
        from avscli.networks.backbones.resnet import resnet50

        return resnet50()
    raise WeightsError(
        f"unknown backbone {name!r}", hint="known: mobilenet_v2, pvt_v2_b5, resnet50"
    )


def sound_encoder(settings: Mapping[str, JsonScalar]) -> nn.Module | None:
    """Build the encoder that ``settings["audio_encoder"]`` names; None for ``none``.

    Args:
        settings: of ``spec.architecture``; ``keeps_centre`` of the light encoder is read as well,
            where it is not false.

    Returns:
        Log-mel patches [N, 1, ·, ·] to embeddings [N, D], with D in ``num_features``.

    Raises:
        WeightsError: a name nobody knows.
    """
    name = settings["audio_encoder"]
    if name == "none":
        return None
    if name == "mobile_audio":
        from avscli.networks.backbones.mobile_audio import MobileAudio

        return MobileAudio(keeps_centre=bool(settings.get("keeps_centre", False)))
    if name == "mobile_tagger":
        from avscli.networks.backbones.mobile_tagger import MobileTagger

        return MobileTagger()
    if name == "vggish":
        from avscli.networks.backbones.vggish import VGGish

        return VGGish()
    raise WeightsError(
        f"unknown audio encoder {name!r}", hint="known: mobile_audio, mobile_tagger, vggish, none"
    )


def embedding_size(encoder: nn.Module | None) -> int:
    """Return D of a sound encoder's embeddings; VGGish's where they come from outside."""
    return VGGISH_FEATURES if encoder is None else int(encoder.num_features)  # type: ignore[arg-type]


def channels_of(settings: Mapping[str, JsonScalar]) -> int:
    """Return C, the width of a network after its encoders.

    Raises:
        ValueError: it cannot be.
    """
    channels = settings["channels"]
    if not isinstance(channels, int) or not 2 <= channels <= MOST_CHANNELS or channels % 2:
        raise ValueError(f"channels must be even, 2 … {MOST_CHANNELS}, got {channels!r}")
    return channels


def in_float32(values: Tensor) -> torch.autocast:
    """Return a context in which sound is computed exactly, whatever arithmetic holds around it.

    Sounds cost little and decide much: of `pcmanet-mini`'s change of IoU by bfloat16, −0.007 on
    every fourth sounding validation pair, −0.001 is left with this.
    """
    return torch.autocast(values.device.type, enabled=False)


def encoded(encoder: nn.Module | None, log_mel: Tensor) -> Tensor:
    """Encode log-mel patches [N, 1, ·, ·] to [N, D], in float32.

    Raises:
        WeightsError: the network was built without a sound encoder.
    """
    if encoder is None:
        raise WeightsError(
            "this checkpoint holds no audio encoder, so it cannot hear a video",
            hint="convert it again with: avs models convert … --vggish FILE",
        )
    with in_float32(log_mel):
        embeddings: Tensor = encoder(log_mel.float())
    return embeddings


def own_sounds(encoder: nn.Module | None, inputs: NetworkInput) -> Tensor:
    """Return [B, T, D]: embeddings of each step's own window, and not of the moments around it.

    Raises:
        WeightsError: as `encoded`.
    """
    if inputs.embeddings is not None:
        return inputs.embeddings[:, :, 0]
    patches = inputs.log_mel[:, :, :1]
    return encoded(encoder, patches.flatten(0, 1)).reshape(*patches.shape[:2], -1)


def tags_heard(encoder: nn.Module | None, embeddings: Tensor) -> Tensor | None:
    """Return float32 logits [..., 527] of AudioSet's names; None where no tagger is in there."""
    if encoder is None or not hasattr(encoder, "tags"):
        return None
    with in_float32(embeddings):
        tags: Tensor = encoder.tags(embeddings.float())  # type: ignore[operator]
    return tags

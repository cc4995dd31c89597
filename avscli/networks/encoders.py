"""Which picture encoder and which sound encoder a spec names, built with fresh weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from avscli.datatypes import JsonScalar

VGGISH_FEATURES = 128  # what embeddings from outside have, where a network has no encoder


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

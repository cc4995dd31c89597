"""From a spec to a PCMANet: which backbone and which audio encoder go in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.errors import WeightsError
from avscli.networks.pcmanet.network import PCMANet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from avscli.datatypes import JsonScalar, NetworkSpec

VGGISH_FEATURES = 128
MOST_CHANNELS = 1024  # the published networks have 256; a damaged number must not fill the memory


def build(spec: NetworkSpec) -> PCMANet:
    """Build a PCMANet with fresh weights.

    Args:
        spec: ``spec.architecture`` names ``backbone`` (``pvt_v2_b5``, ``resnet50``,
            ``mobilenet_v2``) and ``audio_encoder`` (``vggish``, ``mobile_audio``,
            ``mobile_tagger``, ``none``) beside the settings of `PCMANet`, and the light encoders'
            ``output_stride`` and ``keeps_centre`` when they differ from 32 and false, and PVT's
            ``drop_path`` when it differs from 0.

    Raises:
        WeightsError: a backbone or encoder nobody knows.
        ValueError: channels or heads that cannot be.
    """
    settings = spec.architecture
    encoder = _audio_encoder(
        str(settings["audio_encoder"]), keeps_centre=bool(settings.get("keeps_centre", False))
    )
    _require_sizes(settings)
    features = VGGISH_FEATURES if encoder is None else int(encoder.num_features)  # type: ignore[arg-type]
    return PCMANet(spec, _backbone(settings), encoder, audio_features=features)


def _require_sizes(settings: Mapping[str, JsonScalar]) -> None:
    channels = settings["channels"]
    if not isinstance(channels, int) or not 2 <= channels <= MOST_CHANNELS or channels % 2:
        raise ValueError(f"channels must be even, 2 … {MOST_CHANNELS}, got {channels!r}")
    for name in ("avga_heads", "qsca_heads"):
        heads = settings[name]
        if not isinstance(heads, int) or heads < 1 or channels % heads:
            raise ValueError(f"{name} must divide the {channels} channels, got {heads!r}")


def _backbone(settings: Mapping[str, JsonScalar]) -> nn.Module:
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


def _audio_encoder(name: str, *, keeps_centre: bool) -> nn.Module | None:
    if name == "none":
        return None
    if name == "mobile_audio":
        from avscli.networks.backbones.mobile_audio import MobileAudio

        return MobileAudio(keeps_centre=keeps_centre)
    if name == "mobile_tagger":
        from avscli.networks.backbones.mobile_tagger import MobileTagger

        return MobileTagger()
    if name == "vggish":
        from avscli.networks.backbones.vggish import VGGish

        return VGGish()
    raise WeightsError(
        f"unknown audio encoder {name!r}", hint="known: mobile_audio, mobile_tagger, vggish, none"
    )

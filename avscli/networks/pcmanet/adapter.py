"""From a spec to a PCMANet: which backbone and which audio encoder go in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.networks.encoders import embedding_size, picture_encoder, sound_encoder
from avscli.networks.pcmanet.network import PCMANet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from avscli.datatypes import JsonScalar, NetworkSpec

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
    encoder = sound_encoder(settings)
    _require_sizes(settings)
    features = embedding_size(encoder)
    return PCMANet(spec, picture_encoder(settings), encoder, audio_features=features)


def _require_sizes(settings: Mapping[str, JsonScalar]) -> None:
    channels = settings["channels"]
    if not isinstance(channels, int) or not 2 <= channels <= MOST_CHANNELS or channels % 2:
        raise ValueError(f"channels must be even, 2 … {MOST_CHANNELS}, got {channels!r}")
    for name in ("avga_heads", "qsca_heads"):
        heads = settings[name]
        if not isinstance(heads, int) or heads < 1 or channels % heads:
            raise ValueError(f"{name} must divide the {channels} channels, got {heads!r}")

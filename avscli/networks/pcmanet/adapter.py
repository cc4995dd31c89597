"""From a spec to a PCMANet: which backbone and which audio encoder go in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.networks.encoders import (
    channels_of,
    embedding_size,
    picture_encoder,
    sound_encoder,
)
from avscli.networks.pcmanet.network import PCMANet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from avscli.datatypes import JsonScalar, NetworkSpec


def build(spec: NetworkSpec) -> PCMANet:
    """Build a PCMANet with fresh weights.

    Args:
        spec: ``spec.architecture`` names the encoders (`avscli.networks.encoders`) beside the
            settings of `PCMANet`.

    Raises:
        WeightsError: a backbone or encoder nobody knows.
        ValueError: channels or heads that cannot be.
    """
    settings = spec.architecture
    encoder = sound_encoder(settings)
    _require_heads(settings, channels_of(settings))
    features = embedding_size(encoder)
    return PCMANet(spec, picture_encoder(settings), encoder, audio_features=features)


def _require_heads(settings: Mapping[str, JsonScalar], channels: int) -> None:
    for name in ("avga_heads", "qsca_heads"):
        heads = settings[name]
        if not isinstance(heads, int) or heads < 1 or channels % heads:
            raise ValueError(f"{name} must divide the {channels} channels, got {heads!r}")

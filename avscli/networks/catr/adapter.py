"""From a spec to a CATR: which encoders go in, and which sizes can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.networks.catr.network import CATR
from avscli.networks.encoders import (
    channels_of,
    embedding_size,
    picture_encoder,
    sound_encoder,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from avscli.datatypes import JsonScalar, NetworkSpec

_CHANNELS = 64  # the narrowest maps have an eighth, in eight groups
_MOST = {"heads": 64, "feed_forward": 8192, "queries": 1000, "upsampling": 8}


def build(spec: NetworkSpec) -> CATR:
    """Build a CATR with fresh weights.

    Args:
        spec: ``spec.architecture`` as `CATR`, `picture_encoder` and `sound_encoder` read it.

    Raises:
        WeightsError: a backbone or encoder nobody knows.
        ValueError: sizes that cannot be, or a network that is not binary.
    """
    settings = spec.architecture
    if spec.task != "binary":
        raise ValueError(f"CATR is for binary masks, not {spec.task} ones")
    _require_sizes(settings)
    encoder = sound_encoder(settings)
    features = embedding_size(encoder)
    return CATR(spec, picture_encoder(settings), encoder, audio_features=features)


def _require_sizes(settings: Mapping[str, JsonScalar]) -> None:
    channels = channels_of(settings)
    if channels % _CHANNELS:
        raise ValueError(f"channels must be a multiple of {_CHANNELS}, got {channels}")
    for name, most in _MOST.items():
        value = settings.get(name, 1) if name == "upsampling" else settings[name]
        if not isinstance(value, int) or not 1 <= value <= most:
            raise ValueError(f"{name} must lie in 1 … {most}, got {value!r}")
    if channels % int(settings["heads"]):
        raise ValueError(f"heads must divide the {channels} channels, got {settings['heads']!r}")
    if settings["variant"] not in ("official", "corrected"):
        raise ValueError(f"variant must be official or corrected, got {settings['variant']!r}")
    for name in ("dropout", "union_of_queries"):
        if not 0.0 <= float(settings.get(name, 0.0)) < 1.0:
            raise ValueError(f"{name} must lie in [0, 1), got {settings[name]!r}")

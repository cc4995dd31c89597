"""From a spec to a TPAVI: which backbone and which audio encoder go in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.networks.encoders import embedding_size, picture_encoder, sound_encoder
from avscli.networks.tpavi.network import TPAVI

if TYPE_CHECKING:
    from avscli.datatypes import NetworkSpec


def build(spec: NetworkSpec) -> TPAVI:
    """Build a TPAVI with fresh weights.

    Args:
        spec: ``spec.architecture`` names the encoders (`avscli.networks.encoders`) beside the
            settings of `TPAVI`.

    Raises:
        WeightsError: a backbone or encoder nobody knows.
        ValueError: channels that cannot be.
    """
    encoder = sound_encoder(spec.architecture)
    return TPAVI(
        spec,
        picture_encoder(spec.architecture),
        encoder,
        audio_features=embedding_size(encoder),
    )

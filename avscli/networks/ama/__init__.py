"""AMA + UE (arXiv 2503.12847), after the paper: `build` makes one from a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.networks.ama.network import AMA
from avscli.networks.encoders import picture_encoder, sound_encoder

if TYPE_CHECKING:
    from avscli.datatypes import NetworkSpec

__all__ = ["build"]


def build(spec: NetworkSpec) -> AMA:
    """Build an AMA + UE with fresh weights.

    Raises:
        WeightsError: a backbone or encoder nobody knows.
        ValueError: a setting that cannot be.
    """
    settings = spec.architecture
    return AMA(spec, picture_encoder(settings), sound_encoder(settings))

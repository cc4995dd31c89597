"""Network names and where their builders live: strings, so that listing needs no torch."""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, cast

from avscli.errors import UnknownNetworkError

if TYPE_CHECKING:
    from avscli.datatypes import NetworkSpec
    from avscli.networks.contract import AVSNetwork

_NETWORKS = {
    "ama": "avscli.networks.ama",
    "avesformer": "avscli.networks.avesformer",
    "c3n": "avscli.networks.c3n",
    "catr": "avscli.networks.catr",
    "pcmanet": "avscli.networks.pcmanet",
    "tpavi": "avscli.networks.tpavi",
}


def list_networks() -> list[str]:
    """Return the registered names in alphabetical order."""
    return sorted(_NETWORKS)


def build_network(spec: NetworkSpec) -> AVSNetwork:
    """Build the network a spec names, with fresh weights.

    Raises:
        UnknownNetworkError: nobody registered that name; close matches are listed.
    """
    if spec.network not in _NETWORKS:
        close = difflib.get_close_matches(spec.network, _NETWORKS) or list_networks()
        raise UnknownNetworkError(
            f"unknown network {spec.network!r}", hint=f"did you mean: {', '.join(close)}"
        )
    module = importlib.import_module(_NETWORKS[spec.network])
    return cast("AVSNetwork", module.build(spec))

"""Networks that train otherwise than all others do, and where it stands how."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from avscli.networks.contract import AVSNetwork
    from avscli.training.networks.plain import NetworkTraining

_PLAIN = "avscli.training.networks.plain"
_OTHERS = {
    "c3n": "avscli.training.networks.c3n",
    "pcmanet": "avscli.training.networks.pcmanet.training",
}


def training_of(network: AVSNetwork) -> NetworkTraining:
    """Return how a network trains; it is trained in place."""
    module = importlib.import_module(_OTHERS.get(network.spec.network, _PLAIN))
    return cast("NetworkTraining", module.training_of(network))

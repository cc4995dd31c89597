"""What networks and forms without published numbers computed when they were written.

Weights and inputs follow from their names (`tests.parity.rule.stream`), so that nothing depends on
how PyTorch draws random numbers.
"""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from avscli.datatypes import NetworkInput
from avscli.networks.registry import build_network
from tests.networks_for_tests import SPEC_OF_NETWORK, TINY_SPEC
from tests.parity.rule import stream

EVIDENTIAL = dataclasses.replace(
    TINY_SPEC, architecture={**TINY_SPEC.architecture, "uncertainty": "evidential"}
)
SPECS = {
    "ama": SPEC_OF_NETWORK["ama"],
    "avesformer": SPEC_OF_NETWORK["avesformer"],
    "corrected catr": SPEC_OF_NETWORK["catr"],
    "corrected c3n": SPEC_OF_NETWORK["c3n"],
    "corrected tpavi": SPEC_OF_NETWORK["tpavi"],
    "evidential pcmanet": EVIDENTIAL,
}
# Mean and standard deviation of the finest logits, then some of them.
GOLDENS: dict[str, list[float]] = {
    "ama": [
        -8.1484,
        4.6488,
        -15.851,
        -13.353,
        -9.2825,
        -6.4915,
        -10.504,
        -9.0905,
        -3.9769,
        -12.621,
    ],
    "avesformer": [29.541, 7.1052, 26.514, 31.914, 22.315, 25.648, 33.718, 33.837, 28.838, 23.551],
    "corrected c3n": [
        -1.5062,
        6.0808,
        -7.2299,
        -3.6785,
        -8.7286,
        0.64674,
        -3.4695,
        -2.394,
        -4.8268,
        -1.3965,
    ],
    "corrected tpavi": [
        12.808,
        9.2143,
        10.824,
        15.455,
        29.064,
        15.56,
        12.303,
        5.1197,
        15.712,
        11.308,
    ],
    "corrected catr": [
        0.41729,
        2.6196,
        -1.306,
        2.7435,
        -3.0077,
        -0.18847,
        1.2296,
        2.8443,
        -1.4211,
        -2.4474,
    ],
    "evidential pcmanet": [
        2.8768,
        3.118,
        0.91701,
        -0.30697,
        4.3686,
        3.1667,
        3.9724,
        5.813,
        5.0338,
        6.0133,
    ],
}


def drawn(name: str, *shape: int) -> Tensor:
    return torch.from_numpy(stream(1, name).standard_normal(shape).astype(np.float32))


def fill(network: torch.nn.Module) -> None:
    """Give every weight a value by its name: He's deviation, norms near one, small biases."""
    for name, value in network.state_dict().items():
        if value.ndim > 1:
            value.copy_(drawn(name, *value.shape) * (2.0 / value[0].numel()) ** 0.5)
        elif value.ndim == 1:
            is_scale = name.endswith(("weight", "running_var", "scale"))
            value.copy_(float(is_scale) + 0.05 * drawn(name, *value.shape))


@pytest.mark.parametrize("name", SPECS)
def test_a_network_computes_what_it_did(name):
    spec = SPECS[name]
    network = build_network(spec)
    fill(network)
    patch = (128, 98) if spec.log_mel == "efficientat" else (96, 64)
    inputs = NetworkInput(
        frames=drawn("frames", 1, 3, 3, 64, 64),
        log_mel=drawn("log_mel", 1, 3, 1, *patch),
        valid=torch.tensor([[True, True, False]]),
    )
    with torch.inference_mode():
        logits = network.eval()(inputs).logits[0, :2, 0]
    quarter = logits.shape[-1] // 4
    some = slice(quarter, None, 2 * quarter)
    found = [float(logits.mean()), float(logits.std()), *logits[:, some, some].flatten().tolist()]
    # CATR's are from float64: it multiplies by squares, and float32 comes within 0.03 of that.
    allowed = 0.05 if name == "corrected catr" else 2e-3
    assert found == pytest.approx(GOLDENS[name], abs=allowed, rel=2e-3)

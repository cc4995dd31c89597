"""What TPAVI and C3N give beside logits; tests/parity has their numbers."""

import dataclasses

import pytest
import torch

from avscli.networks.evidence import lowered
from tests.networks_for_tests import SPEC_OF_NETWORK, make_any, make_inputs


@pytest.mark.parametrize("name", ["tpavi", "c3n"])
def test_an_evidential_head_says_how_much_is_known(name: str) -> None:
    spec = SPEC_OF_NETWORK[name]
    architecture = {**spec.architecture, "uncertainty": "evidential"}
    network = make_any(dataclasses.replace(spec, architecture=architecture))
    with torch.inference_mode():
        output = network(make_inputs(1, 2, log_mel=spec.log_mel))
    assert output.evidence is not None
    concentration = output.evidence.concentration[0]
    assert concentration.shape == (1, 2, 2, 64, 64)
    expected = lowered(output.evidence.logits[0], concentration)
    torch.testing.assert_close(output.logits, expected)


@pytest.mark.parametrize("name", ["tpavi", "c3n"])
def test_a_tagger_among_the_encoders_names_what_is_heard(name: str) -> None:
    spec = SPEC_OF_NETWORK[name]
    network, inputs = make_any(spec), make_inputs(1, 2, log_mel=spec.log_mel)
    with torch.inference_mode():
        embedded = network.encode_sound(inputs.log_mel.flatten(0, 1))
        tags = network.audio_encoder.tags(embedded)
        torch.testing.assert_close(network(inputs).heard[0], tags)

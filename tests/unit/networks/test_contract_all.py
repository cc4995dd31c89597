"""What every registered network promises, whatever sits inside it."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from avscli.checkpoints import save_checkpoint, verify
from avscli.datatypes import NetworkInput, NetworkOutput
from avscli.networks.contract import AVSNetwork, HearsApart
from avscli.networks.registry import list_networks
from tests.networks_for_tests import SPEC_OF_NETWORK, make_any, make_inputs

CLOSE = {"atol": 2e-4, "rtol": 1e-3}
# Parameters that no output depends on, or none that can be told apart, by the start of their names.
UNTRAINED: dict[str, tuple[str, ...]] = {}


@pytest.fixture(scope="module", params=sorted(SPEC_OF_NETWORK))
def name(request: pytest.FixtureRequest) -> str:
    return cast("str", request.param)


@pytest.fixture(scope="module")
def network(name: str) -> nn.Module:
    return make_any(SPEC_OF_NETWORK[name])


def inputs_of(
    network: nn.Module, B: int = 2, T: int = 3, size_hw: tuple[int, int] = (64, 64)
) -> NetworkInput:
    spec = cast("AVSNetwork", network).spec
    return make_inputs(B, T, size_hw, log_mel=spec.log_mel)


def run(network: nn.Module, inputs: NetworkInput) -> NetworkOutput:
    with torch.inference_mode():
        output = network(inputs)
    assert isinstance(output, NetworkOutput)
    return output


def tensors_of(output: NetworkOutput) -> list[Tensor]:
    sources = [] if output.sources is None else [output.sources.picture, output.sources.sound]
    heard = [] if output.heard is None else [output.heard]
    return [*output.stage_logits, *sources, *heard]


def test_every_registered_network_is_here() -> None:
    assert sorted(SPEC_OF_NETWORK) == list_networks()


@pytest.mark.parametrize("T", [1, 5, 10])
def test_any_number_of_steps_gives_logits_of_all_of_them(network: nn.Module, T: int) -> None:
    output = run(network, inputs_of(network, 1, T))
    for stage in output.stage_logits:
        assert stage.shape[:3] == (1, T, 1)
        assert stage.dtype == torch.float32
        assert stage.isfinite().all()
    assert output.selected.shape[:2] == (1, T)
    sides = [stage.shape[-1] for stage in output.stage_logits]
    assert sides == sorted(sides, reverse=True)  # the finest comes first


@pytest.mark.parametrize("size_hw", [(32, 64), (96, 64)], ids=str)
def test_any_size_divisible_by_32_runs(network: nn.Module, size_hw: tuple[int, int]) -> None:
    h, w = run(network, inputs_of(network, 1, 2, size_hw)).logits.shape[-2:]
    assert h * size_hw[1] == w * size_hw[0]


def test_a_clip_gives_the_same_alone_and_in_a_batch(network: nn.Module) -> None:
    inputs = inputs_of(network, B=3)
    together = tensors_of(run(network, inputs))
    for b in range(3):
        of_clip = inputs.of_each(lambda values, b=b: values[b : b + 1])  # type: ignore[misc]
        for alone, batch in zip(tensors_of(run(network, of_clip)), together, strict=True):
            torch.testing.assert_close(alone, batch[b : b + 1], **CLOSE)


def test_passes_side_by_side_give_what_they_give_alone(network: nn.Module) -> None:
    together = inputs_of(network, B=4, T=1)
    clips = [together.of_each(lambda values, b=b: values[b : b + 1]) for b in range(4)]  # type: ignore[misc]
    alone = [tensors_of(run(network, clip)) for clip in clips]
    with ThreadPoolExecutor(4) as threads:  # as `avscli.passes` runs them
        for _ in range(5):
            for found, expected in zip(
                threads.map(lambda clip: run(network, clip), clips), alone, strict=True
            ):
                for one, other in zip(tensors_of(found), expected, strict=True):
                    torch.testing.assert_close(one, other, **CLOSE)


def test_padding_changes_nothing_at_the_valid_steps(network: nn.Module) -> None:
    inputs = inputs_of(network, 1, 2)
    padded = NetworkInput(
        torch.cat([inputs.frames, 9.0 * torch.ones_like(inputs.frames)], dim=1),
        torch.cat([inputs.log_mel, torch.zeros_like(inputs.log_mel)], dim=1),
        torch.tensor([[True, True, False, False]]),
    )
    expected, got = run(network, inputs).logits, run(network, padded).logits[:, :2]
    torch.testing.assert_close(got, expected, **CLOSE)


def test_every_parameter_receives_a_gradient(name: str) -> None:
    network = make_any(SPEC_OF_NETWORK[name]).train()
    torch.manual_seed(1)
    output = network(inputs_of(network))
    torch.stack([told.square().mean() for told in tensors_of(output)]).sum().backward()
    without = [
        key
        for key, parameter in network.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    ]
    assert [key for key in without if not key.startswith(UNTRAINED.get(name, ()))] == []


def test_silence_gives_finite_numbers(network: nn.Module) -> None:
    inputs = inputs_of(network)
    silent = dataclasses.replace(inputs, log_mel=torch.full_like(inputs.log_mel, -4.6052))
    assert all(told.isfinite().all() for told in tensors_of(run(network, silent)))


def test_the_sound_decides(network: nn.Module) -> None:
    inputs = inputs_of(network, 1)
    louder = dataclasses.replace(inputs, log_mel=inputs.log_mel + 2.0)
    before, after = run(network, inputs).logits, run(network, louder).logits
    assert (before - after).abs().max() > 1e-4


def test_embeddings_known_already_replace_the_patches(network: nn.Module) -> None:
    assert isinstance(network, HearsApart)
    inputs = inputs_of(network)
    with torch.inference_mode():
        embedded = network.encode_sound(inputs.log_mel.flatten(0, 1))
    known = dataclasses.replace(
        inputs,
        log_mel=inputs.log_mel[:, :, :0],
        embeddings=embedded.reshape(*inputs.valid.shape, 1, -1),
    )
    expected, got = run(network, inputs).logits, run(network, known).logits
    torch.testing.assert_close(got, expected, **CLOSE)


def test_bfloat16_gives_nearly_the_same(network: nn.Module) -> None:
    inputs = inputs_of(network, 1)
    exact = run(network, inputs).logits
    with torch.autocast("cpu", torch.bfloat16):
        half = run(network, inputs).logits
    assert half.isfinite().all()
    assert (half - exact).abs().mean() < 0.1 * exact.abs().mean()


def test_sounds_are_heard_in_float32_whatever_the_arithmetic(network: nn.Module) -> None:
    inputs = inputs_of(network, 1)
    patches = inputs.log_mel.flatten(0, 1)
    assert isinstance(network, HearsApart)
    with torch.inference_mode():
        exact, heard = network.encode_sound(patches), network(inputs).heard
        with torch.autocast("cpu", torch.bfloat16):
            half, heard_in_half = network.encode_sound(patches), network(inputs).heard
    assert half.dtype == torch.float32
    assert torch.equal(half, exact)
    assert (heard is None and heard_in_half is None) or torch.equal(heard, heard_in_half)


def test_the_state_dict_round_trips(name: str, network: nn.Module) -> None:
    twin = make_any(SPEC_OF_NETWORK[name])
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    twin.load_state_dict(network.state_dict())
    inputs = inputs_of(network)
    torch.testing.assert_close(run(twin, inputs).logits, run(network, inputs).logits)


def test_a_checkpoint_is_saved_with_its_golden_and_passes_it(
    name: str, network: nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / f"{name}.safetensors"
    spec = cast("AVSNetwork", network).spec
    about = {"trained_on": [], "scores": {}, "licence": "none", "source": "random"}
    info = {"name": name, "spec": spec, **about}
    golden = inputs_of(network, 1, 2)
    save_checkpoint(path, network.state_dict(), info, golden_inputs=golden)
    assert verify(str(path)).passed


def test_equal_seeds_give_equal_networks(name: str, network: nn.Module) -> None:
    twin = make_any(SPEC_OF_NETWORK[name]).state_dict()
    assert all(torch.equal(value, twin[key]) for key, value in network.state_dict().items())

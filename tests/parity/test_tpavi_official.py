"""The official variant of TPAVI against the numbers of the published code (data/README.md)."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from avscli.networks.published import load_published
from avscli.networks.tpavi.modules import STAGES, Fused
from avscli.networks.tpavi.network import TPAVI
from tests.parity import rule
from tests.parity.comparing import (
    FEATURES,
    compare_logits,
    compare_statistics,
    crc,
    watch,
    weights_crc,
)
from tests.parity.published import S4_SEEDS, baseline_weights, reference

CLIP_LENGTH = 5
NUM_CLASSES = 71


@dataclass
class Run:
    """One forward pass: what it should give, what it gave, and what its parts passed on."""

    expected: dict[str, np.ndarray]
    weights: dict[str, torch.Tensor]
    frames: np.ndarray
    audio: np.ndarray
    fused: Fused
    parts: dict[str, np.ndarray] = field(default_factory=dict)


@pytest.fixture(scope="module", params=S4_SEEDS)
def run(request: pytest.FixtureRequest) -> Run:
    backbone = request.param
    seed = S4_SEEDS[backbone]
    frames, audio = rule.frames(seed, 1, CLIP_LENGTH), rule.audio(seed, 1, CLIP_LENGTH)
    weights = baseline_weights(f"tpavi_s4_{backbone}", seed)
    network = load_published(weights, clip_length=CLIP_LENGTH)
    assert isinstance(network, TPAVI)
    parts: dict[str, np.ndarray] = {}
    for stage in STAGES:
        watch(parts, f"conv{stage}", network.project[stage - 1])
        watch(parts, f"tpavi{stage}", network.decoder.tpavi[stage - 1])
        watch(parts, f"path{stage}", network.decoder.paths[stage - 1])
    watch(parts, "head0", network.decoder.near)
    watch(parts, "head2", network.decoder.far)
    with torch.inference_mode():
        fused = network.fuse(
            torch.from_numpy(frames)[None],
            torch.from_numpy(audio)[None],
            torch.ones(1, CLIP_LENGTH, dtype=torch.bool),
        )
    expected = reference(f"tpavi_s4_{backbone}_seed{seed}_b1.npz")
    return Run(expected, weights, frames, audio, fused, parts)


def test_inputs_and_weights_are_those_of_the_reference(run: Run) -> None:
    assert [crc(run.frames), crc(run.audio)] == run.expected["input_crc32"].tolist()
    assert weights_crc(run.weights) == run.expected["weights_crc32_xor"][0]


@pytest.mark.parametrize("part", [f"{p}{k}" for p in ("conv", "tpavi", "path") for k in STAGES])
def test_maps_have_the_published_statistics(run: Run, part: str) -> None:
    compare_statistics(run.parts, run.expected, part)


@pytest.mark.parametrize("part", ["head0", "head2"])
def test_the_head_has_the_published_statistics(run: Run, part: str) -> None:
    compare_statistics(run.parts, run.expected, part)


@pytest.mark.parametrize("stage", STAGES)
def test_interacting_maps_are_the_published_ones(run: Run, stage: int) -> None:
    maps = run.parts[f"tpavi{stage}"]
    step = max(1, maps.shape[-1] // 7)
    few = maps[:, ::16, ::step, ::step]
    np.testing.assert_allclose(few, run.expected[f"tpavi{stage}_sub"], **FEATURES)


@pytest.mark.parametrize("stage", STAGES)
def test_projected_sounds_are_the_published_ones(run: Run, stage: int) -> None:
    sounds = run.fused.sounds[stage - 1].numpy()
    np.testing.assert_allclose(sounds, run.expected[f"audio{stage}"], **FEATURES)


def test_logits_and_masks_are_the_published_ones(run: Run) -> None:
    compare_logits(run.fused.scores.numpy(), run.expected)


@pytest.mark.parametrize("backbone", ["pvt", "resnet"])
def test_the_semantic_form_is_told_from_its_keys(backbone: str) -> None:
    weights = baseline_weights(f"tpavi_avss_{backbone}", 1)
    network = load_published({f"module.{k}": v for k, v in weights.items()}, clip_length=10)
    assert isinstance(network, TPAVI)
    spec = network.spec
    assert (spec.num_classes, spec.task, spec.padding) == (71, "semantic", "zeros_with_flag")
    assert spec.architecture["steps_together"] == 5
    head = network.decoder.scores.weight
    assert torch.equal(head, weights["output_conv.4.weight"])
    unit = network.decoder.paths[3].joined.conv2.bias
    assert torch.equal(unit, weights["path4.resConfUnit2.conv2.bias"])

"""The official variant of C3N against the numbers of the published code (data/README.md)."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from avscli.networks.c3n import load_published
from avscli.networks.c3n.consensus import Activation, channel_gates
from avscli.networks.tpavi.modules import STAGES, Fused
from tests.parity import baseline_rule, rule
from tests.parity.comparing import (
    FEATURES,
    compare_logits,
    compare_statistics,
    crc,
    watch,
    weights_crc,
)
from tests.parity.published import baseline_weights, reference

CLIP_LENGTH, SEED = 5, 1


@dataclass
class Run:
    """One forward pass: what it should give, what it gave, and what its parts passed on."""

    expected: dict[str, np.ndarray]
    weights: dict[str, torch.Tensor]
    inputs: tuple[np.ndarray, ...]
    seen: Activation
    fused: Fused
    parts: dict[str, np.ndarray] = field(default_factory=dict)


@pytest.fixture(scope="module")
def run() -> Run:
    inputs = (
        rule.frames(SEED, 1, CLIP_LENGTH),
        rule.audio(SEED, 1, CLIP_LENGTH),
        baseline_rule.tag_logits(SEED, 1, CLIP_LENGTH),
        baseline_rule.similarity(SEED),
    )
    frames, audio, tags, similarity = map(torch.from_numpy, inputs)
    weights = baseline_weights("c3n_s4_pvt", SEED)
    network = load_published(weights, clip_length=CLIP_LENGTH)
    network.similarity.copy_(similarity)
    parts: dict[str, np.ndarray] = {}
    for stage in STAGES:
        network.project[stage - 1].register_forward_pre_hook(
            lambda _, inputs, stage=stage: parts.__setitem__(f"gated{stage}", inputs[0].numpy())  # type: ignore[misc]
        )
        watch(parts, f"conv{stage}", network.project[stage - 1])
        watch(parts, f"tpavi{stage}", network.decoder.tpavi[stage - 1])
        watch(parts, f"path{stage}", network.decoder.paths[stage - 1])
    watch(parts, "head0", network.decoder.near)
    watch(parts, "head2", network.decoder.far)
    valid = torch.ones(1, CLIP_LENGTH, dtype=torch.bool)
    with torch.inference_mode():
        seen = network.activate(frames, tags)
        fused = network.fuse(frames[None], audio[None], valid, tags[None])
    return Run(reference("c3n_s4_pvt_seed1_b1.npz"), weights, inputs, seen, fused, parts)


def test_inputs_and_weights_are_those_of_the_reference(run: Run) -> None:
    assert [crc(values) for values in run.inputs] == run.expected["input_crc32"].tolist()
    assert weights_crc(run.weights) == run.expected["weights_crc32_xor"][0]


def test_the_consensus_is_the_published_one(run: Run) -> None:
    np.testing.assert_allclose(run.seen.class_logits, run.expected["class_logits"], **FEATURES)
    assert run.seen.classes.tolist() == run.expected["consensus_class"].tolist()


@pytest.mark.parametrize("stage", STAGES)
def test_gradients_and_gates_are_the_published_ones(run: Run, stage: int) -> None:
    weights, expected = run.seen.weights[stage - 1], run.expected[f"grad{stage}"]
    np.testing.assert_allclose(weights, expected, rtol=1e-3, atol=1e-4 * expected.std())
    gates = channel_gates(weights)
    np.testing.assert_allclose(gates, run.expected[f"gate{stage}"], rtol=0.0, atol=1e-5)


PARTS = [f"{part}{k}" for part in ("gated", "conv", "tpavi", "path") for k in STAGES]


@pytest.mark.parametrize("part", [*PARTS, "head0", "head2"])
def test_maps_have_the_published_statistics(run: Run, part: str) -> None:
    compare_statistics(run.parts, run.expected, part)


@pytest.mark.parametrize("stage", STAGES)
def test_projected_sounds_are_the_published_ones(run: Run, stage: int) -> None:
    sounds = run.fused.sounds[stage - 1].numpy()
    np.testing.assert_allclose(sounds, run.expected[f"audio{stage}"], **FEATURES)


def test_logits_and_masks_are_the_published_ones(run: Run) -> None:
    compare_logits(run.fused.scores.numpy(), run.expected)

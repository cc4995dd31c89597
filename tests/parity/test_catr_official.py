"""The official variant of CATR against the numbers of the published code (data/README.md)."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from avscli.networks.catr.decoder import Answers
from avscli.networks.catr.network import CATR
from avscli.networks.layers import resize
from avscli.networks.published import load_published, unused_keys
from tests.parity import rule
from tests.parity.comparing import FEATURES, SETTLED, crc, mean_std, watch, weights_crc
from tests.parity.published import baseline_weights, reference
from tests.parity.reduce_reference import EVERY

pytestmark = pytest.mark.slow  # 1.3 TFLOP
SEED, CLIP_LENGTH, LAYERS = 1, 5, (1, 2, 3)
MASKS = {"rtol": 0.0, "atol": 5e-4}
SCORES = {"rtol": 0.0, "atol": 5e-5}
PRODUCTS = {"rtol": 0.0, "atol": 2e-3}  # attention squared twice: badly conditioned
FUSED = {"rtol": 0.0, "atol": 1e-3}


@dataclass
class Run:
    """One forward pass: what it should give, what it gave, and what its parts passed on."""

    expected: dict[str, np.ndarray]
    weights: dict[str, torch.Tensor]
    frames: np.ndarray
    audio: np.ndarray
    answers: Answers
    logits: np.ndarray
    parts: dict[str, np.ndarray]
    num_parameters: int


@pytest.fixture(scope="module")
def run() -> Run:
    weights = baseline_weights("catr_s4_pvt", SEED)
    network = load_published(weights, clip_length=CLIP_LENGTH)
    assert isinstance(network, CATR)
    frames, audio = (draw(SEED, 1, CLIP_LENGTH) for draw in (rule.frames, rule.audio))
    parts: dict[str, np.ndarray] = {}
    watch(parts, "memory_in", network.picture_tokens)
    watch(parts, "audio_in", network.sound_tokens)
    for layer in LAYERS:
        watch(parts, f"spatial{layer}", network.spatial[layer - 1])
        watch(parts, f"temporal{layer}", network.temporal.layers[layer - 1])
        watch(parts, f"decoder{layer}", network.decoder.layers[layer - 1])
    watch(parts, "gated1", network.temporal.join[0])
    watch(parts, "gated2", network.temporal.join[1])
    for number, block in enumerate(network.pixels.blocks, start=1):
        watch(parts, f"fpn_gn{number}", block[1])
    with torch.inference_mode():
        valid = torch.ones(1, CLIP_LENGTH, dtype=torch.bool)
        answers = network.ask(torch.from_numpy(frames)[None], torch.from_numpy(audio)[None], valid)
        logits = network.marked(answers, LAYERS[-1] - 1)[0]
    expected = reference(f"catr_s4_pvt_seed{SEED}_b1.npz")
    enlarged = resize(logits, (224, 224)).numpy()
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    return Run(expected, weights, frames, audio, answers, enlarged, parts, num_parameters)


def statistics(expected: dict[str, np.ndarray], name: str) -> np.ndarray:
    return np.stack([expected[f"{name}_mean"], expected[f"{name}_std"]])


def test_inputs_and_weights_are_those_of_the_reference(run: Run) -> None:
    assert [crc(run.frames), crc(run.audio)] == run.expected["input_crc32"].tolist()
    assert weights_crc(run.weights) == run.expected["weights_crc32_xor"][0]


def test_tokens_are_the_published_ones(run: Run) -> None:
    expected = statistics(run.expected, "memory_in")
    np.testing.assert_allclose(mean_std(run.parts["memory_in"]), expected, **FEATURES)
    np.testing.assert_allclose(run.parts["audio_in"][0], run.expected["audio_in"][:, 0], **FEATURES)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_spatial_memory_is_the_published_one(run: Run, layer: int) -> None:
    tokens = run.parts[f"spatial{layer}"]  # [T, h·w + T, C]
    num_pixels = tokens.shape[1] - CLIP_LENGTH
    pixels, sounds = tokens[:, :num_pixels], tokens[:, num_pixels:]
    few = pixels[:, :: num_pixels // 49, ::16].swapaxes(0, 1)
    np.testing.assert_allclose(few, run.expected[f"spatial{layer}_sub"], **FEATURES)
    sound = sounds[:, :, ::4].swapaxes(0, 1)
    np.testing.assert_allclose(sound, run.expected[f"spatial{layer}_sound"], **FEATURES)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_temporal_maps_are_the_published_ones(run: Run, layer: int) -> None:
    tokens = run.parts[f"temporal{layer}"][0]  # [T, h·w, C]
    tolerance = PRODUCTS if layer == LAYERS[-1] else FUSED
    few = tokens[:, :: tokens.shape[1] // 49, ::16].swapaxes(0, 1)
    np.testing.assert_allclose(few, run.expected[f"temporal{layer}_src_sub"], **tolerance)
    maps = tokens.transpose(0, 2, 1)[..., None]
    expected = statistics(run.expected, f"temporal{layer}_src")
    np.testing.assert_allclose(mean_std(maps), expected, **tolerance)


@pytest.mark.parametrize("part", ["gated1", "gated2"])
def test_gated_maps_are_the_published_ones(run: Run, part: str) -> None:
    maps, expected = run.parts[part], run.expected
    step = maps.shape[-1] // 7
    np.testing.assert_allclose(maps[:, ::16, ::step, ::step], expected[f"{part}_sub"], **FUSED)
    np.testing.assert_allclose(mean_std(maps), statistics(expected, part), **FUSED)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_pixel_decoder_has_the_published_statistics(run: Run, number: int) -> None:
    maps, expected = run.parts[f"fpn_gn{number}"], statistics(run.expected, f"fpn_gn{number}")
    np.testing.assert_allclose(mean_std(maps), expected, **FUSED)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_query_decoder_answers_as_published(run: Run, layer: int) -> None:
    few = run.parts[f"decoder{layer}"].swapaxes(0, 1)[::5, :, ::8]
    np.testing.assert_allclose(few, run.expected[f"decoder{layer}_sub"], **FEATURES)


def test_masks_of_all_queries_are_the_published_ones(run: Run) -> None:
    masks, expected = run.answers.masks(2)[0].numpy(), run.expected
    assert masks.shape == (CLIP_LENGTH, 50, 28, 28)
    few = expected["pred_masks_few"]
    np.testing.assert_allclose(masks[:, ::5, ::2, ::2], few, **MASKS)
    of_query = np.stack([masks.mean((0, 2, 3)), masks.std((0, 2, 3))])
    np.testing.assert_allclose(of_query, statistics(expected, "pred_masks"), **MASKS)


@pytest.mark.parametrize("layer", [1, 2])
def test_masks_and_scores_of_the_other_layers_are_the_published_ones(run: Run, layer: int) -> None:
    masks, scores = run.answers.masks(layer - 1)[0], run.answers.scores[layer - 1, 0]
    expected = run.expected[f"aux{layer}_masks_sub"]
    np.testing.assert_allclose(masks.numpy()[:, ::10, ::2, ::2], expected, **MASKS)
    np.testing.assert_allclose(scores.numpy(), run.expected[f"aux{layer}_is_referred"], **SCORES)


def test_the_published_queries_are_chosen(run: Run) -> None:
    scores = run.answers.scores[2, 0].numpy()
    np.testing.assert_allclose(scores, run.expected["pred_is_referred"], **SCORES)
    chosen = run.answers.referred(2)[0].argmax(dim=1)
    assert chosen.tolist() == run.expected["chosen_query"].tolist()


def test_chosen_masks_are_the_published_ones(run: Run) -> None:
    logits, expected = run.logits[:, 0], run.expected
    few = expected[f"chosen_logits_every{2 * EVERY}"]
    np.testing.assert_allclose(logits[:, :: 2 * EVERY, :: 2 * EVERY], few, **MASKS)
    bits = np.unpackbits(expected["chosen_mask_packed"], count=logits.size).astype(bool)
    differs = (logits > 0) != bits.reshape(logits.shape)
    assert not (differs & (np.abs(logits) > SETTLED)).any()


def test_what_the_published_network_never_uses_is_left_out(run: Run) -> None:
    left_out = sum(run.weights[key].numel() for key in unused_keys(run.weights))
    assert run.num_parameters + left_out == run.expected["params"]

"""The temperature against a known one, the threshold against its rule."""

import dataclasses
from typing import get_args

import numpy as np
import pytest
import torch

from avscli.config import Preference
from avscli.datasets.kinds.scenes import SceneFrames
from avscli.datasets.labelled import LabelledClip
from avscli.datasets.scenes import VALIDATION_SEEDS
from avscli.datatypes import OperatingPoint
from avscli.devices import start
from avscli.evaluation.network.judging import prepare_labelled
from avscli.masks import MaskRule
from avscli.training.couples.calibration import (
    EMPTY_WANTED,
    REGION_LOGITS,
    SOUND_SHIFTS,
    Evidence,
    Merit,
    calibrate,
    choose_operating_points,
    fit_temperature,
    gather,
    merit,
)
from avscli.training.networks.registry import training_of
from tests.networks_for_tests import TINY_SPEC, make_network

NAMING_SPEC = dataclasses.replace(
    TINY_SPEC, clip_length=1, architecture={**TINY_SPEC.architecture, "source_classes": "dog,cat"}
)


def scene_frames(count: int) -> list[LabelledClip]:
    scenes = SceneFrames(VALIDATION_SEEDS[:count], "val", (64, 64))
    return [scenes.read(index) for index in range(count)]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_temperature_that_drew_the_truth_is_found(temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(-1.0, 4.0, 200_000).astype(np.float32)
    truth = rng.random(len(logits)) < 1 / (1 + np.exp(-logits / temperature))
    assert fit_temperature(logits, truth) == pytest.approx(temperature, rel=0.03)


def test_no_neighbouring_temperature_has_a_smaller_loss():
    rng = np.random.default_rng(1)
    logits = rng.normal(0.0, 6.0, 5000).astype(np.float32)
    truth = (logits + rng.normal(0.0, 5.0, 5000)) > 0

    def loss(temperature: float) -> float:
        x = np.where(truth, -1, 1) * logits.astype(np.float64) / temperature
        return float(np.logaddexp(0.0, x).mean())

    found = fit_temperature(logits, truth)
    assert loss(found) <= min(loss(found * 0.99), loss(found * 1.01))


HALF = np.arange(100).reshape(10, 10) < 50


def evidence_of(logits: np.ndarray, truth: np.ndarray) -> Evidence:
    return Evidence(logits.astype(np.float32), truth, np.ones_like(truth))


def sounding(probability_inside: float) -> Evidence:
    inside = np.float32(np.log(probability_inside / (1 - probability_inside)))
    return evidence_of(np.where(HALF, inside, np.float32(-9.0)), HALF)


def silent(probability: float) -> Evidence:
    logit = np.float32(np.log(probability / (1 - probability)))
    return evidence_of(np.full(HALF.shape, logit), np.zeros_like(HALF))


def test_frames_with_and_without_a_target_are_judged_apart():
    half_right = evidence_of(np.where(np.arange(100).reshape(10, 10) < 25, 5.0, -5.0), HALF)
    missed = evidence_of(np.full(HALF.shape, -5.0), HALF)
    evidence = [half_right, missed, silent(0.1), silent(0.9)]
    assert merit(evidence, MaskRule(0.0)) == (pytest.approx(1 / 2), pytest.approx((0.5 + 0.0) / 2))


def test_more_empty_frames_than_wanted_are_no_merit():
    everything_empty = merit([sounding(0.9), silent(0.1)], MaskRule(0.0))
    assert everything_empty == (1.0, 1.0)
    assert everything_empty.wanting(0.95) == (0.95, 1.0)
    half_empty = merit([sounding(0.9), silent(0.1), silent(0.9)], MaskRule(0.0))
    assert half_empty.wanting(0.95) == half_empty == (0.5, 1.0)


def test_where_no_frame_has_to_be_empty_or_none_marked_nothing_is_missing():
    assert merit([sounding(0.9)], MaskRule(0.0)) == (1.0, 1.0)
    assert merit([silent(0.1)], MaskRule(0.0)) == (1.0, 0.0)


def chosen(evidence: list[Evidence], temperature: float = 1.0) -> tuple[float, float]:
    """Return the thresholds that hold unless others are asked for."""
    return dataclasses.astuple(choose_operating_points(evidence, temperature)["balanced"])


def test_there_is_a_point_for_everything_that_can_be_preferred():
    assert EMPTY_WANTED.keys() == {*get_args(Preference)}
    assert choose_operating_points([sounding(0.9)], 1.0).keys() == {*get_args(Preference)}


def test_the_more_frames_have_to_stay_empty_the_less_of_what_is_faint_is_marked():
    faint = [sounding(p) for p in (0.37, 0.57, 0.77)]
    loud = [*[silent(0.67)] * 3, *[silent(0.47)] * 4, *[silent(0.27)] * 8, *[silent(0.1)] * 85]
    points = choose_operating_points([*faint, *loud], 1.0)
    assert points == {
        "recall": OperatingPoint(0.3, 0.0),  # 7 of 100 are marked, and nothing is missed
        "balanced": OperatingPoint(0.5, 0.0),  # 3 of 100; 0.37 is missed
        "precision": OperatingPoint(0.7, 0.0),  # none; 0.57 is missed as well
    }


def test_each_point_finds_at_least_as_much_as_those_that_want_more_empty_frames():
    rng = np.random.default_rng(0)
    evidence = [sounding(p) for p in rng.uniform(0.2, 0.95, 40)]
    evidence += [silent(p) for p in rng.beta(2, 4, 200)]
    found = {}
    for name, point in choose_operating_points(evidence, 1.0).items():
        cuts = (np.log(p / (1 - p)) if p else -np.inf for p in dataclasses.astuple(point))
        found[name] = merit(evidence, MaskRule(*cuts))
        assert found[name].kept_empty >= EMPTY_WANTED[name]
    assert found["recall"].mean_iou > found["balanced"].mean_iou > found["precision"].mean_iou


def test_a_threshold_that_marks_empty_frames_is_passed_over():
    evidence = [sounding(0.9), *[silent(0.52)] * 5, *[silent(0.1)] * 5]
    assert chosen(evidence) == (0.55, 0.0)


def test_a_few_empty_frames_are_given_for_what_sounds():
    evidence = [sounding(0.42), silent(0.52), *[silent(0.1)] * 19]
    assert chosen(evidence) == (0.2, 0.0)


def test_many_empty_frames_are_not():
    evidence = [*[sounding(0.42)] * 5, silent(0.52), silent(0.1)]
    assert chosen(evidence) == (0.55, 0.0)


def test_the_temperature_counts_before_the_cut():
    assert chosen([sounding(0.9), silent(0.8), silent(0.7)], 100.0) == (0.55, 0.0)


def test_faint_pixels_count_where_their_region_is_sure_somewhere():
    logits = np.where(HALF, np.float32(-0.5), np.float32(-9.0))
    logits[0, 0] = 2.0  # 0.88
    faint = evidence_of(np.full(HALF.shape, -0.5), np.zeros_like(HALF))
    assert chosen([evidence_of(logits, HALF), faint, silent(0.66)]) == (0.2, 0.7)


def test_void_pixels_neither_fill_nor_hit():
    void = Evidence(np.full(HALF.shape, 3.0, np.float32), np.zeros_like(HALF), np.zeros_like(HALF))
    assert merit([void], MaskRule(0.0)).kept_empty == 1.0


def test_what_is_usual_is_learned_over_all_windows_that_are_heard():
    spec = dataclasses.replace(NAMING_SPEC, sound_offsets_seconds=(-0.25, 0.25))
    network = make_network(spec)
    runtime = start(network, "cpu", precision="fp32", warn=pytest.fail)
    frames = list(scene_frames(3))
    calibrate(runtime, training_of(network), frames)
    with torch.inference_mode():
        patches = prepare_labelled(frames, spec).inputs.log_mel.flatten(0, 2)[:, None]
        hidden = network.agreement.sound.hidden(network.audio_encoder(patches))
    assert len(hidden) == 3 * 3 * NAMING_SPEC.clip_length
    torch.testing.assert_close(network.agreement.sound.usual, hidden.mean(dim=0))


def best_merit(evidence: list[Evidence]) -> Merit:
    merits = (merit(evidence, MaskRule(0.0, cutoff)) for cutoff in REGION_LOGITS)
    return max(each.wanting(EMPTY_WANTED["balanced"]) for each in merits)


def test_a_sound_side_that_is_too_careful_is_shifted_up():
    network = make_network(NAMING_SPEC)
    runtime = start(network, "cpu", precision="fp32", warn=pytest.fail)
    trained = network.agreement.sound.names.bias.detach().clone()
    found = calibrate(runtime, training_of(network), scene_frames(2))
    assert found.sound_shift in SOUND_SHIFTS
    shifted = network.agreement.sound.names.bias.detach()
    torch.testing.assert_close(shifted, trained + found.sound_shift)
    again = [gather(runtime, f) for f in scene_frames(2)]
    shifted = best_merit(again)
    network.agreement.sound.names.bias.data = trained
    plain = [gather(runtime, f) for f in scene_frames(2)]
    assert shifted >= best_merit(plain)

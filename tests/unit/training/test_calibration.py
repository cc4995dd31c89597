"""The temperature against a known one, the threshold against its rule."""

import dataclasses

import numpy as np
import pytest
import torch

from avscli.datasets.scenes import VALIDATION_SEEDS
from avscli.devices import start
from avscli.evaluation import scene_frames
from avscli.training.calibration import (
    SOUND_SHIFTS,
    Evidence,
    calibrate,
    choose_threshold,
    fit_temperature,
    gather,
    merit,
)
from tests.networks_for_tests import TINY_SPEC, make_network

NAMING_SPEC = dataclasses.replace(
    TINY_SPEC, clip_length=1, architecture={**TINY_SPEC.architecture, "source_classes": "dog,cat"}
)


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


def sounding(probability_inside: float) -> Evidence:
    truth = np.arange(100) < 50
    inside = np.float32(np.log(probability_inside / (1 - probability_inside)))
    return Evidence(np.where(truth, inside, np.float32(-9.0)), truth)


def silent(probability: float) -> Evidence:
    logit = np.float32(np.log(probability / (1 - probability)))
    return Evidence(np.full(100, logit), np.zeros(100, np.bool_))


def test_every_frame_counts_once_by_its_iou_or_by_staying_empty():
    half_right = Evidence(np.where(np.arange(100) < 25, 5.0, -5.0), np.arange(100) < 50)
    evidence = [half_right, silent(0.1), silent(0.9)]
    assert merit(evidence, cutoff=0.0) == pytest.approx((0.5 + 1 + 0) / 3)


def test_a_threshold_that_marks_empty_frames_is_passed_over():
    evidence = [sounding(0.9), *[silent(0.52)] * 5, *[silent(0.1)] * 5]
    assert choose_threshold(evidence, 1.0) == 0.55


def test_a_threshold_that_loses_what_sounds_is_passed_over():
    evidence = [*[sounding(0.42)] * 5, silent(0.52)]
    assert choose_threshold(evidence, 1.0) == 0.2


def test_the_temperature_counts_before_the_cut():
    assert choose_threshold([sounding(0.9), silent(0.8), silent(0.7)], 100.0) == 0.55


def test_a_sound_side_that_is_too_careful_is_shifted_up():
    network = make_network(NAMING_SPEC)
    runtime = start(network, "cpu", precision="fp32", warn=pytest.fail)
    trained = network.agreement.sound.bias.detach().clone()
    found = calibrate(runtime, scene_frames(2, (64, 64), seeds=VALIDATION_SEEDS))
    assert found.sound_shift in SOUND_SHIFTS
    torch.testing.assert_close(network.agreement.sound.bias.detach(), trained + found.sound_shift)
    again = [gather(runtime, f) for f in scene_frames(2, (64, 64), seeds=VALIDATION_SEEDS)]
    shifted = merit(again, cutoff=0.0)
    network.agreement.sound.bias.data = trained
    plain = [gather(runtime, f) for f in scene_frames(2, (64, 64), seeds=VALIDATION_SEEDS)]
    assert shifted >= merit(plain, cutoff=0.0)

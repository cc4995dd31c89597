"""The temperature against a known one, the threshold against its rule."""

import numpy as np
import pytest

from avscli.training.calibration import EMPTY_GOAL, Evidence, choose_threshold, fit_temperature


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


def test_the_lowest_threshold_that_keeps_enough_frames_empty_wins_when_it_marks_most():
    evidence = [sounding(0.47), sounding(0.9), *[silent(0.33)] * 10]
    assert choose_threshold(evidence, 1.0) in (0.35, 0.4, 0.45)


def test_a_threshold_that_marks_empty_frames_is_passed_over():
    evidence = [sounding(0.42), *[silent(0.52)] * 5, *[silent(0.1)] * 5]
    threshold = choose_threshold(evidence, 1.0)
    assert threshold > 0.52


def test_when_nothing_keeps_enough_empty_the_emptiest_is_taken():
    assert EMPTY_GOAL > 0.5
    evidence = [sounding(0.9), silent(0.95), silent(0.6)]
    assert choose_threshold(evidence, 1.0) == 0.65


def test_the_temperature_counts_before_the_cut():
    assert choose_threshold([sounding(0.9), silent(0.8)], 100.0) == 0.55

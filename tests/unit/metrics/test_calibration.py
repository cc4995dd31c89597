"""Reliability against the definition written out pixel by pixel."""

import math

import numpy as np
import pytest

from avscli.metrics.calibration import Reliability


def by_definition(probability: np.ndarray, truth: np.ndarray, num_bins: int = 15) -> float:
    total = 0.0
    for k in range(num_bins):
        last = k == num_bins - 1
        inside = (probability >= k / num_bins) & ((probability < (k + 1) / num_bins) | last)
        if inside.any():
            gap = abs(probability[inside].mean() - truth[inside].mean())
            total += inside.sum() * gap
    return total / probability.size


@pytest.fixture
def said_and_true():
    rng = np.random.default_rng(3)
    said = rng.beta(0.4, 0.7, (6, 40, 30))
    return said, rng.random(said.shape) < said**1.6


def test_the_error_is_the_definitions(said_and_true):
    said, true = said_and_true
    reliability = Reliability()
    reliability.add(said, true)
    assert reliability.error == pytest.approx(by_definition(said, true), abs=1e-12)


def test_portions_in_any_order_give_the_same_table(said_and_true):
    said, true = said_and_true
    whole, portions = Reliability(), Reliability()
    whole.add(said, true)
    for k in (4, 0, 5, 2, 1, 3):
        portions.add(said[k], true[k])
    for one, other in zip(whole.table(), portions.table(), strict=True):
        assert one.count == other.count
        assert one.true_share == other.true_share
        assert one.mean_probability == pytest.approx(other.mean_probability, abs=1e-12)


def test_what_is_not_scored_counts_nowhere(said_and_true):
    said, true = said_and_true
    scored = np.random.default_rng(0).random(said.shape) < 0.5
    some, only = Reliability(), Reliability()
    some.add(said, true, scored)
    only.add(said[scored], true[scored])
    assert some.table() == only.table()


def test_probabilities_that_come_true_have_no_error():
    reliability = Reliability(num_bins=4)
    reliability.add(np.repeat([0.25, 0.75], 4), np.array([1, 0, 0, 0, 1, 1, 1, 0], bool))
    assert reliability.error == 0.0
    reliability.add(np.array([1.0, 0.0]), np.array([True, False]))
    assert reliability.error == 0.0
    assert [row.count for row in reliability.table()] == [1, 4, 0, 5]
    assert reliability.table()[2].true_share is None


def test_sure_and_wrong_is_an_error_of_one():
    reliability = Reliability()
    reliability.add(np.array([1.0, 0.0]), np.array([False, True]))
    assert reliability.error == 1.0


def test_without_pixels_there_is_no_error_to_tell():
    assert math.isnan(Reliability().error)

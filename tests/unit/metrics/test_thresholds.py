"""The histogram against one comparison per threshold."""

import numpy as np
import pytest
import torch

from avscli.metrics.thresholds import (
    NUM_THRESHOLDS,
    THRESHOLDS,
    count_at_thresholds,
    last_thresholds,
)


def neighbours(values: np.ndarray) -> np.ndarray:
    """Each value with the floats just below and above it, within 0 … 1."""
    below, above = np.nextafter(values, np.float32(0)), np.nextafter(values, np.float32(1))
    return np.clip(np.concatenate([below, values, above]), 0, 1).astype(np.float32)


@pytest.mark.parametrize(
    "probability",
    [
        neighbours(THRESHOLDS),
        np.random.default_rng(0).random(5000).astype(np.float32),
        torch.sigmoid(torch.linspace(-120, 120, 5001)).numpy(),
    ],
    ids=["around every threshold", "random", "sigmoids"],
)
def test_every_pixel_finds_the_last_threshold_that_marks_it(probability):
    expected = (probability[:, None] >= THRESHOLDS).sum(axis=1) - 1
    assert np.array_equal(last_thresholds(probability[None])[0], expected)


def test_the_thresholds_are_torchs():
    assert np.array_equal(THRESHOLDS, torch.linspace(0, 1 - 1e-10, 255).numpy())
    assert THRESHOLDS[-1] == 1.0


def test_counts_are_those_of_one_mask_per_threshold():
    rng = np.random.default_rng(1)
    probability = rng.beta(0.5, 0.5, (30, 40)).astype(np.float32)
    truth, scored = rng.random((30, 40)) < probability, rng.random((30, 40)) < 0.9
    counts = count_at_thresholds(probability, truth, scored)
    for k in range(0, NUM_THRESHOLDS, 9):
        mask = (probability >= THRESHOLDS[k]) & scored
        assert counts.marked[k] == mask.sum()
        assert counts.hits[k] == (mask & truth).sum()
    assert counts.true == (truth & scored).sum()


def test_nothing_true_and_nothing_marked_has_no_f_score():
    empty = np.zeros((4, 4), np.float32)
    counts = count_at_thresholds(empty, empty > 0)
    assert counts.f_scores().max() == 0.0

"""Counts of pixels against arithmetic done by hand."""

import numpy as np
import pytest

from avscli.metrics.overlap import Overlap

MASK = np.array([[1, 1, 0, 0]], bool)
TRUTH = np.array([[0, 1, 1, 0]], bool)


def test_counts_are_what_they_are_called():
    counts = Overlap.of(MASK, TRUTH)
    assert counts == Overlap(hit=1, false=1, missed=1, scored=4)
    assert (counts.marked, counts.true) == (2, 2)
    assert counts.iou == pytest.approx(1 / 3)
    assert counts.marked_share == 0.5


def test_void_pixels_count_nowhere():
    scored = np.array([[False, True, True, True]])
    assert Overlap.of(MASK, TRUTH, scored) == Overlap(hit=1, false=0, missed=1, scored=3)


def test_sums_of_counts_are_counts_of_joined_masks():
    joined = Overlap.of(np.hstack([MASK, TRUTH]), np.hstack([TRUTH, TRUTH]))
    assert Overlap.of(MASK, TRUTH) + Overlap.of(TRUTH, TRUTH) == joined


@pytest.mark.parametrize("beta_squared", [0.3, 1.0])
def test_the_f_score_is_the_weighted_harmonic_mean(beta_squared):
    counts = Overlap(hit=6, false=2, missed=4, scored=100)
    precision, recall = 6 / 8, 6 / 10
    expected = (1 + beta_squared) * precision * recall / (beta_squared * precision + recall)
    assert counts.f_score(beta_squared) == pytest.approx(expected)


def test_nothing_marked_where_nothing_is_true_is_perfect():
    assert Overlap(scored=9).iou == 1.0
    assert Overlap(scored=9).f_score() == 1.0
    assert Overlap(false=1, scored=9).iou == 0.0
    assert Overlap(missed=1, scored=9).f_score() == 0.0

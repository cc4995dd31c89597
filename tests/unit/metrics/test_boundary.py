"""Outlines and their F-score, on shapes whose numbers follow from counting."""

import numpy as np
import pytest

from avscli.metrics.boundary import boundary_f, outline


def square(top: int, left: int, side: int, size: int = 100) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_the_outline_is_as_long_as_the_shape():
    assert outline(square(2, 3, 4, size=12)).sum() == 4 * 4


def test_masks_without_outline_agree_whatever_they_cover():
    nothing, all_of_it = np.zeros((5, 5), bool), np.ones((5, 5), bool)
    assert boundary_f(nothing, nothing) == boundary_f(nothing, all_of_it) == 1.0
    assert boundary_f(nothing, square(1, 1, 2, size=5)) == 0.0


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (2, 1.0), (3, None), (40, 0.0)])
def test_an_outline_within_reach_is_as_good_as_right(shift, expected):
    # The diagonal of 100 × 100 is 141 pixels: 0.8 % of it, rounded up, is a reach of 2.
    score = boundary_f(square(20, 10, 30), square(20, 10 + shift, 30))
    if expected is None:  # upper and lower edges still touch, left and right ones do not
        assert 0.4 < score < 0.7
    else:
        assert score == expected


def test_precision_and_recall_are_told_apart():
    one, two = square(10, 10, 20), square(10, 10, 20) | square(60, 60, 20)
    assert boundary_f(one, two) == pytest.approx(2 * 1.0 * 0.5 / 1.5)

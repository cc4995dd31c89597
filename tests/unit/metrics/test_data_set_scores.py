"""Detection, intervals, classes and COCO's precision where the answer is known."""

import numpy as np
import pytest

from avscli.metrics.bootstrap import Ratio, difference_interval, interval
from avscli.metrics.coco_ap import MaskAveragePrecision
from avscli.metrics.confusion import ClassPixels, Confusion
from avscli.metrics.detection import area_under_roc

HERE = np.ones((4, 4), bool)


def test_area_under_roc_counts_the_pairs_in_right_order():
    assert area_under_roc([0.9, 0.8, 0.3, 0.1], [True, False, True, False]) == 0.75
    assert area_under_roc([0.5, 0.5], [True, False]) == 0.5
    assert area_under_roc([0.5, 0.6], [True, True]) is None


def test_an_interval_is_as_wide_as_the_normal_law_says():
    draws = np.random.default_rng(0).normal(0.6, 0.1, 400)
    low, high = interval(Ratio(draws, np.ones(400)))
    half = 1.96 * draws.std() / np.sqrt(400)
    assert low == pytest.approx(draws.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(draws.mean() + half, abs=0.1 * half)


def test_a_paired_difference_is_surer_than_its_parts():
    rng = np.random.default_rng(0)
    clips = rng.normal(0.5, 0.2, 200)
    one, other = (Ratio(clips + d, np.ones(200)) for d in (0.0, 0.05))
    low, high = difference_interval(one, other)
    assert low == pytest.approx(0.05)
    assert high == pytest.approx(0.05)
    assert interval(one).high - interval(one).low > 0.04


def test_fewer_than_two_clips_have_no_interval():
    assert interval(Ratio(np.ones(1), np.ones(1))) == (None, None)
    assert Ratio(np.zeros(3), np.zeros(3)).value is None
    assert interval(Ratio(np.zeros(3), np.zeros(3))) == (None, None)


def test_classes_are_scored_over_all_pixels():
    confusion = Confusion(4)
    labels, target = np.array([[1, 1, 2, 0]], np.uint8), np.array([[1, 2, 2, 1]], np.uint8)
    confusion.add(labels, target, np.array([[True, True, True, False]]))
    assert confusion.classes() == (
        ClassPixels(None, None),
        ClassPixels(0.5, 0.5),
        ClassPixels(0.5, 0.0),
        ClassPixels(None, None),
    )


def test_surer_false_masks_cost_precision():
    def precision(score_of_false: float) -> float | None:
        ap = MaskAveragePrecision()
        mask = np.eye(4, dtype=np.uint8)
        ap.add(mask, mask, HERE, 0.5)
        ap.add(mask, np.zeros((4, 4), np.uint8), HERE, score_of_false)
        return ap.result().ap

    assert precision(0.1) == pytest.approx(1.0)
    assert precision(0.9) == pytest.approx(0.5)


def test_precision_without_truth_or_masks():
    ap = MaskAveragePrecision()
    nothing = np.zeros((4, 4), np.uint8)
    ap.add(nothing, nothing, HERE, 0.5)
    assert ap.result() == (None, None, None)
    ap.add(nothing, nothing + 1, HERE, 0.5)
    assert ap.result() == (0.0, 0.0, 0.0)

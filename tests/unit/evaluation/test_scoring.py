"""Scores against arithmetic done by hand."""

import numpy as np
import pytest

from avscli.devices import start
from avscli.evaluation import LabelledFrame, Scores, scene_frames, score
from avscli.evaluation.frames import around_the_frame
from tests.networks_for_tests import make_network


def halves(left: int, right: int) -> np.ndarray:
    return np.repeat(np.array([[left] * 5 + [right] * 5], np.uint8), 10, axis=0)


def test_iou_counts_frames_with_sound_and_void_counts_nowhere():
    scores = Scores()
    scores.add("positive", halves(1, 0) > 0, halves(1, 0))  # perfect
    scores.add("positive", halves(1, 1) > 0, halves(1, 0))  # half of the union
    scores.add("both", halves(1, 1) > 0, halves(1, 255))  # the excess is void
    assert scores.summary() == {
        "mean_iou": pytest.approx((1.0 + 0.5 + 1.0) / 3),
        "mean_iou_positive": pytest.approx(0.75),
        "mean_iou_both": 1.0,
    }


@pytest.mark.parametrize(("num_marked", "is_kept_empty"), [(0, True), (99, True), (100, False)])
def test_a_frame_without_sound_is_kept_empty_below_one_percent(num_marked, is_kept_empty):
    mask = np.zeros((100, 100), np.bool_)
    mask.ravel()[:num_marked] = True
    scores = Scores()
    scores.add("silent", mask, np.zeros((100, 100), np.uint8))
    assert scores.kept_empty == {"silent": [is_kept_empty]}
    assert scores.ious == {}


def test_a_network_is_scored_at_the_pictures_own_size():
    runtime = start(make_network(), "cpu", warn=pytest.fail)
    frame = LabelledFrame(
        np.zeros((50, 130, 3), np.uint8),
        around_the_frame(np.zeros(15_600, np.float32)),
        np.ones((50, 130), np.uint8),
        "positive",
    )
    everything = score(runtime, [frame], threshold=1e-6)
    nothing = score(runtime, [frame], threshold=1 - 1e-6)
    assert everything.ious == {"positive": [1.0]}
    assert sum(row.count for row in everything.reliability.table()) == 50 * 130
    assert nothing.ious == {"positive": [0.0]}


def test_held_out_scenes_are_the_same_every_time():
    once, again = (list(scene_frames(3, (64, 64))) for _ in range(2))
    for a, b in zip(once, again, strict=True):
        assert np.array_equal(a.picture, b.picture)
        assert np.array_equal(a.sound.samples, b.sound.samples)
        assert np.array_equal(a.target, b.target)

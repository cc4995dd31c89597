"""Other sounds for the same pictures, on a miniature of avsmix."""

from itertools import pairwise

import numpy as np
import pytest

from avscli.datasets.avsmix import AvsMix
from avscli.datasets.scenes import KINDS
from avscli.devices import start
from avscli.evaluation import avsmix_frames
from avscli.evaluation.counterfactual import (
    score_side_by_side,
    score_swapped,
    side_by_side,
    swapped_couples,
)
from tests.miniatures import write_avsmix
from tests.networks_for_tests import make_network


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return AvsMix.open(write_avsmix(tmp_path_factory.mktemp("avsmix"), num_pictures=8))


@pytest.fixture(scope="module")
def runtime():
    return start(make_network(), "cpu", warn=pytest.fail)


def test_only_sounding_pairs_are_swapped_and_only_the_sound_changes(data):
    couples = list(swapped_couples(data, "test"))
    assert len(couples) == sum(bool(pair.sounding) for pair in data.pairs("test"))
    for right, swapped in couples:
        assert np.array_equal(right.picture, swapped.picture)
        assert not np.array_equal(right.sound.samples, swapped.sound.samples)


def test_the_swapped_sounds_follow_from_the_seed(data):
    first, again, other = (
        [couple.swapped.sound.samples for couple in swapped_couples(data, "test", seed=seed)]
        for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_a_network_that_marks_everything_loses_nothing(data, runtime):
    scores = score_swapped(runtime, swapped_couples(data, "test"), threshold=1e-6)
    assert scores.area_gone == 0.0


def test_each_couple_of_pictures_gives_two_frames_with_exchanged_roles(data):
    frames = list(side_by_side(data, "test", count=5))
    assert len(frames) == 10
    for first, second in pairwise(frames):
        if first.frame.picture is second.frame.picture:
            assert np.array_equal(first.frame.target == 1, second.other)
            assert np.array_equal(second.frame.target == 1, first.other)
            assert first.frame.class_name != second.frame.class_name


def test_objects_lie_in_their_halves_and_voids_stay(data):
    for item in side_by_side(data, "test", count=4):
        left, right = np.hsplit(item.frame.target == 1, 2)
        assert left.any() != right.any()
        assert (item.frame.target[0] == 255).all()  # the miniature's masks begin with void rows


def test_marking_everything_is_scored_as_undecided(data, runtime):
    frames = list(side_by_side(data, "test", count=3))
    scores = score_side_by_side(runtime, frames, threshold=1e-6)
    shares = [(item.frame.target == 1).sum() / (item.frame.target != 255).sum() for item in frames]
    assert scores.num_frames == 6
    assert scores.mean_iou == pytest.approx(np.mean(shares))
    assert scores.wrong_covered == 1.0
    assert scores.chosen == 0.0


def test_a_pair_is_of_the_class_that_sounds(data):
    named = {frame.class_name for frame in avsmix_frames(data, "test") if frame.class_name}
    assert named <= set(KINDS)
    quiet = [f for f in avsmix_frames(data, "test") if f.kind in ("mismatch", "silent")]
    assert all(frame.class_name is None for frame in quiet)

"""Other sounds for the same pictures, on a miniature of avsmix."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from avscli.config import DataSelection
from avscli.datasets.kinds.avsmix import AvsMixPairs, open_set
from avscli.datasets.scenes import KINDS
from avscli.datasets.side_by_side import side_by_side
from avscli.devices import start
from avscli.evaluation.network.altered import altered_clips
from avscli.evaluation.network.counterfactual import score_altered, score_side_by_side
from avscli.evaluation.network.judging import judge
from tests.miniatures import write_avsmix
from tests.networks_for_tests import make_network


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> AvsMixPairs:
    root = write_avsmix(tmp_path_factory.mktemp("avsmix"), num_pictures=8)
    return open_set(DataSelection("avsmix", root))


@pytest.fixture(scope="module")
def marks_everything():
    return partial(judge, start(make_network(), "cpu", warn=pytest.fail), threshold=1e-6)


def test_only_sounding_pairs_are_altered_and_only_the_sound_changes(pairs):
    items = list(altered_clips(pairs))
    assert len(items) == sum(bool(pair.sounding) for pair in pairs.pairs)
    for item in items:
        assert item.others.keys() == {"muted", "swapped"}
        for other in item.others.values():
            assert np.array_equal(item.right.pictures, other.pictures)
            assert not np.array_equal(item.right.sound.samples, other.sound.samples)


def test_a_swapped_sound_is_of_a_class_that_is_not_in_the_picture(pairs):
    made_by = {sound.audio: sound.visual_classes for sound in pairs.data.sounds("test")}
    classes = {picture.image: picture.classes for picture in pairs.data.pictures("test")}
    for pair, sound in zip(pairs.pairs, pairs.foreign_sounds(), strict=True):
        assert (sound is None) == (not pair.sounding)
        assert any(not kinds & classes[pair.image] for kinds in made_by.values())
    once, again = (list(pairs.foreign_sounds()) for _ in range(2))
    for a, b in zip(once, again, strict=True):
        assert (a is None and b is None) or np.array_equal(a.samples, b.samples)


def test_a_network_that_marks_everything_loses_what_falls_silent_and_nothing_else(
    pairs, marks_everything
):
    told = score_altered(altered_clips(pairs), marks_everything)
    assert told["swapped"]["area_gone"] == 0.0
    assert told["muted"]["area_gone"] == 1.0  # the silence gate is part of what is shipped


def test_each_couple_of_pictures_gives_two_frames_with_exchanged_roles(pairs):
    items = list(side_by_side(pairs.data, "test", count=5))
    assert len(items) == 10
    for first, second in pairwise(items):
        if first.clip.pictures.base is second.clip.pictures.base:
            assert np.array_equal(first.clip.targets[0] == 1, second.other)
            assert np.array_equal(second.clip.targets[0] == 1, first.other)
            assert first.clip.category != second.clip.category


def test_objects_lie_in_their_halves_and_voids_stay(pairs):
    for item in side_by_side(pairs.data, "test", count=4):
        left, right = np.hsplit(item.clip.targets[0] == 1, 2)
        assert left.any() != right.any()
        assert (item.clip.targets[0, 0] == 255).all()  # the miniature's masks begin with void rows


def test_marking_everything_is_scored_as_undecided(pairs, marks_everything):
    items = list(side_by_side(pairs.data, "test", count=3))
    scores = score_side_by_side(items, marks_everything)
    shares = [(item.clip.targets == 1).sum() / (item.clip.targets != 255).sum() for item in items]
    assert scores.num_frames == 6
    assert scores.mean_iou == pytest.approx(np.mean(shares))
    assert scores.wrong_covered == 1.0
    assert scores.chosen == 0.0


def test_a_pair_is_of_the_class_that_sounds(pairs):
    clips = [pairs.read(index) for index in range(len(pairs))]
    assert {clip.category for clip in clips if clip.category} <= set(KINDS)
    quiet = [clip for clip in clips if clip.kind in ("mismatch", "silent")]
    assert quiet
    assert all(clip.category is None for clip in quiet)

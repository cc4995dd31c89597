"""The rules of the tracker, one by one, on boxes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from avscli.objects.naming import SourceProbabilities
from avscli.objects.tracking import (
    JOINED_SECONDS,
    MEMORY_SECONDS,
    FrameObjects,
    ObjectTracker,
    best_assignment,
)

SIZE_HW = (96, 160)
SURE = np.full((4, 4), 0.9, np.float32)
Box = tuple[int, int, int, int]  # top, left, height, width
DOG, CAT, UNKNOWN = 1, 2, 3


def boxes(*places: Box, label: int = 1) -> NDArray[np.uint8]:
    label_map = np.zeros(SIZE_HW, np.uint8)
    for top, left, height, width in places:
        label_map[top : top + height, left : left + width] = label
    return label_map


def ids(found: FrameObjects) -> list[int]:
    return [thing.track_id for thing in found.objects]


def id_at(found: FrameObjects, y: int, x: int) -> int | None:
    number = int(found.object_map[y, x])
    return found.objects[number - 1].track_id if number else None


def classes(tracker: ObjectTracker, seconds: float, *maps: NDArray[np.uint8]) -> FrameObjects:
    return tracker.step(seconds, np.maximum.reduce(maps), SURE)


def test_an_object_that_moves_keeps_its_number() -> None:
    tracker = ObjectTracker()
    for k in range(20):
        assert ids(tracker.step(k / 10, boxes((20, 5 * k, 30, 30)), SURE)) == [1]


def test_objects_keep_their_numbers_where_they_are() -> None:
    tracker = ObjectTracker()
    left, right = (20, 10, 30, 30), (20, 100, 30, 30)
    assert ids(tracker.step(0, boxes(right), SURE)) == [1]
    both = tracker.step(0.1, boxes(left, right), SURE)
    assert (id_at(both, 30, 110), id_at(both, 30, 20)) == (1, 2)
    assert ids(tracker.step(0.2, boxes(left), SURE)) == [2]


@pytest.mark.parametrize(("pause", "number"), [(MEMORY_SECONDS, 1), (MEMORY_SECONDS + 0.1, 2)])
def test_an_object_is_found_again_for_as_long_as_is_said(pause: float, number: int) -> None:
    tracker = ObjectTracker()
    tracker.step(0, boxes((20, 10, 30, 30)), SURE)
    assert ids(tracker.step(pause / 2, boxes(), SURE)) == []
    assert ids(tracker.step(pause, boxes((20, 20, 30, 30)), SURE)) == [number]


@pytest.mark.parametrize(
    "other",
    [
        boxes((20, 45, 30, 30)),
        boxes((0, 0, 80, 80)),
        boxes((20, 10, 30, 30), label=2),
    ],
    ids=["elsewhere", "of another size", "of another class"],
)
def test_after_a_pause_what_does_not_fit_is_another_object(other: NDArray[np.uint8]) -> None:
    tracker = ObjectTracker()
    tracker.step(0, boxes((20, 10, 30, 30)), SURE)
    tracker.step(1, boxes(), SURE)
    assert ids(tracker.step(2, other, SURE)) == [2]


def test_what_moves_is_looked_for_further_away() -> None:
    tracker = ObjectTracker()
    for k in range(11):
        tracker.step(k / 10, boxes((20, 4 * k, 30, 30)), SURE)
    tracker.step(1.1, boxes(), SURE)
    assert ids(tracker.step(2.0, boxes((20, 80, 30, 30)), SURE)) == [1]


def test_objects_of_two_classes_keep_their_numbers_when_they_cross() -> None:
    tracker = ObjectTracker()
    for k in range(24):
        dog, cat = boxes((20, 5 * k, 30, 30)), boxes((25, 115 - 5 * k, 30, 30), label=2)
        found = classes(tracker, k / 10, dog, cat)
    assert {o.track_id: o.category_id for o in found.objects} == {1: DOG, 2: CAT}


def test_one_frame_under_another_name_keeps_that_name_and_not_the_object() -> None:
    tracker = ObjectTracker()
    place = (20, 10, 30, 30)
    shown = [tracker.step(k, boxes(place, label=2 if k == 3 else 1), SURE) for k in range(6)]
    assert [ids(found) for found in shown] == [[1]] * 6
    assert [found.objects[0].category_id for found in shown] == [1, 1, 1, 2, 1, 1]
    assert [found.objects[0].track_category_id for found in shown] == [1] * 6


def test_an_object_that_breaks_stays_one_until_its_pieces_are_apart() -> None:
    tracker = ObjectTracker()
    tracker.step(0, boxes((20, 40, 30, 60)), SURE)
    near = tracker.step(0.1, boxes((20, 40, 30, 28), (20, 72, 30, 28)), SURE)
    assert ids(near) == [1]
    apart = tracker.step(0.2, boxes((20, 30, 30, 28), (20, 82, 30, 28)), SURE)
    assert ids(apart) == [1, 2]


def test_a_crumb_belongs_to_what_it_fell_off() -> None:
    found = ObjectTracker().step(0, boxes((20, 40, 30, 60), (52, 60, 8, 8)), SURE)
    assert ids(found) == [1]
    assert found.object_map[55, 63] == found.object_map[30, 60] == 1


def test_objects_that_join_are_told_apart_for_a_while() -> None:
    tracker = ObjectTracker()
    apart = tracker.step(0, boxes((20, 20, 30, 40), (20, 70, 30, 40)), SURE)
    first, second = id_at(apart, 30, 30), id_at(apart, 30, 100)
    joined = boxes((20, 20, 30, 90))
    for seconds in (0.1, JOINED_SECONDS):
        found = tracker.step(seconds, joined, SURE)
        assert (id_at(found, 30, 30), id_at(found, 30, 100)) == (first, second)
    assert len(ids(tracker.step(JOINED_SECONDS + 0.2, joined, SURE))) == 1


def test_what_is_divided_has_no_hole_and_no_overlap() -> None:
    tracker = ObjectTracker()
    tracker.step(0, boxes((20, 20, 30, 40), (20, 70, 30, 40)), SURE)
    joined = boxes((20, 20, 30, 90))
    found = tracker.step(0.1, joined, SURE)
    np.testing.assert_array_equal(found.object_map > 0, joined > 0)
    left, right = (np.count_nonzero(found.object_map == n) for n in (1, 2))
    assert abs(left - right) <= 2 * 30  # the cut is half-way, to a point of the grid


def test_a_region_of_two_sources_is_two_objects() -> None:
    picture = np.zeros((2, 12, 20), np.float32)
    picture[0, :, :10], picture[1, :, 10:] = 0.9, 0.9
    sources = SourceProbabilities(picture, np.ones(2, np.float32))
    tracker = ObjectTracker(unknown=UNKNOWN)
    found = tracker.step(0, boxes((20, 40, 30, 80)), SURE, sources)
    assert [(o.track_id, o.category_id) for o in found.objects] == [(1, DOG), (2, CAT)]


def test_more_objects_than_a_map_can_number_are_told_once() -> None:
    warnings: list[str] = []
    tracker = ObjectTracker(on_warning=warnings.append)
    crowd = np.zeros((80, 80), np.uint8)
    crowd[::4, ::4] = 1
    for seconds in (0.0, 1.0):
        found = tracker.step(seconds, crowd, SURE)
        assert 250 < len(found.objects) == found.object_map.max()
        np.testing.assert_array_equal(found.object_map > 0, crowd > 0)
    assert len(warnings) == 1


def test_the_same_frames_give_the_same_objects() -> None:
    rng = np.random.default_rng(5)
    frames = [
        boxes(*[(*rng.integers(0, 60, 2), *rng.integers(5, 30, 2)) for _ in range(6)])
        for _ in range(40)
    ]
    runs = []
    for _ in range(2):
        tracker = ObjectTracker()
        runs.append([tracker.step(k / 5, frame, SURE).objects for k, frame in enumerate(frames)])
    assert runs[0] == runs[1]


def test_every_frame_maps_each_object_and_nothing_else() -> None:
    rng = np.random.default_rng(6)
    tracker = ObjectTracker()
    for k in range(60):
        places = [(*rng.integers(0, 60, 2), *rng.integers(5, 30, 2)) for _ in range(6)]
        label_map = boxes(*places)
        found = tracker.step(k / 5, label_map, SURE)
        np.testing.assert_array_equal(found.object_map > 0, label_map > 0)
        assert set(np.unique(found.object_map)) - {0} == set(range(1, len(found.objects) + 1))
        assert ids(found) == sorted(set(ids(found)))


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (1, 4), (5, 1), (2, 2), (3, 6), (7, 4)])
def test_the_best_assignment_is_scipys_with_and_without_rivals(shape: tuple[int, int]) -> None:
    for seed in range(20):
        fits = np.random.default_rng(seed).random(shape)
        expected = list(zip(*linear_sum_assignment(fits, maximize=True), strict=True))
        assert best_assignment(fits) == expected


def test_tracks_that_vie_for_a_region_are_given_the_largest_sum() -> None:
    fits = np.array([[2.9, 2.8, 0.0], [2.7, 0.0, 0.0]])  # both fit the first region best
    assert best_assignment(fits) == [(0, 1), (1, 0)]

"""Objects divide a mask among them: they never take a pixel from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from avscli.objects.naming import SourceProbabilities
from avscli.objects.regions import GridPoints, connected_regions
from avscli.objects.tracking import ObjectTracker

SURE = np.full((4, 4), 0.9, np.float32)
WIDE = (16, 16400)  # the grid has one row, every 52nd pixel


@st.composite
def label_maps(draw: st.DrawFn) -> NDArray[np.uint8]:
    """Noise from single pixels to a full frame, coarse in one direction or in both."""
    height, width = draw(st.sampled_from([(1, 1), (7, 5), (3, 2000), (1300, 2), (120, 700)]))
    down, right = draw(st.sampled_from([(1, 1), (1, 40), (40, 1), (9, 9)]))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    cells = (-(-height // down), -(-width // right))
    marked = rng.random(cells) < draw(st.sampled_from([0.001, 0.05, 0.5, 1.0]))
    classes = marked * rng.integers(1, draw(st.integers(1, 4)) + 1, cells)
    return classes.astype(np.uint8).repeat(down, 0).repeat(right, 1)[:height, :width].copy()


@settings(max_examples=60, deadline=None)
@given(label_maps())
def test_regions_cover_each_pixel_with_its_own_class(label_map: NDArray[np.uint8]) -> None:
    found = connected_regions(label_map)
    class_of = np.array([0, *found.classes], np.uint8)
    np.testing.assert_array_equal(class_of[found.labels], label_map)


@settings(max_examples=20, deadline=None)
@given(st.lists(label_maps(), min_size=1, max_size=3), st.integers(0, 100))
def test_object_maps_mark_what_the_mask_marks(maps: list[NDArray[np.uint8]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture, sound = rng.random((2, 4, 4)), rng.uniform(0.5, 1.0, 2)
    sources = SourceProbabilities(picture.astype(np.float32), sound.astype(np.float32))
    tracker = ObjectTracker(unknown=3)
    for k, label_map in enumerate(maps):
        mask = (label_map > 0).view(np.uint8)
        found = tracker.step(k / 5, mask, SURE, sources)
        np.testing.assert_array_equal(found.object_map > 0, mask > 0)


@pytest.mark.parametrize("size_hw", [WIDE, WIDE[::-1], (720, 1280)])
def test_what_lies_between_the_points_is_an_object_where_it_is_alone(
    size_hw: tuple[int, int],
) -> None:
    label_map = np.zeros(size_hw, np.uint8)
    label_map[0, 0] = label_map[0, -1] = 1
    found = ObjectTracker().step(0, label_map, SURE)
    np.testing.assert_array_equal(found.object_map, label_map)
    assert len(found.objects) == 1


def test_what_lies_between_the_points_belongs_to_the_nearest_of_its_class() -> None:
    label_map = np.zeros((720, 1280), np.uint8)
    label_map[100:200, 100:200], label_map[100:200, 500:600] = 1, 1
    label_map[100:200, 220:300] = 2
    row = GridPoints.of((720, 1280)).rows[40] + 1
    label_map[row, [215, 480]] = 1
    found = connected_regions(label_map)
    assert found.classes == (1, 1, 2)
    assert found.labels[row, 215] == found.labels[150, 150]
    assert found.labels[row, 480] == found.labels[150, 550]


def test_a_class_of_crumbs_is_not_crowded_out_by_many_regions_of_another() -> None:
    label_map = np.zeros((96, 96), np.uint8)
    label_map[::4, ::4] = 1  # 576 single pixels
    label_map[2, 2] = 2
    found = connected_regions(label_map)
    assert found.classes.count(1) == 254
    assert found.classes[found.labels[2, 2] - 1] == 2

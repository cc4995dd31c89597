"""Names of regions, against sums that can be done by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from avscli.masks import resize_plane
from avscli.objects.naming import KNOWN_SHARE, SourceProbabilities, name_regions
from avscli.objects.regions import BAND_PIXELS, connected_regions, divide_region, enlarged

UNKNOWN = 3
SURE = np.full((4, 4), 0.9, np.float32)


def halves(left: int, right: int, clearness: float = 0.9) -> NDArray[np.float32]:
    """Two classes on an 8×8 grid: one in the left half, one in the right."""
    picture = np.zeros((2, 8, 8), np.float32)
    picture[left, :, :4] = clearness
    picture[right, :, 4:] = clearness
    return picture


def frame(*boxes: tuple[slice, slice]) -> NDArray[np.uint8]:
    label_map = np.zeros((64, 64), np.uint8)
    for box in boxes:
        label_map[box] = 1
    return label_map


LEFT, RIGHT = np.s_[8:56, 8:24], np.s_[8:56, 40:56]
ACROSS = np.s_[8:56, 8:56]


def test_each_region_is_called_what_is_seen_and_may_sound() -> None:
    sources = SourceProbabilities(halves(0, 1), np.array([0.8, 0.5], np.float32))
    found = name_regions(frame(LEFT, RIGHT), SURE, sources, unknown=UNKNOWN)
    assert [region.category_id for region in found.named] == [1, 2]
    assert [region.category_score for region in found.named] == pytest.approx([0.72, 0.45])
    assert [region.score for region in found.named] == pytest.approx([0.9, 0.9])


def test_what_is_seen_but_cannot_sound_gives_no_name() -> None:
    sources = SourceProbabilities(halves(0, 1), np.array([0.8, 0.1], np.float32))
    found = name_regions(frame(RIGHT), SURE, sources, unknown=UNKNOWN)
    assert found.named[0].category_id == UNKNOWN
    assert found.named[0].category_score == pytest.approx(1 - 0.09 / KNOWN_SHARE)


def test_a_region_of_two_classes_is_split_where_they_meet() -> None:
    sources = SourceProbabilities(halves(0, 1), np.ones(2, np.float32))
    found = name_regions(frame(ACROSS), SURE, sources, unknown=UNKNOWN)
    assert [region.category_id for region in found.named] == [1, 2]
    assert set(np.unique(found.labels[8:56, 8:32])) == {1}
    assert set(np.unique(found.labels[8:56, 32:56])) == {2}


def test_a_part_that_is_too_small_to_stand_stays_with_the_rest() -> None:
    sources = SourceProbabilities(halves(0, 1), np.ones(2, np.float32))
    found = name_regions(frame(np.s_[8:56, 8:34]), SURE, sources, unknown=UNKNOWN)
    assert [region.category_id for region in found.named] == [1]


def test_a_part_that_is_not_clear_enough_stays_with_the_rest() -> None:
    sources = SourceProbabilities(halves(0, 1), np.array([1, 0.09], np.float32))
    found = name_regions(frame(ACROSS), SURE, sources, unknown=UNKNOWN)
    assert [region.category_id for region in found.named] == [1]
    assert found.named[0].category_score == pytest.approx(0.45)


def test_without_sources_every_region_is_a_sounding_object() -> None:
    found = name_regions(frame(LEFT, RIGHT), SURE)
    assert [tuple(region) for region in found.named] == [
        (1, 1.0, pytest.approx(0.9)),
        (1, 1.0, pytest.approx(0.9)),
    ]


def test_label_maps_keep_their_classes_and_are_as_clear_as_these_are_probable() -> None:
    label_map = frame(LEFT, RIGHT)
    label_map[RIGHT] = 2
    sources = SourceProbabilities(halves(0, 1, 0.6), np.ones(2, np.float32))
    found = name_regions(label_map, SURE, sources)
    assert [region.category_id for region in found.named] == [1, 2]
    assert [region.category_score for region in found.named] == pytest.approx([0.6, 0.6])


def test_nothing_marked_is_no_region() -> None:
    found = name_regions(frame(), SURE)
    assert found.named == ()
    assert not found.labels.any()


def test_score_is_the_mean_probability_of_the_region_alone() -> None:
    probability = np.zeros((2, 2), np.float32)
    probability[:, 1] = 0.8
    assert name_regions(frame(LEFT), probability).named[0].score == 0
    assert name_regions(frame(RIGHT), probability).named[0].score == pytest.approx(0.8)


@pytest.mark.parametrize("seed", range(5))
def test_regions_are_those_of_scipy(seed: int) -> None:
    noise = np.random.default_rng(seed).random((60, 80))
    marked = ndimage.gaussian_filter(noise, 2) > 0.5
    expected, num_regions = ndimage.label(marked, np.ones((3, 3)))
    found = connected_regions(marked.view(np.uint8))
    assert len(found.classes) == num_regions <= 255
    pairs = np.unique(np.stack([expected, found.labels])[:, marked], axis=1)
    assert pairs.shape[1] == num_regions


def test_of_more_than_255_regions_the_largest_stay() -> None:
    label_map = np.zeros((80, 80), np.uint8)
    label_map[::4, ::4] = 1  # 400 single pixels
    label_map[40:48, 40:48] = 1
    _, num_regions = ndimage.label(label_map, np.ones((3, 3)))
    found = connected_regions(label_map)
    assert len(found.classes) == 255
    assert found.num_left_out == num_regions - 255
    assert np.count_nonzero(found.labels == found.labels[44, 44]) >= 64
    np.testing.assert_array_equal(found.labels > 0, label_map > 0)


def test_a_box_of_an_enlarged_map_is_the_same_as_enlarging_it_all() -> None:
    plane = np.random.default_rng(0).random((9, 16)).astype(np.float32)
    whole = resize_plane(plane, (90, 160))
    box = slice(13, 71), slice(0, 160)
    # OpenCV's warping rounds places to 1/32 of a cell.
    np.testing.assert_allclose(enlarged(plane, (90, 160), box), whole[box], atol=0.04)


@pytest.mark.parametrize("num_planes", [2, 4])
def test_each_pixel_of_a_divided_region_goes_to_the_largest_map(num_planes: int) -> None:
    noise = np.random.default_rng(num_planes).random((num_planes, 20, 30))
    planes = [ndimage.gaussian_filter(plane, 2).astype(np.float32) for plane in noise]
    labels = np.ones((600, 900), np.uint8)
    labels[:, :100], labels[:50] = 2, 0
    assert np.count_nonzero(labels) > BAND_PIXELS
    before = labels.copy()
    divide_region(labels, 1, planes, 2)
    largest = np.argmax([resize_plane(plane, (600, 900)) for plane in planes], axis=0)
    numbers = np.array([1, *range(3, 2 + num_planes)])
    np.testing.assert_array_equal(labels[before != 1], before[before != 1])
    of_region = before == 1
    assert np.mean(labels[of_region] == numbers[largest][of_region]) > 0.99

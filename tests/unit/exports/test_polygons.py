"""Outlines of masks, filled again by pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from avscli.exports.polygons import outline_of
from avscli.masks import draw_polygons


@given(arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)), fill=st.nothing()))
def test_polygons_cover_exactly_the_mask(mask: np.ndarray) -> None:
    outline = outline_of(mask)
    filled = draw_polygons(mask.shape, outline.polygons) if mask.any() else np.zeros_like(mask)
    assert np.array_equal(filled, mask)


def test_a_box_has_four_corners() -> None:
    mask = np.zeros((9, 9), np.bool_)
    mask[2:5, 3:8] = True
    assert outline_of(mask) == ([[3, 2, 8, 2, 8, 5, 3, 5]], False)


def test_regions_that_touch_by_a_corner_are_two() -> None:
    assert len(outline_of(np.eye(2, dtype=bool)).polygons) == 2


@pytest.mark.parametrize("hole", [(slice(3, 4), slice(3, 4)), (slice(2, 6), slice(2, 6))])
def test_a_region_with_a_hole_is_cut_in_two(hole: tuple[slice, slice]) -> None:
    mask = np.zeros((9, 9), np.bool_)
    mask[1:8, 1:8] = True
    mask[hole] = False
    outline = outline_of(mask)
    assert outline.had_holes
    assert len(outline.polygons) == 2
    assert np.array_equal(draw_polygons(mask.shape, outline.polygons), mask)


def test_nothing_has_no_outline() -> None:
    assert outline_of(np.zeros((4, 4), np.bool_)) == ([], False)

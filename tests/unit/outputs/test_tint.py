"""Tinting against the blend formula, on planes as a decoder hands them out."""

import numpy as np
import pytest

from avscli.masks import palette
from avscli.outputs.tint import OPACITY, Tint, limited_range_yuv

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


def make_planes(height: int, width: int) -> Planes:
    """Random planes that are views into wider buffers, as rows of a decoded frame are."""
    rng = np.random.default_rng(0)
    sizes = [(height, width), *[(-(-height // 2), -(-width // 2))] * 2]
    y, u, v = (rng.integers(16, 236, (h, w + 13), np.uint8)[:, :w] for h, w in sizes)
    return y, u, v


def tinted(planes: Planes, labels: np.ndarray) -> Planes:
    y, u, v = (plane.copy() for plane in planes)
    Tint(256, len(labels)).blend((y, u, v), labels)
    return y, u, v


@pytest.mark.parametrize("label", [1, 70, 255])
def test_inside_a_mask_every_plane_is_mixed_with_the_class_colour(label: int) -> None:
    planes = make_planes(64, 96)
    labels = np.zeros((64, 96), np.uint8)
    labels[10:50, 20:80] = label
    colour = limited_range_yuv(palette(256))[label]
    inner = (slice(14, 46), slice(24, 76))
    halved = tuple(slice(s.start // 2, s.stop // 2) for s in inner)
    for index, (before, after) in enumerate(zip(planes, tinted(planes, labels), strict=True)):
        part = halved if index else inner
        expected = (1 - OPACITY) * before[part] + OPACITY * colour[index]
        assert np.abs(after[part] - expected).max() <= 0.51


def test_the_edge_has_the_full_colour_on_all_four_sides() -> None:
    planes = make_planes(64, 96)
    labels = np.zeros((64, 96), np.uint8)
    labels[10:50, 20:80] = 1
    luma, cb, _ = tinted(planes, labels)
    colour = limited_range_yuv(palette(2))[1]
    ring = np.concatenate([luma[10, 20:80], luma[49, 20:80], luma[10:50, 20], luma[10:50, 79]])
    assert (ring == colour[0]).all()
    assert (cb[5, 10:40] == colour[1]).all()


def test_outside_the_mask_nothing_changes() -> None:
    planes = make_planes(64, 96)
    labels = np.zeros((64, 96), np.uint8)
    labels[11:50, 21:80] = 1
    outside = labels == 0
    for index, (before, after) in enumerate(zip(planes, tinted(planes, labels), strict=True)):
        untouched = outside[::2, ::2] if index else outside
        np.testing.assert_array_equal(before[untouched], after[untouched])


@pytest.mark.parametrize("size_hw", [(45, 61), (1, 1), (2, 3), (7, 8)], ids=str)
def test_odd_sizes_and_masks_that_fill_the_frame_are_tinted_to_the_last_pixel(
    size_hw: tuple[int, int],
) -> None:
    planes = make_planes(*size_hw)
    colour = limited_range_yuv(palette(2))[1]
    for index, (before, after) in enumerate(
        zip(planes, tinted(planes, np.ones(size_hw, np.uint8)), strict=True)
    ):
        expected = (1 - OPACITY) * before + OPACITY * colour[index]
        assert np.abs(after - expected).max() <= 0.51, "a frame's border is no edge of a mask"


def test_each_class_has_its_own_colour() -> None:
    planes = make_planes(60, 60)
    labels = np.zeros((60, 60), np.uint8)
    labels[:, :30], labels[:, 30:] = 3, 4
    _, cb, cr = tinted(planes, labels)
    colours = limited_range_yuv(palette(5))
    assert (cb[:, 14] == colours[3, 1]).all()
    assert (cr[:, 15] == colours[4, 2]).all()


@pytest.mark.parametrize(
    ("rgb", "yuv"),
    [
        ((255, 255, 255), (235, 128, 128)),
        ((0, 0, 0), (16, 128, 128)),
        ((255, 0, 0), (63, 102, 240)),
        ((0, 255, 0), (173, 42, 26)),
        ((0, 0, 255), (32, 240, 118)),
    ],
)
def test_colours_are_those_of_bt709(rgb: tuple[int, ...], yuv: tuple[int, ...]) -> None:
    assert tuple(limited_range_yuv(np.array([rgb], np.uint8))[0]) == yuv

"""What moves is found and followed: against pictures and maps that were moved by hand."""

import cv2
import numpy as np
import pytest

from avscli.motion import Motion, carried, flow, is_still, joined

SIZE_HW = (96, 144)


def textured(seed: int = 0) -> np.ndarray:
    """Return [96, 144] grey levels in which every place looks different."""
    noise = np.random.default_rng(seed).normal(0, 1, SIZE_HW).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def moved(picture: np.ndarray, down: int, right: int) -> np.ndarray:
    return np.roll(picture, (down, right), axis=(-2, -1))


def coloured(picture: np.ndarray) -> np.ndarray:
    """Return [3, 2h, 2w] RGB whose grey levels on half its grid are these."""
    return np.stack([np.kron(picture, np.ones((2, 2), np.uint8))] * 3)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (3, 0), (0, -5), (-4, 6)])
def test_a_known_shift_is_found(down, right):
    here = textured()
    found = flow(here, moved(here, down, right)) * (SIZE_HW[1], SIZE_HW[0])
    inside = found[12:-12, 12:-12]
    np.testing.assert_allclose(np.median(inside, axis=(0, 1)), (right, down), atol=0.3)


@pytest.mark.parametrize("shrunk", [1, 2])
def test_maps_are_carried_by_a_known_shift_on_any_grid(shrunk):
    before = np.zeros((2, *SIZE_HW), np.float32)
    before[0, 30:50, 40:70] = 8.0
    before[1] = -3.0
    back = np.broadcast_to(np.float32((-6 / SIZE_HW[1], -4 / SIZE_HW[0])), (12, 18, 2)).copy()
    here = carried(before[:, ::shrunk, ::shrunk], back)
    np.testing.assert_allclose(here, moved(before, 4, 6)[:, ::shrunk, ::shrunk], atol=1e-4)


def test_what_comes_in_from_beyond_the_border_is_what_lies_there():
    before = np.arange(8, dtype=np.float32)[None, None].repeat(4, axis=1)
    back = np.zeros((4, 8, 2), np.float32)
    back[..., 0] = -2 / 8
    np.testing.assert_allclose(carried(before, back)[0, 0], [0, 0, 0, 1, 2, 3, 4, 5], atol=1e-5)


def test_one_way_after_the_other_leads_where_both_lead():
    pictures = [moved(textured(), 2 * k, 3 * k) for k in range(5)]
    motions = [Motion.into(coloured(pictures[0]), None)]
    for picture in pictures[1:]:
        motions.append(Motion.into(coloured(picture), motions[-1].picture))
    way = motions[1].back
    for motion in motions[2:]:
        way = joined(motion.back, way)
    inside = (way * (SIZE_HW[1], SIZE_HW[0]))[10:-10, 10:-10]
    np.testing.assert_allclose(np.median(inside, axis=(0, 1)), (-12, -8), atol=0.8)
    assert not any(motion.is_cut for motion in motions[1:])


def test_back_and_ahead_are_each_other_turned_round():
    first = textured()
    motion = Motion.into(coloured(moved(first, 3, -4)), first)
    inside = (motion.back + motion.ahead)[8:-8, 8:-8] * (SIZE_HW[1], SIZE_HW[0])
    assert np.abs(np.median(inside, axis=(0, 1))).max() < 0.2


def test_another_picture_is_a_cut_and_so_is_the_first():
    first = textured()
    assert Motion.into(coloured(first), None).is_cut
    assert Motion.into(coloured(255 - first), first).is_cut
    assert Motion.into(coloured(textured(1)), first).is_cut
    assert not Motion.into(coloured(moved(first, 1, 1)), first).is_cut


def test_what_an_encoder_adds_is_no_motion():
    first = textured()
    noise = np.random.default_rng(1).integers(-3, 4, SIZE_HW)
    again = (first.astype(int) + noise).clip(0, 255).astype(np.uint8)
    assert is_still(first, again)
    assert not Motion.into(coloured(again), first).back.any()
    assert not is_still(first, moved(first, 1, 0))

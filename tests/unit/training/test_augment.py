"""Augmentation keeps picture, mask and sound consistent."""

import cv2
import numpy as np
import pytest

from avscli.datatypes import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from avscli.training.couples.augment import (
    REFERENCE_DBFS,
    disturb,
    in_a_room,
    jitter_colours,
    paste_object,
    random_crop,
    random_window,
)

SEEDS = range(5)


def picture_that_equals_its_mask() -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((90, 120), np.uint8)
    mask[20:70, 30:100] = 200
    return np.repeat(mask[..., None], 3, axis=2), mask


@pytest.mark.parametrize("seed", SEEDS)
def test_a_crop_moves_picture_and_mask_alike(seed):
    image, mask = random_crop(
        *picture_that_equals_its_mask(), (64, 96), np.random.default_rng(seed)
    )
    assert image.shape == (64, 96, 3)
    assert mask.shape == (64, 96)
    inside, outside = image[mask == 200], image[mask == 0]
    assert inside.mean() > 185  # edges blend, the rest agrees
    assert outside.size == 0 or outside.mean() < 15


@pytest.mark.parametrize("seed", SEEDS)
def test_a_crop_keeps_at_least_a_third_of_the_labelled_pixels(seed):
    mask = np.zeros((100, 100), np.uint8)
    mask[:12, :12] = 3  # a small object in a corner, which most crops would miss
    _, cropped = random_crop(
        np.zeros((100, 100, 3), np.uint8), mask, (100, 100), np.random.default_rng(seed)
    )
    assert (cropped == 3).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_colours_change_and_stay_pixels(seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    jittered = jitter_colours(image, rng)
    assert jittered.dtype == np.uint8
    assert jittered.shape == image.shape
    assert not np.array_equal(jittered, image)


@pytest.mark.parametrize("num_samples", [100, WINDOW_SAMPLES, 5 * WINDOW_SAMPLES])
def test_a_window_has_its_length_and_the_reference_level(num_samples):
    rng = np.random.default_rng(0)
    window = random_window(0.3 * rng.standard_normal(num_samples).astype(np.float32), rng)
    assert window.shape == (WINDOW_SAMPLES,)
    level = 10 * np.log10(np.mean(window.astype(np.float64) ** 2))
    assert level == pytest.approx(REFERENCE_DBFS, abs=0.1)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_window_of_a_short_recording_is_its_loudest_one(seed):
    samples = np.zeros(WINDOW_SAMPLES * 6 // 5, np.float32)
    samples[-1000:] = 0.5
    assert np.count_nonzero(random_window(samples, np.random.default_rng(seed))) == 1000


def test_silence_stays_silence():
    assert not random_window(np.zeros(100, np.float32), np.random.default_rng(0)).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_disturbed_sound_stays_in_range(seed):
    rng = np.random.default_rng(seed)
    loud = rng.uniform(-1, 1, WINDOW_SAMPLES).astype(np.float32)
    disturbed = disturb(loud, rng)
    assert disturbed.dtype == np.float32
    assert np.abs(disturbed).max() <= 1.0


@pytest.mark.parametrize("seed", range(12))
def test_a_room_echoes_after_a_sound_and_below_it_and_dies_away(seed):
    clap_at = 1000
    clap = np.zeros(WINDOW_SAMPLES, np.float32)
    clap[clap_at] = 1.0
    heard = in_a_room(clap, np.random.default_rng(seed))
    assert heard.shape == clap.shape
    assert heard.dtype == np.float32
    assert np.abs(heard[:clap_at]).max() < 1e-5
    assert heard[clap_at] == pytest.approx(1.0, abs=1e-5)
    first = clap_at + SAMPLE_RATE_HZ // 1000
    assert np.abs(heard[clap_at + 1 : first]).max() < 1e-5
    echo = heard[clap_at + 1 :] ** 2
    assert -18.1 < 10 * np.log10(echo.sum()) < -2.9
    assert echo[: len(echo) // 4].sum() > 10 * echo[3 * len(echo) // 4 :].sum()


RED, BLUE = np.array([200, 10, 10], np.uint8), np.array([10, 10, 200], np.uint8)


def a_disc(size_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A red disc of class 7 with a ring of void around it, on white."""
    mask = np.zeros(size_hw, np.uint8)
    cv2.circle(mask, (30, 40), 24, 255, -1)
    cv2.circle(mask, (30, 40), 20, 7, -1)
    image = np.full((*size_hw, 3), 255, np.uint8)
    image[mask == 7] = RED
    return image, mask


@pytest.mark.parametrize("seed", range(12))
def test_a_pasted_object_is_where_its_mask_says_and_nothing_else_changes(seed):
    image = np.broadcast_to(BLUE, (90, 120, 3)).copy()
    mask = np.full((90, 120), 3, np.uint8)
    before = image.copy(), mask.copy()
    new, labels = paste_object(image, mask, a_disc((80, 64)), 7, np.random.default_rng(seed))
    assert np.array_equal(image, before[0])
    assert np.array_equal(mask, before[1])
    assert set(np.unique(labels)) == {3, 7}
    pasted = (labels == 7).astype(np.uint8)
    inside = cv2.erode(pasted, np.ones((9, 9), np.uint8)) > 0
    outside = cv2.dilate(pasted, np.ones((9, 9), np.uint8)) == 0
    assert np.abs(new[inside].astype(int) - RED).max() <= 1
    assert np.array_equal(new[outside], image[outside])
    rows, columns = (np.flatnonzero(pasted.any(axis=axis)) for axis in (1, 0))
    share = max(np.ptp(rows) + 1, np.ptp(columns) + 1) / 90
    assert 0.08 < share < 0.87


def test_half_of_the_pasted_objects_are_small():
    image, mask = np.zeros((90, 120, 3), np.uint8), np.zeros((90, 120), np.uint8)
    drawn = [
        paste_object(image, mask, a_disc((80, 64)), 7, rng)[1] == 7
        for rng in map(np.random.default_rng, range(200))
    ]
    sides = np.array([np.ptp(np.flatnonzero(pasted.any(axis=1))) + 1 for pasted in drawn])
    assert 0.22 < np.median(sides) / 90 < 0.36  # the geometric mean of 0.1 and 0.85 is 0.29


def test_pasted_objects_are_not_always_in_the_same_place():
    image, mask = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)
    places = {
        tuple(np.argwhere(paste_object(image, mask, a_disc((80, 64)), 7, rng)[1] == 7)[0])
        for rng in map(np.random.default_rng, range(10))
    }
    assert len(places) > 7


def test_the_smallest_object_can_be_pasted():
    donor = np.zeros((5, 5, 3), np.uint8), np.zeros((5, 5), np.uint8)
    donor[1][2, 2] = 9
    image, mask = np.full((8, 8, 3), 50, np.uint8), np.zeros((8, 8), np.uint8)
    _, labels = paste_object(image, mask, donor, 9, np.random.default_rng(0))
    assert (labels == 9).any()

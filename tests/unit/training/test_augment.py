"""Augmentation keeps picture, mask and sound consistent."""

import numpy as np
import pytest

from avscli.datatypes import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from avscli.training.augment import (
    REFERENCE_DBFS,
    disturb,
    in_a_room,
    jitter_colours,
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

"""EfficientAT's log-mel, against the published steps written out at 32 kHz."""

import numpy as np
import pytest
import scipy.signal
import torch

from avscli.audio.fine_log_mel import fine_log_mel, mel_matrix, window_fine_log_mel
from avscli.audio.front_end import FRONT_ENDS
from avscli.datatypes import WINDOW_SAMPLES

HEARABLE = slice(0, 102)  # bands that end below 8 kHz


def published(samples: np.ndarray) -> np.ndarray:
    """Return [128, frames] of sound at 32 kHz, step by step as published."""
    emphasised = np.convolve(samples, (1.0, -0.97))[1 : len(samples)]
    padded = np.pad(emphasised, 512, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(800) / 799)
    starts = range(0, len(padded) - 1023, 320)
    frames = np.stack([np.pad(padded[at + 112 : at + 912] * window, 112) for at in starts])
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = np.linspace(0.0, 1127 * np.log1p(15_000 / 700), 130)
    bins = 1127 * np.log1p(np.arange(513) * 31.25 / 700)
    mel = np.zeros((128, 513))
    for band in range(128):
        mel[band] = np.interp(bins, edges[band : band + 3], (0.0, 1.0, 0.0))
    return (np.log(power @ mel.T + 1e-5).T + 4.5) / 5.0


def test_half_of_the_samples_give_the_published_numbers() -> None:
    loud = 0.1 * np.random.default_rng(3).standard_normal(WINDOW_SAMPLES)
    # A resampler that is ideal inside: what the edges ring does not count.
    doubled = scipy.signal.resample(np.pad(loud, 8000), 2 * (WINDOW_SAMPLES + 16_000))
    ours = fine_log_mel(torch.from_numpy(np.pad(loud, 8000).astype(np.float32))).numpy()
    theirs = published(doubled)[:, : ours.shape[1]]
    inside = slice(55, 145)
    # Where noise nearly cancels in a narrow band, the rest is another one half a sample later.
    differences = np.abs(ours[HEARABLE, inside] - theirs[HEARABLE, inside])
    assert np.median(differences) < 2e-3
    assert np.quantile(differences, 0.99) < 0.1


def test_digital_silence_is_the_log_of_the_offset_everywhere() -> None:
    silence = window_fine_log_mel(np.zeros(WINDOW_SAMPLES, np.float32))
    np.testing.assert_allclose(silence.numpy(), (np.log(1e-5) + 4.5) / 5.0, rtol=1e-5)


def test_bands_above_what_16_khz_can_hold_say_nothing() -> None:
    assert (mel_matrix()[105:] == 0.0).all()
    assert (mel_matrix()[:103].sum(axis=1) > 0.0).all()


@pytest.mark.parametrize("hertz", [200.0, 1000.0, 5000.0])
def test_a_tone_is_loudest_in_the_band_around_it(hertz: float) -> None:
    tone = 0.1 * np.sin(2 * np.pi * hertz * np.arange(WINDOW_SAMPLES) / 16_000)
    loudest = window_fine_log_mel(tone.astype(np.float32))[0].mean(dim=1).argmax()
    centre = (1 + int(loudest)) * np.log1p(15_000 / 700) / 129
    assert np.expm1(centre) * 700 == pytest.approx(hertz, rel=0.06)


def test_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="15600"):
        window_fine_log_mel(np.zeros(16_000, np.float32))


@pytest.mark.parametrize("name", sorted(FRONT_ENDS))
def test_every_front_end_gives_patches_of_the_shape_it_says(name: str) -> None:
    patches = FRONT_ENDS[name].of_windows(np.zeros((2, 3, WINDOW_SAMPLES), np.float32))
    assert patches.shape == (2, 3, 1, *FRONT_ENDS[name].patch_shape)

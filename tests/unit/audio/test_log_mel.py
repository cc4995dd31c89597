import numpy as np
import pytest
import torch

from avscli.audio.log_mel import (
    FFT_SIZE,
    MEL_BANDS,
    log_mel_patches,
    mel_matrix,
    window_log_mel,
)
from avscli.datatypes import WINDOW_SAMPLES


def noise(*shape: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(5).standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "patches"),
    [
        (0, 0),
        (399, 0),
        (15_599, 0),
        (15_600, 1),
        (16_000, 1),
        (76_800, 4),
        (77_040, 5),
        (160_000, 10),
    ],
)
def test_patches_are_counted_without_padding(samples: int, patches: int) -> None:
    assert log_mel_patches(np.zeros(samples, np.float32)).shape == (patches, 1, 96, 64)


def test_digital_silence_is_the_log_of_the_offset_everywhere() -> None:
    silence = log_mel_patches(np.zeros(WINDOW_SAMPLES, np.float32))
    np.testing.assert_allclose(silence.numpy(), np.log(0.01), rtol=1e-6)


def test_one_frame_agrees_with_the_definition_written_out_in_float64() -> None:
    window = noise(WINDOW_SAMPLES)
    frame = window[160:560].astype(np.float64) * np.sin(np.pi * np.arange(400) / 400) ** 2
    basis = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(400)) / FFT_SIZE)
    expected = np.log(np.abs(basis @ frame) @ mel_matrix() + 0.01)
    np.testing.assert_allclose(window_log_mel(window)[0, 1].numpy(), expected, atol=1e-4)


def test_mel_triangles_peak_at_their_centres_and_ignore_dc() -> None:
    weights = mel_matrix()
    assert weights.shape == (257, MEL_BANDS)
    assert weights.min() == 0.0
    assert weights.max() <= 1.0
    assert not weights[0].any()
    peaks_hz = weights.argmax(axis=0) * 8000 / 256
    edges = 700 * (
        np.exp(np.linspace(*1127 * np.log1p(np.array([125, 7500]) / 700), 66) / 1127) - 1
    )
    assert np.abs(peaks_hz - edges[1:-1]).max() <= 31.25


@pytest.mark.parametrize("band", [8, 20, 40, 60])
def test_a_tone_is_loudest_in_the_band_that_holds_it(band: int) -> None:
    hertz = mel_matrix()[:, band].argmax() * 8000 / 256
    tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(WINDOW_SAMPLES) / 16000)
    patch = window_log_mel(tone.astype(np.float32))
    assert (patch[0].argmax(dim=-1) == band).all()


def test_windows_of_any_leading_shape_equal_single_patches() -> None:
    windows = noise(2, 3, WINDOW_SAMPLES)
    batched = window_log_mel(windows)
    assert batched.shape == (2, 3, 1, 96, 64)
    torch.testing.assert_close(batched[1, 2], log_mel_patches(windows[1, 2])[0], rtol=0, atol=1e-6)


def test_tensors_and_arrays_give_the_same_patches() -> None:
    waveform = noise(WINDOW_SAMPLES)
    assert torch.equal(log_mel_patches(waveform), log_mel_patches(torch.from_numpy(waveform)))


def test_stereo_and_odd_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="mono"):
        log_mel_patches(np.zeros((2, 16000), np.float32))
    with pytest.raises(ValueError, match="15600"):
        window_log_mel(np.zeros(16000, np.float32))

import math

import numpy as np
import pytest

from avscli.audio.loudness import level_dbfs


def sine(amplitude: float) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * 400 * np.arange(16_000) / 16_000)).astype(np.float32)


def test_a_full_scale_square_wave_has_zero_dbfs() -> None:
    assert level_dbfs(np.tile(np.float32([1, -1]), 500)) == 0.0


@pytest.mark.parametrize(("amplitude", "dbfs"), [(1.0, -3.0103), (0.1, -23.0103), (1e-4, -83.0103)])
def test_a_sine_lies_three_decibels_below_its_peak(amplitude: float, dbfs: float) -> None:
    assert level_dbfs(sine(amplitude)) == pytest.approx(dbfs, abs=1e-3)


def test_digital_silence_has_no_level() -> None:
    assert level_dbfs(np.zeros(100, np.float32)) == -math.inf


def test_every_window_has_its_own_level() -> None:
    windows = np.zeros((2, 3, 50), np.float32)
    windows[1, 2] = 0.5
    assert np.isfinite(level_dbfs(windows)).tolist() == [[False] * 3, [False, False, True]]


def test_long_and_loud_signals_do_not_lose_precision() -> None:
    assert level_dbfs(np.ones(10_000_000, np.float32)) == pytest.approx(0.0, abs=1e-9)

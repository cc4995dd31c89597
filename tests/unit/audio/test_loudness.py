import math

import numpy as np
import pytest

from avscli.audio.loudness import level_dbfs, lowest_dbfs


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


def lowest_by_trying(window: np.ndarray, shortest: int, held: tuple[int, int]) -> float:
    stretches = [
        window[first : first + shortest]
        for first in range(len(window) - shortest + 1)
        if first <= held[0] and first + shortest >= held[1]
    ]
    return min(float(level_dbfs(each)) for each in [*stretches, window])


@pytest.mark.parametrize("held", [(10, 11), (8, 14), (0, 3), (17, 20), (2, 19), (0, 20)])
def test_the_lowest_level_is_that_of_the_quietest_stretch_around_the_part(
    held: tuple[int, int],
) -> None:
    window = np.random.default_rng(sum(held)).standard_normal(20).astype(np.float32)
    window[:9] *= 0.01
    assert lowest_dbfs(window, 10, held) == pytest.approx(lowest_by_trying(window, 10, held))


def test_a_pause_of_a_stretch_or_more_is_silent_and_a_shorter_one_is_not() -> None:
    window = np.ones(100, np.float32)
    window[30:80] = 0.0
    assert lowest_dbfs(window, 50, (50, 51)) == -math.inf
    assert lowest_dbfs(window, 51, (50, 51)) > -20.0


@pytest.mark.parametrize("click", [48, 50, 52])
def test_a_click_in_digital_silence_is_heard_where_it_is(click: int) -> None:
    window = np.zeros(100, np.float32)
    window[click] = 1.0
    assert lowest_dbfs(window, 50, (48, 53)) == pytest.approx(-20.0)


@pytest.mark.parametrize("click", [0, 47, 53, 99])
def test_a_click_in_digital_silence_is_not_heard_beside_it(click: int) -> None:
    window = np.zeros(100, np.float32)
    window[click] = 1.0
    assert lowest_dbfs(window, 50, (48, 53)) == -math.inf

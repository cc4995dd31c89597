from fractions import Fraction

import numpy as np
import pytest

from avscli.audio.windows import centred_windows
from avscli.datatypes import SAMPLE_RATE_HZ, WINDOW_SAMPLES, AudioTrack

CENTRE = 7800


def impulse_track(
    *, at_sample: int, length: int = 48_000, start_seconds: float = 0.0
) -> AudioTrack:
    samples = np.zeros(length, np.float32)
    samples[at_sample] = 1.0
    return AudioTrack(samples, SAMPLE_RATE_HZ, start_seconds)


@pytest.mark.parametrize("start_seconds", [0.0, 2.5, -0.023, 3600.0])
@pytest.mark.parametrize("at_sample", [0, 1, 16_000, 47_999])
def test_an_impulse_at_the_frames_time_lands_in_the_middle(
    at_sample: int, start_seconds: float
) -> None:
    track = impulse_track(at_sample=at_sample, start_seconds=start_seconds)
    (window,) = centred_windows(track, [start_seconds + at_sample / SAMPLE_RATE_HZ])
    assert window.nonzero()[0].tolist() == [CENTRE]


def test_ntsc_frame_times_round_to_the_nearest_sample() -> None:
    ramp = np.arange(48_000, dtype=np.float32)
    times = [Fraction(1001 * k, 30_000) for k in range(30)]
    windows = centred_windows(AudioTrack(ramp, SAMPLE_RATE_HZ, 0.0), [float(t) for t in times])
    assert windows[:, CENTRE].tolist() == [round(t * SAMPLE_RATE_HZ) for t in times]


def test_half_a_sample_goes_to_the_later_sample() -> None:
    track = impulse_track(at_sample=1)
    (window,) = centred_windows(track, [0.5 / SAMPLE_RATE_HZ])
    assert window[CENTRE] == 1.0


@pytest.mark.parametrize(
    ("shift", "seen"), [(-7801, False), (-7800, True), (7799, True), (7800, False)]
)
def test_the_window_reaches_7800_samples_back_and_7799_on(shift: int, seen: bool) -> None:
    track = impulse_track(at_sample=20_000 + shift)
    (window,) = centred_windows(track, [20_000 / SAMPLE_RATE_HZ])
    assert bool(window.any()) is seen


@pytest.mark.parametrize(
    ("seconds", "track_samples"), [(0.0, 7800), (1.0, 7800), (-0.4875, 0), (1.4875, 0), (-9.0, 0)]
)
def test_outside_the_track_is_digital_silence(seconds: float, track_samples: int) -> None:
    track = AudioTrack(np.ones(16_000, np.float32), SAMPLE_RATE_HZ, 0.0)
    windows = centred_windows(track, np.array([seconds]))
    assert windows.shape == (1, WINDOW_SAMPLES)
    assert windows.dtype == np.float32
    assert windows.sum() == track_samples


def test_a_track_shorter_than_the_window_keeps_its_place() -> None:
    track = AudioTrack(np.ones(100, np.float32), SAMPLE_RATE_HZ, 10.0)
    (window,) = centred_windows(track, [10.0])
    assert window.nonzero()[0].tolist() == list(range(CENTRE, CENTRE + 100))


def test_an_empty_track_and_no_times_are_fine() -> None:
    empty = AudioTrack(np.zeros(0, np.float32), SAMPLE_RATE_HZ, 0.0)
    assert not centred_windows(empty, [0.0, 1.0]).any()
    assert centred_windows(empty, []).shape == (0, WINDOW_SAMPLES)


def test_another_sample_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="44100"):
        centred_windows(AudioTrack(np.zeros(10, np.float32), 44_100, 0.0), [0.0])

"""The sound around a moment: one log-mel patch worth of samples, centred on each frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from avscli.datatypes import SAMPLE_RATE_HZ, WINDOW_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from avscli.datatypes import AudioTrack

HALF_WINDOW_SAMPLES = WINDOW_SAMPLES // 2
TICKS_PER_SECOND = 100  # sound is heard at these moments, one hop of a log-mel patch apart
_ROUNDING_TICKS = 1e-6  # of times in binary: half ticks go the same way a second later


def nearest_ticks(seconds: Sequence[float] | NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the moments, in hundredths of a second, at which the sound of times is heard.

    Frames of nearly any rate then share most of their windows with frames a second away, and no
    window lies further than 5 ms, of its 975, from its time.

    >>> nearest_ticks([0.0, 1 / 30, 1001 / 30000 + 1.0]).tolist()
    [0, 3, 103]
    """
    ticks = np.asarray(seconds, np.float64) * TICKS_PER_SECOND
    return np.floor(ticks + 0.5 + _ROUNDING_TICKS).astype(np.int64)


def centred_windows(
    track: AudioTrack, pts_seconds: Sequence[float] | NDArray[np.float64]
) -> NDArray[np.float32]:
    """Cut the window centred on each time; digital silence where the track does not reach.

    The centre is the track's sample nearest to the time (the later one of two equally near)::

        centre = floor((pts_seconds − start_seconds) · 16000 + 1/2)

        track    |- - - - - - - - - - - - - - - - - - - - - - - -|
        window        [centre − 7800  …  centre  …  centre + 7799]
        index          0                 7800                15599

    Args:
        track: mono sound at 16 kHz.
        pts_seconds: [T] times on the same time line as the track's start.

    Returns:
        [T, 15600] float32.

    Raises:
        ValueError: the track is not at 16 kHz.
    """
    if track.sample_rate_hz != SAMPLE_RATE_HZ:
        raise ValueError(f"track must be at {SAMPLE_RATE_HZ} Hz, got {track.sample_rate_hz}")
    times = np.asarray(pts_seconds, np.float64)
    centres = np.floor((times - track.start_seconds) * SAMPLE_RATE_HZ + 0.5).astype(np.int64)
    windows = np.zeros((len(times), WINDOW_SAMPLES), np.float32)
    for window, first in zip(windows, centres - HALF_WINDOW_SAMPLES, strict=True):
        begin, end = max(first, 0), min(first + WINDOW_SAMPLES, len(track.samples))
        if begin < end:
            window[begin - first : end - first] = track.samples[begin:end]
    return windows

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

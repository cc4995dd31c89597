"""The sound of a video as a page draws it: its lowest and highest sample in each short stretch."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from avscli.datatypes import SAMPLE_RATE_HZ
from avscli.media.sound import audio_chunks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from avscli.datatypes import MediaInfo
    from avscli.media.sound import AudioChunk

MOST_BINS = 65_536  # 0.055 s each for an hour
SHORTEST_BIN = SAMPLE_RATE_HZ // 100  # samples: 10 ms
_LOUDEST = 127


@dataclass(frozen=True, slots=True, eq=False)
class Waveform:
    """Extremes of the sound, in bins of one length.

    Attributes:
        start_seconds: source time at which the first bin starts.
        bin_seconds: length of each.
        lowest, highest: [N] int8, −127 … 127 for −1 … 1; both 0 where there is no sound.
    """

    start_seconds: float
    bin_seconds: float
    lowest: NDArray[np.int8]
    highest: NDArray[np.int8]


def waveform_of(
    media: MediaInfo, start_seconds: float, end_seconds: float, on_warning: Callable[[str], None]
) -> Waveform:
    """Read the sound of a range.

    Args:
        media: a probed file with an audio track.
        start_seconds, end_seconds: of the source's time line.
        on_warning: told about damaged sound.
    """
    first = round(start_seconds * SAMPLE_RATE_HZ)
    num_samples = max(1, round(end_seconds * SAMPLE_RATE_HZ) - first)
    per_bin = max(SHORTEST_BIN, -(-num_samples // MOST_BINS))
    lowest = np.zeros(-(-num_samples // per_bin), np.float32)
    highest = np.zeros_like(lowest)
    with closing(audio_chunks(media, on_warning, rate_hz=SAMPLE_RATE_HZ)) as chunks:
        for chunk in chunks:
            if chunk.first_sample - first >= num_samples:
                break
            _add(chunk, first, per_bin, lowest, highest)
    low, high = ((each * _LOUDEST).round().astype(np.int8) for each in (lowest, highest))
    return Waveform(first / SAMPLE_RATE_HZ, per_bin / SAMPLE_RATE_HZ, low, high)


def _add(
    chunk: AudioChunk,
    first: int,
    per_bin: int,
    lowest: NDArray[np.float32],
    highest: NDArray[np.float32],
) -> None:
    inside = chunk.since(first)
    samples = inside.samples.mean(axis=0).clip(-1.0, 1.0)
    bins = (inside.first_sample - first + np.arange(len(samples))) // per_bin
    samples, bins = samples[bins < len(lowest)], bins[bins < len(lowest)]
    if len(samples) == 0:
        return
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    np.minimum.at(lowest, bins[starts], np.minimum.reduceat(samples, starts))
    np.maximum.at(highest, bins[starts], np.maximum.reduceat(samples, starts))

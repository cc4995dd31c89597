"""Decoded sound laid on the time line of its source, a stretch at a time."""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from avscli.datatypes import SAMPLE_RATE_HZ, AudioTrack, MediaInfo
from avscli.media.containers import Warn, decoded_frames, open_media

# One hop of the log-mel: containers that round timestamps to milliseconds jitter by less, and
# a step below it cannot move a sound into another column of the spectrogram.
JITTER_SECONDS = Fraction(1, 100)


@dataclass(frozen=True, slots=True, eq=False)
class AudioChunk:
    """Samples without a break.

    Attributes:
        first_sample: index of the first sample; sample n stands at n / rate seconds.
        samples: [C, N] float32.
    """

    first_sample: int
    samples: NDArray[np.float32]

    @property
    def end_sample(self) -> int:
        """Index one past the last sample."""
        return self.first_sample + len(self.samples[0])

    def since(self, sample: int) -> AudioChunk:
        """Return the part at and after an index, possibly empty."""
        skipped = max(sample - self.first_sample, 0)
        return AudioChunk(self.first_sample + skipped, self.samples[:, skipped:])


def audio_chunks(
    media: MediaInfo, on_warning: Warn, *, rate_hz: int, layout: str | None = None
) -> Generator[AudioChunk, None, None]:
    """Decode the chosen audio track of a file, each sample where its timestamp says.

    Gaps between timestamps stay gaps between chunks; where timestamps overlap, the later samples
    are dropped; steps below 10 ms are taken for rounding and bridged::

        packets   [-------][-------]      [-------]
                                [-------]
        chunks    [-------][-------][---] [-------]

    Args:
        media: a probed file with an audio track.
        on_warning: told once about damaged packets.
        rate_hz: sample rate of the chunks.
        layout: channel layout to mix to, such as ``stereo``; None keeps the track's channels.
    """
    assert media.audio is not None
    damage: list[None] = []
    reached = -sys.maxsize
    with open_media(media) as container:
        stream = container.streams.audio[media.audio.track]
        frames = decoded_frames(
            container, stream, av.AudioFrame, media.path, on_damage=lambda: damage.append(None)
        )
        for chunk in _joined(frames, rate_hz, layout):
            fresh = chunk.since(reached)
            if fresh.samples.shape[1]:
                reached = fresh.end_sample
                yield fresh
    if damage:
        on_warning(f"{media.path.name}: damaged sound was left out and counts as silence")


class MonoSound:
    """The sound of a file at 16 kHz, all channels averaged, read forward in stretches."""

    def __init__(self, media: MediaInfo, on_warning: Warn) -> None:
        self._chunks = audio_chunks(media, on_warning, rate_hz=SAMPLE_RATE_HZ)
        self._held: deque[AudioChunk] = deque()
        self._ended = False

    def stretch(self, start_seconds: float, end_seconds: float) -> AudioTrack:
        """Return the sound of [start, end]; silence wherever the track has none.

        Stretches may overlap, but each must start no earlier than the one before: sound before
        the start is forgotten, which is what bounds memory.
        """
        first = math.floor(start_seconds * SAMPLE_RATE_HZ)
        last = math.ceil(end_seconds * SAMPLE_RATE_HZ)
        self._read(first, last)
        samples = np.zeros(last - first, np.float32)
        for chunk in self._held:
            begin, end = max(chunk.first_sample, first), min(chunk.end_sample, last)
            if begin < end:
                mono = chunk.samples[0, begin - chunk.first_sample : end - chunk.first_sample]
                samples[begin - first : end - first] = mono
        return AudioTrack(samples, SAMPLE_RATE_HZ, first / SAMPLE_RATE_HZ)

    def close(self) -> None:
        """Close the file."""
        self._chunks.close()

    def _read(self, first: int, last: int) -> None:
        """Hold what there is of [first, last), and nothing before it.

        What lies before is dropped as it is read: where the picture's clock jumps by hours, all
        the sound up to there would be held at once.
        """
        while True:
            while self._held and self._held[0].end_sample <= first:
                self._held.popleft()
            if self._ended or (self._held and self._held[-1].end_sample >= last):
                return
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
            else:
                mono = chunk.samples.mean(axis=0, keepdims=True).clip(-1.0, 1.0)
                self._held.append(AudioChunk(chunk.first_sample, mono))


def _joined(
    frames: Iterator[av.AudioFrame], rate_hz: int, layout: str | None
) -> Iterator[AudioChunk]:
    run: _Run | None = None
    for frame in frames:
        if run is not None and not run.is_continued_by(frame):
            yield run.finish()
            run = None
        if run is None:
            run = _Run(frame, rate_hz, layout)
        yield run.push(frame)
    if run is not None:
        yield run.finish()


class _Run:
    """Resamples frames of one format that follow each other without a break.

    Sample counts decide where output goes, not the frames' own timestamps: a run of frames whose
    timestamps are each rounded to a millisecond must come out without seams.
    """

    def __init__(self, head: av.AudioFrame, rate_hz: int, layout: str | None) -> None:
        self._start = _seconds(head) or Fraction(0)
        self._form = _form(head)
        self._rate_in, self._rate_out = head.sample_rate, rate_hz
        self._taken = self._given = 0
        # Packed samples: reading the planes of frames with 8 or more planar channels crashes in
        # PyAV 18 (test_sound.py, 7.1). Mixing down to 16 bits: only then does swresample scale its
        # matrix so that six loud channels do not clip.
        sample_format = "flt" if layout is None else "s16"
        self._resampler = av.AudioResampler(sample_format, layout or head.layout, rate_hz)

    def is_continued_by(self, frame: av.AudioFrame) -> bool:
        """Say whether `frame` starts where the run has come to, in the same format."""
        due = self._start + Fraction(self._taken, self._rate_in)
        seconds = _seconds(frame)
        on_time = seconds is None or abs(seconds - due) <= JITTER_SECONDS
        return on_time and _form(frame) == self._form

    def push(self, frame: av.AudioFrame) -> AudioChunk:
        """Add one frame; return what the resampler has ready, possibly nothing."""
        self._taken += frame.samples
        return self._chunk(self._resampler.resample(frame))

    def finish(self) -> AudioChunk:
        """Return the rest, cut to the exact length of the input."""
        chunk = self._chunk(self._resampler.resample(None))
        exact = round(Fraction(self._taken, self._rate_in) * self._rate_out)
        excess = max(self._given - exact, 0)
        return AudioChunk(chunk.first_sample, chunk.samples[:, : chunk.samples.shape[1] - excess])

    def _chunk(self, frames: list[av.AudioFrame]) -> AudioChunk:
        first = round(self._start * self._rate_out) + self._given
        num_channels = self._resampler.layout.nb_channels
        packed = [_as_float(frame).reshape(-1, num_channels) for frame in frames]
        samples = np.concatenate([np.empty((0, num_channels), np.float32), *packed]).T
        self._given += samples.shape[1]
        return AudioChunk(first, samples)


def _as_float(frame: av.AudioFrame) -> NDArray[np.float32]:
    values = frame.to_ndarray()
    if values.dtype == np.int16:
        return values.astype(np.float32) / np.float32(32768)
    # Float tracks can hold NaN and infinities; one would make every number after it undefined.
    return np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=1.0, neginf=-1.0)


def _seconds(frame: av.AudioFrame) -> Fraction | None:
    return None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base


def _form(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate

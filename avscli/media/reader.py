"""From a file to the clips a network sees: `read_clips`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count

import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from avscli.config import ReadOptions
from avscli.datatypes import (
    SAMPLE_RATE_HZ,
    WINDOW_SAMPLES,
    AnalysedFrame,
    AudioTrack,
    Clip,
    FrameStamp,
    MediaInfo,
    NetworkSpec,
)
from avscli.errors import MediaError, NoAudioError
from avscli.media.frame_follower import FrameFollower
from avscli.media.frames import FrameReader, StampedImage
from avscli.media.sound import MonoSound
from avscli.media.streams import ANIMATIONS

_SIDE_MULTIPLE = 32  # total stride of every backbone
# A frame is judged by the sound from so much before it to so much after all it stands for.
_MARGIN_SECONDS = 0.1
_HALF_WINDOW_SECONDS = WINDOW_SAMPLES / SAMPLE_RATE_HZ / 2
# Matroska rounds times to 1 ms: frame 1 of 30 fps stands at 0.033 s, before its tick at 1/30 s.
_ROUNDING_SECONDS = 0.6e-3


def read_clips(
    media: MediaInfo,
    spec: NetworkSpec,
    options: ReadOptions,
    on_warning: Callable[[str], None],
) -> ClipReader:
    """Open a probed file for reading clip by clip, in memory that does not grow with its length.

    Args:
        media: from `probe`, with the same audio track as the options.
        spec: of the network the clips are for: size, steps per clip, padding.
        options: analysis rate and range.
        on_warning: told what the user should know of the file, in one line each.

    Raises:
        NoAudioError: the file has no sound and the options do not allow that.
        MediaError: the chosen track has sound that cannot be had, and the options do not allow it.
    """
    if media.audio is None and options.no_audio == "error":
        raise _no_sound(media)
    return ClipReader(media, spec, options, on_warning)


def _no_sound(media: MediaInfo) -> MediaError | NoAudioError:
    unheard = media.unheard
    if unheard is None:
        is_animation = media.container in ANIMATIONS
        return NoAudioError(
            f"{media.path} is an animation ({media.container}), which has no sound"
            if is_animation
            else f"{media.path} has no audio track",
            hint="use --no-audio empty to treat it as silent",
        )
    others = " or ".join(f"--audio-track {track}" for track in unheard.others)
    # Sound that is there and cannot be had is no reason to call a file silent without being asked.
    kind = NoAudioError if unheard.is_empty else MediaError
    return kind(
        f"--audio-track {unheard.track} of {media.path} {unheard.why}",
        hint=f"use {others + ', or ' if others else ''}--no-audio empty to treat it as silent",
    )


def network_frame_size(media: MediaInfo, spec: NetworkSpec) -> tuple[int, int]:
    """Return the (height, width) a display frame of a source is resized to."""
    return fit_frame_size(media.width * float(media.sample_aspect_ratio) / media.height, spec)


def fit_frame_size(aspect: float, spec: NetworkSpec) -> tuple[int, int]:
    """Return the (height, width) that a picture of some aspect is resized to.

    ``squash`` takes the network's own size. ``keep_aspect`` takes, among the pairs of multiples
    of 32, the one with the least |log aspect error| + |log area error| against the picture as it
    is seen (pixel aspect included) and the area of the network's own size.

    Args:
        aspect: seen width over seen height.
        spec: of the network.
    """
    height, width = spec.frame_size_hw
    if spec.resize_mode == "squash":
        return height, width
    sides = range(_SIDE_MULTIPLE, max(height * width // _SIDE_MULTIPLE, 32) + 1, _SIDE_MULTIPLE)

    def error(size: tuple[int, int]) -> float:
        h, w = size
        return abs(math.log(w / h / aspect)) + abs(math.log(h * w / (height * width)))

    return min(((h, w) for h in sides for w in sides), key=error)


def interleave(
    times: Sequence[float], clip_length: int, seconds_per_step: float
) -> list[tuple[int, ...]]:
    """Deal the frames of one block to clips whose steps are `seconds_per_step` apart.

    The block is cut into `clip_length` segments of one step each; clip j takes the j-th frame of
    every segment. For three steps of one second at four frames a second::

        time    0s              1s              2s
        frame   0   1   2   3   4   5   6   7   8   9  10  11
        clip    a   b   c   d   a   b   c   d   a   b   c   d

    With a variable frame rate the segments hold different numbers of frames, and some clips are
    shorter than `clip_length`. Every frame is in exactly one clip, and clips keep time order.

    Args:
        times: ascending seconds of the block's frames, all within clip_length × step of the first.
        clip_length: T.
        seconds_per_step: length of a segment.

    Returns:
        For each clip the indices of its frames, 1 to T of them.

    Example:
        >>> interleave([0.0, 0.5, 1.0, 1.5, 2.0], clip_length=3, seconds_per_step=1.0)
        [(0, 2, 4), (1, 3)]
    """
    segments: list[list[int]] = [[] for _ in range(clip_length)]
    for index, time in enumerate(times):
        step = int((time - times[0] + _ROUNDING_SECONDS) / seconds_per_step)
        segments[min(step, clip_length - 1)].append(index)
    num_clips = max(len(segment) for segment in segments)
    return [tuple(s[j] for s in segments if j < len(s)) for j in range(num_clips)]


class ClipReader:
    """Iterate once over the clips of a file; then ask whether the file was whole.

    The frames analysed are either all, or the first at or after each tick k / fps of the range::

        tick        |           |           |           |
        frame       0   1   2   3   4   5   6   7   8   9
        analysed    *           *           *           *
        held by     0   0   0   3   3   3   6   6   6   9

    Every frame of the range is handed out once, analysed or held. With T > 1 steps per clip, the
    analysed frames of T × seconds_per_step make a block and are dealt to its clips by
    `interleave`; `AnalysedFrame.sequence` restores their order.

    Attributes:
        media: the file.
        truncated: True after iteration if the file ended well before its declared length.
    """

    def __init__(
        self,
        media: MediaInfo,
        spec: NetworkSpec,
        options: ReadOptions,
        on_warning: Callable[[str], None],
    ) -> None:
        self.media = media
        self._spec, self._options = spec, options
        self._warn = on_warning
        self._frames = FrameReader(media, options, on_warning)
        self._follower: FrameFollower | None = None
        self._to_network = _Resizer(media, network_frame_size(media, spec))

    @property
    def carries(self) -> bool:
        """Whether every frame is handed out for some to be looked at (``--fps auto``)."""
        return self._options.fps == "auto"

    @property
    def truncated(self) -> bool:
        """Whether the file ended well before its declared length."""
        return self._frames.truncated

    def followed(self) -> FrameFollower:
        """Return the frames of the range for somebody who needs them once they were in clips.

        Call it before the first clip is read. Closing it lets go of them.
        """
        self._follower = FrameFollower(self._frames)
        return self._follower

    def __iter__(self) -> Iterator[Clip]:
        """Read and decode; closing the iterator closes the file."""
        if self.media.opened_path != self.media.path:
            self._warn(
                f"{self.media.path.name}: its container had to be rewritten; its streams were "
                "copied into a temporary Matroska file, which rounds times to 1 ms"
            )
        if self.media.interlaced:
            self._warn(
                f"{self.media.path.name} is interlaced; its frames are used as they are, "
                "so moving edges may look combed"
            )
        if self.media.unheard is not None:
            self._warn(
                f"{self.media.path.name}: audio track {self.media.unheard.track} "
                f"{self.media.unheard.why}; it is taken for silent"
            )
        if self.media.orientation.leftover_degrees:
            self._warn(
                f"{self.media.path.name} asks to be shown at a slant; it is turned by "
                f"{self.media.orientation.rotation_degrees}°, and "
                f"{self.media.orientation.leftover_degrees:g}° are left out"
            )
        if self.media.audio is None:
            silence = AudioTrack(np.zeros(0, np.float32), SAMPLE_RATE_HZ, 0.0)
            for block in self._blocks():
                yield from self._clips(block, silence)
            return
        furthest = max(map(abs, self._spec.sound_offsets_seconds), default=0.0)
        reach = furthest + _HALF_WINDOW_SECONDS
        with closing(MonoSound(self.media, self._warn)) as sound:
            for block in self._blocks():
                first, last = (step.analysed.stamp.pts_seconds for step in (block[0], block[-1]))
                around = sound.stretch(first - reach, last + reach)
                yield from self._clips(block, around)

    def _blocks(self) -> Iterator[list[_Step]]:
        block: list[_Step] = []
        span = self._spec.clip_length * self._spec.seconds_per_step - _ROUNDING_SECONDS
        for step in self._steps():
            is_full = block and (
                self._spec.clip_length == 1 or step.seconds - block[0].seconds >= span
            )
            if is_full:
                yield block
                block = []
            block.append(step)
        if block:
            yield block

    def _steps(self) -> Iterator[_Step]:
        """Yield analysed frames, each once the next one shows which frames it holds for."""
        pending: StampedImage | None = None
        held: list[FrameStamp] = []
        sequence = count()
        for image, is_analysed in self._selected():
            if not is_analysed:
                held.append(image.stamp)
                continue
            if pending is not None:
                yield self._step(pending, next(sequence), held)
            pending, held = image, []
        if pending is not None:
            yield self._step(pending, next(sequence), held)

    def _selected(self) -> Iterator[tuple[StampedImage, bool]]:
        fps, range_start = self._options.fps, self._options.start_seconds or 0.0
        next_tick: int | None = None
        for image in self._frames:
            if self._follower is not None:
                self._follower.keep(image)
            if fps is None or fps == "auto":
                yield image, True
                continue
            tick = int((image.seconds_in - range_start + _ROUNDING_SECONDS) * fps)
            is_analysed = next_tick is None or tick >= next_tick
            if is_analysed:
                next_tick = tick + 1
            yield image, is_analysed

    def _step(self, image: StampedImage, sequence: int, held: list[FrameStamp]) -> _Step:
        last = held[-1] if held else image.stamp
        shown_for = last.pts_seconds - image.stamp.pts_seconds + _MARGIN_SECONDS
        analysed = AnalysedFrame(image.stamp, sequence, tuple(held), (-_MARGIN_SECONDS, shown_for))
        return _Step(self._to_network(image), analysed)

    def _clips(self, block: list[_Step], audio: AudioTrack) -> Iterator[Clip]:
        T = self._spec.clip_length
        for members in interleave([s.seconds for s in block], T, self._spec.seconds_per_step):
            steps = [block[index] for index in members]
            pixels = [step.pixels for step in steps]
            repeated = self._spec.padding == "repeat_last"
            filler = pixels[-1] if repeated else np.zeros_like(pixels[-1])
            frames = np.stack(pixels + [filler] * (T - len(pixels)))  # [T, 3, h, w]
            valid = np.arange(T) < len(pixels)
            yield Clip(frames, tuple(step.analysed for step in steps), audio, valid)


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """An analysed frame at network size, [3, h, w] uint8 RGB."""

    pixels: NDArray[np.uint8]
    analysed: AnalysedFrame

    @property
    def seconds(self) -> float:
        return self.analysed.stamp.pts_seconds


class _Resizer:
    """Turns a stored frame into RGB of one size in display orientation."""

    def __init__(self, media: MediaInfo, size_hw: tuple[int, int]) -> None:
        self._orientation = media.orientation
        self._stored_hw = size_hw[::-1] if media.orientation.swaps_sides else size_hw
        self._swscale = VideoReformatter()  # one for all frames: it keeps its filter tables

    def __call__(self, image: StampedImage) -> NDArray[np.uint8]:
        height, width = self._stored_hw
        small = self._swscale.reformat(
            image.image, width, height, "rgb24", interpolation=Interpolation.AREA
        )
        pixels = np.asarray(small.to_ndarray(), np.uint8)  # [h, w, 3]
        # Turning the small picture costs far less than turning the source's.
        return np.ascontiguousarray(self._orientation.applied_to(pixels).transpose(2, 0, 1))

"""The frames of a range of a file, in order, each with its place on the time line."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Set
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.stream import Stream
from numpy.typing import NDArray

from avscli.config import ReadOptions
from avscli.datatypes import FrameStamp, MediaInfo
from avscli.errors import MediaError, UsageError
from avscli.media.containers import Warn, decoded_frames, open_media
from avscli.media.streams import video_stream
from avscli.media.time_line import ClockStep

_SLACK_SECONDS, _SLACK_SHARE = 1.0, 0.02
_STEPS_TOLD = 3
_DECLARE_THEIR_END = {"matroska,webm", "nut"}
_SEAM_SECONDS = 1.0
_LOSS_SECONDS = Fraction(1, 4)  # joined recordings often leave a frame or two between them


@dataclass(frozen=True, slots=True, eq=False)
class StampedImage:
    """A decoded frame as stored: not rotated, in the source's size and pixel format.

    Attributes:
        image: the decoder's frame; copy before changing it.
        stamp: its place in the source.
        seconds_in: time since the first video frame of the file.
    """

    image: av.VideoFrame
    stamp: FrameStamp
    seconds_in: float


class FrameReader:
    """Iterate once over the frames of a range.

    Every frame from the file's first is decoded, so that `FrameStamp.index` is right whatever the
    range is. Stamps strictly increase: a frame without a timestamp follows the one before by the
    nominal frame duration, one that repeats a timestamp by a tick of the time base.

    Attributes:
        time_base: seconds per unit of ``stamp.pts``; set before the first frame is handed out.
        truncated: True once the file turned out to end well before its declared length.
    """

    def __init__(self, media: MediaInfo, options: ReadOptions, on_warning: Warn) -> None:
        self._media, self._options, self._warn = media, options, on_warning
        self._damaged = self._resized = False
        self._last_packet_end = Fraction(0)
        self._steps: list[ClockStep] = []  # the first few
        self._num_steps = 0
        self._torn = deque[Fraction](maxlen=16)  # more than a decoder holds back
        self.time_base = Fraction(0)
        self.truncated = False

    def afresh(self) -> FrameReader:
        """Return a reader of the same range that has not begun."""
        return FrameReader(self._media, self._options, self._warn)

    def __iter__(self) -> Generator[StampedImage, None, None]:
        """Decode.

        Raises:
            MediaError: not one frame can be decoded.
            UsageError: the range holds no frame.
        """
        start = self._options.start_seconds or 0.0
        end = self._options.end_seconds
        seconds_in, num_in_range = 0.0, 0
        with open_media(self._media) as container:
            stream = video_stream(container, self._media.path)
            for image in self._stamped(container, stream):
                seconds_in = image.seconds_in
                if end is not None and seconds_in >= end:
                    break
                if seconds_in >= start:
                    num_in_range += 1
                    self._check_size(image)
                    yield image
            else:
                self._check_end(container)
            self._tell_steps()
        if num_in_range == 0:
            raise UsageError(
                f"no frame of {self._media.path} lies in the range from {start:g} s"
                + (f" to {end:g} s" if end is not None else ""),
                hint=f"the last frame read starts {seconds_in:.3f} s after the first",
            )

    def _stamped(
        self, container: av.container.InputContainer, stream: av.VideoStream
    ) -> Iterator[StampedImage]:
        assert stream.time_base is not None
        self.time_base = stream.time_base
        step = max(round(1 / (self._media.frame_rate or 25) / stream.time_base), 1)
        first = last = None
        images = decoded_frames(
            container,
            stream,
            av.VideoFrame,
            self._media.path,
            on_damage=self._on_damage,
            on_packet=self._on_packet,
            on_step=self._on_step,
        )
        for index, image in enumerate(images):
            pts = image.pts
            if pts is None:
                pts = stream.start_time or 0 if last is None else last + step
            if last is not None and pts - last > max(
                1.5 * step, float(_LOSS_SECONDS / self.time_base)
            ):
                self._check_gap(last - step, pts + step)
            last = pts = pts if last is None else max(pts, last + 1)
            first = pts if first is None else first
            stamp = FrameStamp(index, pts, float(pts * self.time_base))
            yield StampedImage(image, stamp, float((pts - first) * self.time_base))
        if last is None:
            raise MediaError(
                f"no frame of {self._media.path} can be decoded",
                hint="the file is damaged or cut off; copy it again from its source",
            )

    def _check_gap(self, begin: int, end: int) -> None:
        """Tell of pictures that a damaged container has swallowed between two that are there.

        Transport streams mark the packets next to a loss, but also those next to a seam of joined
        recordings, where the clock makes a step.
        """
        seams = [step.at_seconds for step in self._steps]
        for time in self._torn:
            is_seam = any(abs(time - seam) < _SEAM_SECONDS for seam in seams)
            if begin * self.time_base <= time <= end * self.time_base and not is_seam:
                self._on_damage()

    def _on_damage(self) -> None:
        if not self._damaged:
            self._damaged = True
            near = float(self._last_packet_end)
            self._warn(
                f"{self._media.path.name}: damaged pictures near {near:.1f} s; "
                "what could be decoded is used"
            )

    def _on_step(self, step: ClockStep) -> None:
        self._num_steps += 1
        if len(self._steps) < _STEPS_TOLD:
            self._steps.append(step)

    def _tell_steps(self) -> None:
        if self._steps:
            steps = ", ".join(map(str, self._steps)) + ", …" * (self._num_steps > _STEPS_TOLD)
            self._warn(
                f"{self._media.path.name}: its clock {steps}; jumps stay in the times, and after a "
                "fall they go on from where they were"
            )

    def _check_size(self, image: StampedImage) -> None:
        size_hw = image.image.height, image.image.width
        if self._media.orientation.swaps_sides:
            size_hw = size_hw[::-1]
        first_hw = self._media.height, self._media.width
        if size_hw != first_hw and not self._resized:
            self._resized = True
            (old_height, old_width), (height, width) = first_hw, size_hw
            self._warn(
                f"{self._media.path.name}: the size of its pictures changes from "
                f"{old_width}×{old_height} to {width}×{height} at {image.stamp.pts_seconds:.1f} s; "
                "all are scaled to the first size, which masks and overlay have throughout"
            )

    def _on_packet(self, packet: av.Packet[Stream]) -> None:
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None:
            if packet.is_corrupt and packet.stream.type == "video":
                self._torn.append(time * packet.time_base)
            end = (time + (packet.duration or 0)) * packet.time_base
            self._last_packet_end = max(self._last_packet_end, end)

    def _check_end(self, container: av.container.InputContainer) -> None:
        # Where the clock makes steps, the length is what FFmpeg guessed from its two ends.
        if not container.duration or self._num_steps:
            return
        # Matroska and NUT declare where they end, the others how long they are.
        ends_at = container.format.name in _DECLARE_THEIR_END
        begin = 0 if ends_at else container.start_time or 0
        declared = (begin + container.duration) / av.time_base
        missing = declared - float(self._last_packet_end)
        if missing > max(_SLACK_SECONDS, _SLACK_SHARE * container.duration / av.time_base):
            self.truncated = True
            self._warn(
                f"{self._media.path.name}: truncated, ends at {float(self._last_packet_end):.1f} s "
                f"of declared {declared:.1f} s"
            )


@dataclass(frozen=True, slots=True, eq=False)
class UprightPicture:
    """A decoded frame as it is shown.

    Attributes:
        stamp: its place in the source.
        rgb: [H, W, 3] uint8, of the size that the file was probed with.
    """

    stamp: FrameStamp
    rgb: NDArray[np.uint8]


def upright_pictures(media: MediaInfo, indices: Set[int]) -> Generator[UprightPicture, None, None]:
    """Decode some frames again, in order, at the size and in the way they are shown.

    Args:
        media: a probed file.
        indices: of the frames in presentation order, as in `FrameStamp`.

    Raises:
        MediaError: the file has not all of them any more.
    """
    missing = set(indices)
    size_hw = (media.height, media.width)
    height, width = size_hw[::-1] if media.orientation.swaps_sides else size_hw
    with closing(iter(FrameReader(media, ReadOptions(), lambda _told: None))) as images:
        for image in images:
            if image.stamp.index in missing:
                missing.remove(image.stamp.index)
                stored = image.image.to_ndarray(format="rgb24", width=width, height=height)
                upright = media.orientation.applied_to(np.asarray(stored, np.uint8))
                yield UprightPicture(image.stamp, np.ascontiguousarray(upright))
            if not missing:
                return
    if missing:
        raise MediaError(
            f"{media.path} has no frame {min(missing)} any more", hint="has it been replaced?"
        )


def upright_picture(media: MediaInfo, index: int) -> NDArray[np.uint8]:
    """Decode one frame again as [H, W, 3] uint8 RGB; see `upright_pictures`."""
    with closing(upright_pictures(media, {index})) as pictures:
        return next(pictures).rgb

"""Re-encode a video with every frame open to blending: `OverlayWriter`."""

from __future__ import annotations

import errno
import math
from array import array
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.stream import Stream

from avscli.config import ReadOptions
from avscli.datatypes import MediaInfo
from avscli.errors import ExtraOutputError, MediaError, OutputError
from avscli.media.audio_packets import Packets, audio_packets
from avscli.media.containers import Warn, open_input
from avscli.media.frame_follower import FrameFollower
from avscli.media.frames import FrameReader
from avscli.media.overlay_clock import LARGEST_TIMESCALE, OverlayClock
from avscli.media.planes import OverlayFrame, PlaneMaker
from avscli.media.streams import video_stream
from avscli.media.survey import SoundSurvey, survey
from avscli.media.time_line import move_packet

# Of veryfast only what pays most: superfast takes as long, and without the look-ahead's weighing of
# blocks its files are up to 2.5 times as large.
_X264 = {"preset": "veryfast", "crf": "20", "x264-params": "subme=1:me=dia:bframes=1"}
_NOT_OF_THE_DISK = {errno.EPERM, errno.ENOSYS, errno.EAGAIN}  # what encoders return, carelessly


@dataclass(frozen=True, slots=True, eq=False)
class WrittenVideo:
    """What a finished file must hold.

    Attributes:
        height, width: coded size, even.
        times: of the frames in order, in ticks.
        tick: seconds per tick.
        has_audio: whether there is an audio stream.
        codec, pixels: name of the codec and of its pixel format.
    """

    height: int
    width: int
    times: array[int]
    tick: Fraction
    has_audio: bool
    codec: str = "h264"
    pixels: str = "yuv420p"


class OverlayWriter:
    """Hand out the frames of a range of a source for blending, encode them with the sound.

    H.264 (libx264, 8-bit yuv420p, crf 20) in an MP4 with its index in front. Frames keep
    their source timestamps, as far as MP4 can hold them, from a zero of the overlay's own where the
    source starts before zero or late (`OverlayClock`). Rotation is applied to the pixels, the
    sample aspect ratio kept, an odd side made even by repeating its last row or column. The sound's
    packets are copied, or encoded as AAC where MP4 players could not read them or MP4 cannot hold
    them (`survey`). Leaving the ``with`` block finishes the file and checks it by opening it again;
    after any error the file is removed::

        with OverlayWriter(media, target, options, on_warning) as writer:
            for frame in writer.frames():
                blend(frame.y, frame.u, frame.v)
                writer.write(frame)

    It may be used from any thread, one at a time.
    """

    def __init__(
        self,
        media: MediaInfo,
        target: Path,
        options: ReadOptions,
        on_warning: Warn,
        *,
        frames: FrameFollower | None = None,
        most_rows: int | None = None,
    ) -> None:
        """Prepare; nothing is opened before the first frame.

        Args:
            media: a probed file, with the audio track to keep.
            target: where to write, in an existing folder; the caller renames what is finished.
            options: the range; the analysis rate does not matter here.
            on_warning: told about damage, in one line each.
            frames: of the range, from somebody who decodes them anyway; None decodes them here.
            most_rows: height to scale down to (`scaled_size`).
        """
        self._media, self._target, self._options, self._warn = media, target, options, on_warning
        self._to_planes = PlaneMaker(media, most_rows)
        self._source = frames or FrameReader(media, options, on_warning)
        self._frames: Generator[OverlayFrame, None, None] | None = None
        self._encoder: _Encoder | None = None
        self._is_abandoned = False

    @property
    def zero_seconds(self) -> float | None:
        """Source seconds at the overlay's own zero; None before the first frame."""
        return None if self._encoder is None else float(self._encoder.clock.zero)

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def frames(self) -> Iterator[OverlayFrame]:
        """Return the frames of the range in order, each to be passed to `write` before the next."""
        self._frames = self._decoded()
        return self._frames

    def write(self, frame: OverlayFrame) -> None:
        """Encode one frame from `frames`, with the sound up to it.

        Raises:
            OutputError: the disk is full or the target cannot be written.
            ExtraOutputError: the encoder or the container does not take it.
        """
        assert self._encoder is not None, "write() takes what frames() yields"
        frame.pad()
        self._encoder.encode(frame)

    def abandon(self) -> None:
        """Let a first frame that is still in the making fail; may be called from any thread."""
        self._is_abandoned = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish and check the file; after an error remove it.

        Raises:
            OutputError: the disk is full or the target cannot be written.
            ExtraOutputError: the finished file is not what was written.
        """
        if self._frames is not None:
            self._frames.close()
        if self._encoder is None:
            return
        is_whole = False
        try:
            if kind is None:
                verify_video(self._target, self._encoder.finish())
                is_whole = True
        finally:
            self._encoder.close()
            if not is_whole:
                self._target.unlink(missing_ok=True)

    def _decoded(self) -> Generator[OverlayFrame, None, None]:
        for image in self._source:
            frame = self._to_planes(image)
            if self._encoder is None:
                self._encoder = self._started(
                    frame, OverlayClock.of(image, self._source.time_base, self._options)
                )
            yield frame

    def _started(self, first: OverlayFrame, clock: OverlayClock) -> _Encoder:
        held = survey(self._media, clock.sound_from, clock.sound_until, lambda: self._is_abandoned)
        clock = clock.holding(held.longest_gap)
        return _Encoder(self._media, self._target, first, clock, held.sound, self._warn)


def verify_video(path: Path, expected: WrittenVideo) -> None:
    """Open a finished file again and compare it with what was written to it.

    Raises:
        ExtraOutputError: it cannot be opened, or codec, pixel format, size, timestamps or audio
            differ.
    """
    try:
        with open_input(path) as container:
            stream = video_stream(container, path)
            context = stream.codec_context
            found = (context.codec.canonical_name, context.pix_fmt, context.height, context.width)
            has_audio = bool(container.streams.audio)
            packets = list(_times(container.demux(stream), expected.tick))
    except (MediaError, av.FFmpegError) as err:
        raise _broken(path, f"it cannot be read back ({err})") from err
    wanted = (expected.codec, expected.pixels, expected.height, expected.width)
    if found != wanted:
        raise _broken(path, f"it holds {found} instead of {wanted}")
    if has_audio != expected.has_audio:
        raise _broken(path, "its sound is missing" if expected.has_audio else "it has sound")
    if len(packets) != len(expected.times):
        raise _broken(path, f"it holds {len(packets)} of {len(expected.times)} frames")
    for number, (is_time, time) in enumerate(zip(sorted(packets), expected.times, strict=True)):
        if is_time != time:
            raise _broken(path, f"frame {number} stands at {is_time} instead of {time} ticks")


def _times(packets: Iterator[av.Packet[av.VideoStream]], tick: Fraction) -> Iterator[Fraction]:
    for packet in packets:
        if packet.pts is not None:
            yield packet.pts * packet.time_base / tick


def _broken(path: Path, reason: str) -> ExtraOutputError:
    return ExtraOutputError(f"the video written to {path.name} is not as it should be: {reason}")


class _Encoder:
    """One output file being written."""

    def __init__(
        self,
        media: MediaInfo,
        target: Path,
        first: OverlayFrame,
        clock: OverlayClock,
        sound: SoundSurvey | None,
        on_warning: Warn,
    ) -> None:
        self._target, self.clock = target, clock
        self._times = array("q")
        rate = None if media.audio is None or sound is None else media.audio.sample_rate_hz
        with self._as_output_error():
            self._file = av.open(
                f"file:{target}", "w", format="mp4", options=_mp4_options(clock.tick, rate)
            )
            self._video = self._file.add_stream("libx264", options=_X264)
            self._configure(media, first.image)
            self._sound: Packets | None = None
            if sound is not None:
                self._sound = audio_packets(media, self._file, sound, on_warning)
        self._waiting_sound: list[av.Packet[Stream]] = []  # at most one, read but not yet due

    def encode(self, frame: OverlayFrame) -> None:
        """Encode one frame and write what is ready, picture and sound in turn."""
        ticks = self.clock.ticks(frame.stamp.pts)
        if self._times:  # a coarser tick may bring two frames together
            ticks = max(ticks, self._times[-1] + 1)
        image = frame.image
        image.pts, image.time_base = ticks, self.clock.tick
        # A decoded frame remembers its type, and x264 would repeat the source's keyframes.
        image.pict_type = 0
        with self._as_output_error():
            self._mux(self._video.encode(image))
        self._times.append(ticks)

    def finish(self) -> WrittenVideo:
        """Write what the encoder holds, the rest of the sound, and the index."""
        with self._as_output_error():
            self._mux(self._video.encode(None))
            self._mux_sound(self.clock.sound_until)
            self._file.close()
        context = self._video.codec_context
        return WrittenVideo(
            context.height, context.width, self._times, self.clock.tick, self._sound is not None
        )

    def close(self) -> None:
        """Close both files, whatever state they are in."""
        if self._sound is not None:
            self._sound.close()
        # Closing an unfinished file writes its index, which fails again on a full disk; the
        # error that brought us here is already on its way.
        with suppress(av.FFmpegError, OSError):
            self._file.close()

    def _configure(self, media: MediaInfo, image: av.VideoFrame) -> None:
        context = self._video.codec_context
        context.height, context.width, context.pix_fmt = image.height, image.width, "yuv420p"
        self._video.time_base = context.time_base = self.clock.tick
        if media.frame_rate is not None:
            context.framerate = media.frame_rate
        context.sample_aspect_ratio = media.sample_aspect_ratio
        context.thread_type = "AUTO"
        context.color_range, context.colorspace = image.color_range, image.colorspace
        context.color_primaries, context.color_trc = image.color_primaries, image.color_trc

    def _mux(self, packets: list[av.Packet[Stream]]) -> None:
        for packet in packets:
            assert packet.dts is not None
            self._mux_sound(float(packet.dts * packet.time_base + self.clock.zero))
            self._file.mux(packet)

    def _mux_sound(self, until_seconds: float) -> None:
        """Write the sound up to a source time, so that players find both streams side by side."""
        if self._sound is None:
            return
        for packet in chain(self._waiting_sound, self._sound):
            time = packet.pts if packet.pts is not None else packet.dts
            assert time is not None
            seconds = float(time * packet.time_base)
            if seconds > until_seconds:
                self._waiting_sound = [packet]
                return
            if self.clock.sound_from <= seconds < self.clock.sound_until:
                move_packet(packet, -self.clock.zero)
                self._file.mux(packet)
        self._waiting_sound = []

    @contextmanager
    def _as_output_error(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, OSError) as err:
            # PyAV's errors are of the types that Python has for their numbers: those of disks are
            # OSErrors, those of arguments, numbers and data are not.
            if isinstance(err, OSError) and err.errno not in _NOT_OF_THE_DISK:
                raise OutputError(
                    f"cannot write {self._target}: {err.strerror or err}",
                    hint="check free space and permissions, or choose another --output",
                ) from err
            raise ExtraOutputError(f"encoder or container refused ({err.strerror or err})") from err


def _mp4_options(tick: Fraction, sample_rate_hz: int | None) -> dict[str, str]:
    """Return muxer options: index in front, and a clock fine enough for exact start times."""
    track = movie = tick.denominator
    if sample_rate_hz:
        both = math.lcm(track, sample_rate_hz)
        movie = both if both <= LARGEST_TIMESCALE else track
    # Left to itself, the muxer takes multiples of coarse ticks and holds shorter gaps.
    clocks = {"movie_timescale": str(movie), "video_track_timescale": str(track)}
    return {"movflags": "+faststart", **clocks}

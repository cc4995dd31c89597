"""Builders of small video files whose every frame and sample says where it belongs.

A built picture is upright in *display* orientation, whatever rotation the file declares::

    +-----------+-----------+
    |    red    |   blue    |     top half: which way is up
    +-----+-----+-----+-----+
    |  0  |  1  |  2  |  3  |
    |  4  |  5  |  6  |  7  |     bottom half: bit i of the frame number, white = 1
    |  8  |  9  | 10  | 11  |
    +-----+-----+-----+-----+
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

import av
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
Waveform = Callable[[FloatArray], FloatArray]
"""Sample times in seconds [N] → samples [N], or [channels, N] when the channels differ."""

_BIT_ROWS, _BIT_COLUMNS = 3, 4

StreamOrder = Literal["picture-first", "sound-first", "two-sounds-first", "subtitle-first"]
STREAM_ORDERS: tuple[StreamOrder, ...] = get_args(StreamOrder)
_SUBTITLES = {".mp4": "mov_text", ".mov": "mov_text", ".mkv": "subrip", ".webm": "webvtt"}
_SUBTITLES[".ts"] = "dvb_subtitle"
_ONE_SOUND = {".flv"}
# Encoders of text take its styles from a header in the format of ASS.
_SUBTITLE_HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
    b"Style: Default,Arial,16\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
)


def tone(frequency_hz: float, amplitude: float = 0.5) -> Waveform:
    """Return a sine wave."""
    return lambda times: amplitude * np.sin(2 * np.pi * frequency_hz * times)


_A_440 = tone(440)


def silence(times: FloatArray) -> FloatArray:
    """Return digital silence."""
    return np.zeros_like(times)


def impulse(at_seconds: float, width_seconds: float = 0.001, amplitude: float = 0.9) -> Waveform:
    """Return a smooth click (half a cosine) centred at one moment of the file's time line."""

    def waveform(times: FloatArray) -> FloatArray:
        phase = np.clip((times - at_seconds) / width_seconds, -0.5, 0.5)
        return amplitude * np.cos(np.pi * phase)

    return waveform


def drawn_frame(number: int, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw frame `number` as [H, W, 3] uint8 RGB, upright."""
    height, width = size_hw
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = (200, 30, 30)
    picture[: height // 2, width // 2 :] = (30, 30, 200)
    for bit in range(_BIT_ROWS * _BIT_COLUMNS):
        if number >> bit & 1:
            picture[_cell(bit, size_hw)] = 230
    return picture


def frame_number(picture: NDArray[np.uint8]) -> int:
    """Read the number back from an upright [H, W, 3] uint8 RGB picture of any size."""
    height, width, _ = picture.shape
    number = 0
    for bit in range(_BIT_ROWS * _BIT_COLUMNS):
        cell = picture[_cell(bit, (height, width))]
        rows, columns = cell.shape[0] // 3, cell.shape[1] // 3
        middle = cell[rows : cell.shape[0] - rows, columns : cell.shape[1] - columns]
        number |= int(middle.mean() > 115) << bit
    return number


def is_upright(picture: NDArray[np.uint8]) -> bool:
    """Say whether an [H, W, 3] RGB picture has its red corner top left, its blue top right."""
    height, width, _ = picture.shape
    left = picture[: height // 3, : width // 3].mean((0, 1))
    right = picture[: height // 3, -(width // 3) :].mean((0, 1))
    return bool(left[0] > left[2] + 80 and right[2] > right[0] + 80)


def make_video(
    path: Path,
    *,
    seconds: float = 1.0,
    fps: Fraction | int = 30,
    size_hw: tuple[int, int] = (120, 160),
    pts_seconds: Sequence[float] | None = None,
    start_offset_seconds: float = 0.0,
    time_base: Fraction | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    b_frames: int = 0,
    rotation: Literal[0, 90, 180, 270] = 0,
    mirrored: bool = False,
    sample_aspect_ratio: Fraction | None = None,
    interlaced: bool = False,
    audio: Waveform | Sequence[Waveform] | None = _A_440,
    audio_codec: str | None = None,
    audio_seconds: float | None = None,
    audio_start_seconds: float = 0.0,
    audio_gap_seconds: tuple[float, float] | None = None,
    sample_rate: int = 44_100,
    layout: str = "mono",
    faststart: bool = False,
    stream_order: StreamOrder = "picture-first",
) -> Path:
    """Write a video file and return its path; the suffix chooses the container.

    Args:
        path: where to write.
        seconds: length of the picture; the number of frames is seconds × fps, rounded.
        fps: frames per second, exact.
        size_hw: display size, after rotation; odd sizes need a codec or format that takes them.
        pts_seconds: the frames' times instead of a regular grid (variable frame rate).
        start_offset_seconds: added to every frame's time; the sound does not move.
        time_base: of the video stream; None takes 1/fps, or 1/90000 when times are given.
        codec, pix_fmt: video encoder and its pixel format.
        b_frames: how many B-frames between references (libx264).
        rotation: clockwise turn a player must apply; the stored picture is turned the other way.
        mirrored: a player must swap left and right before it turns (.mp4 and .mov).
        sample_aspect_ratio: of the stored picture.
        interlaced: flag the frames as interlaced (libx264).
        audio: one waveform, one per track, or None for no sound; the default is `tone(440)`.
            A waveform is asked for the time line of the file, so an `impulse(0.7)` stands at 0.7 s
            wherever the track starts.
        audio_codec: None takes pcm_s16le in .mkv, .mov, .avi and .nut, otherwise aac.
        audio_seconds: length of the sound; None takes `seconds`.
        audio_start_seconds: time of the first sample.
        audio_gap_seconds: (from, to) of packets left out, as after lost network packets.
        sample_rate, layout: of the sound, for example 192_000 and "5.1".
        faststart: put the index first (.mp4), so that a cut file still opens.
        stream_order: what stands before the picture; ``two-sounds-first`` adds a silent track
            where there would be only one, ``subtitle-first`` an empty one of subtitles to the
            containers that take such (`in_all_orders`).
    """
    times = pts_seconds or [k / Fraction(fps) for k in range(round(seconds * fps))]
    base = time_base or (
        Fraction(1, 90_000) if pts_seconds or start_offset_seconds else 1 / Fraction(fps)
    )
    waveforms = [audio] if callable(audio) else list(audio or [])
    if stream_order == "two-sounds-first" and len(waveforms) == 1:
        waveforms.append(silence)
    options = {"movflags": "+faststart"} if faststart else {}
    if min(start_offset_seconds, audio_start_seconds) < 0:
        options["avoid_negative_ts"] = "disabled"  # only .ts then shows times before zero
    with av.open(str(path), "w", options=options) as container:
        tracks: list[av.AudioStream] = []
        codec_name = audio_codec or _sound_codec(path)

        def add_tracks() -> None:
            tracks.extend(
                container.add_stream(codec_name, rate=sample_rate, layout=layout) for _ in waveforms
            )

        if stream_order == "subtitle-first":
            subtitles = container.add_stream(_SUBTITLES[path.suffix])
            subtitles.codec_context.subtitle_header = _SUBTITLE_HEADER
        elif stream_order != "picture-first":
            add_tracks()
        video = container.add_stream(
            codec, rate=Fraction(fps), options=_encoder(codec, b_frames, interlaced)
        )
        turned = rotation in (90, 270)
        video.height, video.width = size_hw[::-1] if turned else size_hw
        video.pix_fmt, video.time_base = pix_fmt, base
        video.codec_context.time_base = base
        if sample_aspect_ratio:
            video.codec_context.sample_aspect_ratio = sample_aspect_ratio
        if rotation:
            video.set_display_rotation(-rotation % 360)
        if not tracks:
            add_tracks()
        packets = []
        for number, time in enumerate(times):
            stored = np.rot90(drawn_frame(number, size_hw), rotation // 90)
            stored = stored[:, ::-1] if mirrored else stored
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(stored), format="rgb24")
            frame.pts = round((time + Fraction(start_offset_seconds)) / base)
            frame.time_base = base
            packets += video.encode(frame)
        packets += video.encode(None)
        length = seconds if audio_seconds is None else audio_seconds
        for track, waveform in zip(tracks, waveforms, strict=True):
            span = (audio_start_seconds, audio_start_seconds + length)
            packets += _sound_packets(track, waveform, span, audio_gap_seconds)
        # The interleaver wants packets roughly in time order, not one stream after the other.
        container.mux(sorted(packets, key=lambda p: p.dts * p.time_base))
    if mirrored:
        cos, sin = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
        write_display_matrix(path, (-cos, -sin, -sin, cos))
    return path


def write_display_matrix(path: Path, matrix: tuple[float, float, float, float]) -> None:
    """Put a display matrix into the header of an .mp4 or .mov file's picture.

    Args:
        path: the file.
        matrix: a, b, c, d: the point (x, y), y downwards, is shown at (a·x + c·y, b·x + d·y).
    """
    data = bytearray(path.read_bytes())
    headers = [found.end() for found in re.finditer(b"tkhd", data)]
    # A track header ends with the matrix and the size, which is zero for sound (version 0).
    (picture,) = (at for at in headers if any(data[at + 76 : at + 84]))
    a, b, c, d = (round(value * 65536) for value in matrix)
    data[picture + 40 : picture + 76] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def in_all_orders(*suffixes: str) -> list[tuple[str, StreamOrder]]:
    """Return every pair of container and stream order that `make_video` can write."""
    refused = {(s, "subtitle-first") for s in set(suffixes) - set(_SUBTITLES)}
    refused |= {(s, "two-sounds-first") for s in _ONE_SOUND}
    pairs = [(suffix, order) for suffix in suffixes for order in STREAM_ORDERS]
    return [pair for pair in pairs if pair not in refused]


def truncated_copy(source: Path, target: Path, share: float) -> Path:
    """Write the first `share` of a file's bytes to `target` and return it."""
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


def _cell(bit: int, size_hw: tuple[int, int]) -> tuple[slice, slice]:
    height, width = size_hw
    row, column = divmod(bit, _BIT_COLUMNS)
    top, tall = height // 2, height - height // 2
    return (
        slice(top + row * tall // _BIT_ROWS, top + (row + 1) * tall // _BIT_ROWS),
        slice(column * width // _BIT_COLUMNS, (column + 1) * width // _BIT_COLUMNS),
    )


def _encoder(codec: str, b_frames: int, interlaced: bool) -> dict[str, str]:
    if codec != "libx264":
        return {}
    options = {"preset": "veryfast", "crf": "12", "bf": str(b_frames), "threads": "1"}
    return options | ({"x264-params": "interlaced=1"} if interlaced else {})


def _sound_codec(path: Path) -> str:
    return "pcm_s16le" if path.suffix in {".mkv", ".mov", ".avi", ".nut"} else "aac"


def _sound_packets(
    track: av.AudioStream,
    waveform: Waveform,
    span_seconds: tuple[float, float],
    gap_seconds: tuple[float, float] | None,
) -> list[av.Packet]:
    rate, start = track.codec_context.sample_rate, span_seconds[0]
    num_samples = round((span_seconds[1] - start) * rate)
    samples = np.atleast_2d(waveform(start + np.arange(num_samples) / rate))
    samples = np.broadcast_to(samples, (track.codec_context.layout.nb_channels, num_samples))
    block, packets = track.codec_context.frame_size or 1024, []
    to_codec = av.AudioResampler(format=track.codec_context.format)
    for first in range(0, num_samples, block):
        part = samples[:, first : first + block].T.astype(np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(part, "flt", track.codec_context.layout.name)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = round(start * rate) + first
        seconds = frame.pts / rate
        if gap_seconds is None or not gap_seconds[0] <= seconds < gap_seconds[1]:
            packets += [p for out in to_codec.resample(frame) for p in track.encode(out)]
    return packets + track.encode(None)

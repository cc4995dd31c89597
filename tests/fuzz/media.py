"""Small whole videos of many containers and codecs, with their streams in every order."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from tests.builders import drawn_frame

SIZE_HW = (48, 64)
FPS = 10
NUM_FRAMES = 6


class Format(NamedTuple):
    """How a video is written.

    Attributes:
        suffix: of the file; it chooses the container.
        video, pix_fmt: encoder and its pixel format.
        audio: encoder.
        rate_hz: of the sound.
        size_hw, fps: where the format takes few.
        options: of the container.
    """

    suffix: str
    video: str
    audio: str
    pix_fmt: str = "yuv420p"
    rate_hz: int = 16_000
    size_hw: tuple[int, int] = SIZE_HW
    fps: int = FPS
    options: tuple[tuple[str, str], ...] = ()


FORMATS = (
    Format("mp4", "libx264", "aac"),
    Format("mp4", "mpeg4", "libmp3lame", options=(("movflags", "frag_keyframe+empty_moov"),)),
    Format("mov", "prores_ks", "pcm_s16le", "yuv422p10le"),
    Format("mov", "mjpeg", "alac", "yuvj420p"),
    Format("3gp", "h263", "libopencore_amrnb", rate_hz=8000, size_hw=(96, 128)),
    Format("mkv", "ffv1", "flac"),
    Format("mkv", "libx264", "ac3", rate_hz=48_000),
    Format("webm", "libvpx", "libopus", rate_hz=48_000),
    Format("webm", "libvpx-vp9", "libopus", rate_hz=48_000),
    Format("avi", "mpeg4", "libmp3lame"),
    Format("avi", "huffyuv", "pcm_s16le", "yuv422p"),
    Format("ts", "libx264", "aac"),
    Format("ts", "mpeg2video", "mp2", fps=25),
    Format("mpg", "mpeg1video", "mp2", fps=25),
    Format("flv", "flv", "libmp3lame", rate_hz=44_100),
    Format("nut", "ffv1", "pcm_s16le"),
    Format("ogg", "libvpx", "libopus", rate_hz=48_000),
    Format("asf", "wmv2", "wmav2"),
    Format("mxf", "mpeg2video", "pcm_s16le", rate_hz=48_000, fps=25),
    Format("wtv", "mpeg2video", "mp2", fps=25),
)
ORDERS = ("va", "av", "aav", "v")
"""Streams in the file: v for pictures, a for sound."""


def write_all(folder: Path) -> list[Path]:
    """Write a video of every format and order that the container takes."""
    folder.mkdir(parents=True)
    return list(_written(folder))


def _written(folder: Path) -> Iterator[Path]:
    for layout in FORMATS:
        for order in ORDERS:
            name = f"{layout.suffix}-{layout.video}-{layout.audio}-{order}.{layout.suffix}"
            path = folder / name
            if layout.suffix == "mxf" and order.startswith("a"):
                continue  # its writer wants the pictures first
            write_video(path, layout, order)
            yield path


def write_video(path: Path, layout: Format, order: str) -> Path:
    """Write half a second of numbered frames and a tone."""
    with av.open(str(path), "w", options=dict(layout.options)) as container:
        packets: list[av.Packet] = []
        for kind in order:
            if kind == "v":
                stream = container.add_stream(layout.video, rate=Fraction(layout.fps))
                stream.height, stream.width = layout.size_hw
                stream.pix_fmt = layout.pix_fmt
                stream.codec_context.thread_count = 1
                packets += _pictures(stream, layout)
            else:
                sound = container.add_stream(layout.audio, rate=layout.rate_hz, layout="mono")
                if layout.audio == "wmav2":
                    sound.bit_rate = 32_000  # its own default is one that it refuses
                packets += _sound(sound, layout.rate_hz)
        container.mux(sorted(packets, key=lambda packet: packet.dts * packet.time_base))
    return path


def _pictures(stream: av.VideoStream, layout: Format) -> list[av.Packet]:
    packets = []
    for number in range(NUM_FRAMES):
        picture = drawn_frame(number, layout.size_hw)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, layout.fps)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def _sound(stream: av.AudioStream, rate_hz: int) -> list[av.Packet]:
    length = NUM_FRAMES * rate_hz // FPS
    samples = 0.5 * np.sin(2 * np.pi * 440 * np.arange(length) / rate_hz)
    frame = av.AudioFrame.from_ndarray(samples.astype(np.float32)[None], "flt", "mono")
    frame.sample_rate, frame.time_base, frame.pts = rate_hz, Fraction(1, rate_hz), 0
    resampler = av.AudioResampler(
        format=stream.codec_context.format,
        layout="mono",
        rate=rate_hz,
        frame_size=stream.codec_context.frame_size or 1024,
    )
    packets = []
    for part in (frame, None):
        for block in resampler.resample(part):
            packets += stream.encode(block)
    return packets + stream.encode(None)

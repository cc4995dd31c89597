"""Pictures, animations, and music with covers, made from nothing."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from tests.builders import drawn_frame, tone

ENCODERS = {
    "gif": ("gif", "rgb8"),
    "png": ("png", "rgb24"),
    "apng": ("apng", "rgb24"),
    "webp": ("libwebp_anim", "yuv420p"),
    "avif": ("libsvtav1", "yuv420p"),
    "jpg": ("mjpeg", "yuvj420p"),
    "bmp": ("bmp", "bgr24"),
    "tiff": ("tiff", "rgb24"),
    "mkv": ("libx264", "yuv420p"),
    "nut": ("libx264", "yuv420p"),
}


def make_picture(path: Path, num_frames: int, *, muxer: str | None = None) -> Path:
    """Write drawn frames in a format for pictures, four a second, without a sound."""
    codec, pixels = ENCODERS[path.suffix[1:]]
    with av.open(str(path), "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=4)
        stream.width, stream.height, stream.pix_fmt = 64, 64, pixels
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(drawn_frame(number, (64, 64)), format="rgb24")
            container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode())
    return path


def make_song(path: Path, sound_codec: str, *, cover: str | None = "mjpeg") -> Path:
    """Write a second of sound, with a cover as music players show them."""
    muxer = "mp4" if path.suffix == ".m4a" else None  # that of .m4a lets no cover through
    with av.open(str(path), "w", format=muxer) as container:
        sound = container.add_stream(sound_codec, rate=48_000)
        picture = None
        if cover is not None:
            picture = container.add_stream(cover, rate=1)
            picture.width, picture.height = 64, 64
            picture.pix_fmt = "yuvj420p" if cover == "mjpeg" else "rgb24"
            picture.disposition = av.stream.Disposition.attached_pic
            frame = av.VideoFrame.from_ndarray(drawn_frame(0, (64, 64)), format="rgb24")
            frame.pts = 0
            packets = picture.encode(frame.reformat(format=picture.pix_fmt)) + picture.encode()
            container.mux(packets)
        times = np.arange(48_000) / 48_000
        samples = av.AudioFrame.from_ndarray(
            tone(440)(times).astype(np.float32)[None], format="fltp", layout="mono"
        )
        samples.sample_rate, samples.pts = 48_000, 0
        container.mux(sound.encode(samples))
        container.mux(sound.encode())
    return path

"""Single pictures and whole sounds: the small files data sets are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import Interpolation

from avscli.datatypes import SAMPLE_RATE_HZ
from avscli.errors import MediaError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Return a picture as [H, W, 3] uint8 RGB.

    Raises:
        MediaError: missing or not a picture.
    """
    return _first_frame(path).to_ndarray(format="rgb24").astype(np.uint8, copy=False)


def resize_picture(picture: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize [H, W, 3] uint8 RGB by area averaging, as the clip reader does."""
    height, width = size_hw
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    resized = frame.reformat(width, height, interpolation=Interpolation.AREA)
    return resized.to_ndarray().astype(np.uint8, copy=False)


def read_indices(path: Path) -> NDArray[np.uint8]:
    """Return the palette indices (or grey values) of a PNG as [H, W] uint8.

    Raises:
        MediaError: missing, not a picture, or a colour picture without a palette.
    """
    frame = _first_frame(path)
    if frame.format.name not in ("pal8", "gray"):
        raise MediaError(f"{path} is {frame.format.name}, expected a palette or grey PNG")
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(frame.height, plane.line_size)
    indices: NDArray[np.uint8] = rows[:, : frame.width].copy()
    return indices


def read_waveform(path: Path) -> NDArray[np.float32]:
    """Return a sound file as float32 [N] in [-1, 1] at 16 kHz, its channels averaged.

    Raises:
        MediaError: missing, unreadable, or without an audio stream.
    """
    # The resampler's own mix to mono would make a sound that is on both channels 3 dB louder.
    resampler = av.AudioResampler(format="flt", rate=SAMPLE_RATE_HZ)
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise MediaError(f"{path} has no sound")
            frames = [
                part
                for frame in [*container.decode(audio=0), None]
                for part in resampler.resample(frame)
            ]
    except (OSError, av.FFmpegError) as err:
        raise MediaError(f"cannot read sound {path}: {err}") from err
    if not frames:
        return np.zeros(0, np.float32)
    mono = [f.to_ndarray().reshape(-1, f.layout.nb_channels).mean(axis=1) for f in frames]
    return np.concatenate(mono).astype(np.float32, copy=False).clip(-1.0, 1.0)


def _first_frame(path: Path) -> av.VideoFrame:
    try:
        with av.open(str(path)) as container:
            return next(container.decode(video=0))
    except (OSError, av.FFmpegError, StopIteration, IndexError) as err:
        raise MediaError(f"cannot read picture {path}: {err}") from err

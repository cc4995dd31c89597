"""Single pictures and whole sounds: the small files data sets are made of."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import Interpolation

from avscli.datatypes import SAMPLE_RATE_HZ
from avscli.errors import MediaError
from avscli.media.containers import reason_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_PNG_BITS_BYTE = 24  # after the signature, the header chunk's length and name, width and height
# What FFmpeg's PNG decoder gives: samples per pixel and their type. It widens grey of 2 and 4 bits.
_PNG_SAMPLES = {
    "monob": (1, "bits"),
    "gray": (1, "u1"),
    "pal8": (1, "u1"),
    "ya8": (2, "u1"),
    "rgb24": (3, "u1"),
    "rgba": (4, "u1"),
    "gray16be": (1, ">u2"),
    "ya16be": (2, ">u2"),
    "rgb48be": (3, ">u2"),
    "rgba64be": (4, ">u2"),
}
_SIGNATURES = {
    b"\xff\xd8": "a JPEG",
    b"RIFF": "a WebP",
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"\x93NUMPY": "a NumPy array",
    b"version https://git-lfs": "a Git LFS pointer",
}


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


@dataclass(frozen=True, slots=True, eq=False)
class PngPicture:
    """What a PNG stores, nothing scaled or converted.

    Attributes:
        samples: [H, W] uint8 or uint16, grey values or palette indices; or [H, W, 3], RGB.
        top: the sample that means full brightness, 2^bits − 1; of indices the last possible one.
        palette: [256, 4] uint8 RGBA, black where the file defines none; None without a palette.
        opacity: [H, W] uint8 or uint16 of the full range of its type; None when the file has no
            alpha channel. That of a palette is in the palette.
    """

    samples: NDArray[np.uint8 | np.uint16]
    top: int
    palette: NDArray[np.uint8] | None
    opacity: NDArray[np.uint8 | np.uint16] | None


def read_png(path: Path) -> PngPicture:
    """Read a PNG of any colour type, depth and interlacing.

    Raises:
        MediaError: missing, damaged, animated, or another kind of picture, which is named.
    """
    bits = _png_bits(path)
    frame = _first_frame(path, container_format="png_pipe")
    if frame.format.name not in _PNG_SAMPLES:
        raise MediaError(f"{path} decodes to {frame.format.name}, which no PNG should")
    channels, dtype = _PNG_SAMPLES[frame.format.name]
    stored = _plane_rows(frame, dtype, channels)
    samples = stored[..., : channels - 1] if channels in (2, 4) else stored
    if bits < 8 and frame.format.name != "pal8" and dtype != "bits":
        samples = (samples.astype(np.uint16) * ((1 << bits) - 1) // 255).astype(np.uint8)
    return PngPicture(
        samples=samples[..., 0] if samples.shape[2] == 1 else samples,
        top=(1 << bits) - 1,
        palette=_palette(frame) if frame.format.name == "pal8" else None,
        opacity=stored[..., -1] if channels in (2, 4) else None,
    )


def read_indices(path: Path) -> NDArray[np.uint8]:
    """Return the palette indices (or grey values) of a PNG as [H, W] uint8.

    Raises:
        MediaError: missing, not a PNG, coloured without a palette, or with values above 255.
    """
    png = read_png(path)
    if png.samples.ndim == 3 or (
        png.opacity is not None and png.opacity.min() != png.opacity.max()
    ):
        found = "coloured" if png.samples.ndim == 3 else "partly transparent"
        raise MediaError(f"{path} is {found}, expected a palette or grey PNG")
    if png.samples.max(initial=0) > 255:
        raise MediaError(f"{path} holds {png.samples.max()}, expected indices up to 255")
    return png.samples.astype(np.uint8)


def png_bytes(samples: NDArray[np.uint8], palette: NDArray[np.uint8] | None = None) -> bytes:
    """Return a PNG of eight bits, losslessly.

    Args:
        samples: [H, W] grey values, or palette indices, or [H, W, 3] RGB.
        palette: [256, 3] RGB.
    """
    samples = np.ascontiguousarray(samples)
    if palette is None:
        kind = "gray" if samples.ndim == 2 else "rgb24"
        frame = av.VideoFrame.from_ndarray(samples, format=kind)
    else:
        kind = "pal8"
        opaque = np.insert(palette, 0, 255, axis=1)  # ARGB
        pair = (samples, opaque)  # as PyAV takes it, whatever its annotations say
        frame = av.VideoFrame.from_ndarray(pair, format=kind)  # type: ignore[arg-type]
    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = samples.shape[:2]
    encoder.pix_fmt, encoder.time_base = kind, Fraction(1)
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


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
        raise MediaError(f"cannot read sound {path}: {reason_of(err)}") from err
    if not frames:
        return np.zeros(0, np.float32)
    mono = [f.to_ndarray().reshape(-1, f.layout.nb_channels).mean(axis=1) for f in frames]
    return np.concatenate(mono).astype(np.float32, copy=False).clip(-1.0, 1.0)


def _first_frame(path: Path, *, container_format: str | None = None) -> av.VideoFrame:
    try:
        with av.open(str(path)) as container:
            if container_format not in (None, container.format.name):
                raise MediaError(f"{path} is read as {container.format.name}, not as one PNG")
            return next(container.decode(video=0))
    except (OSError, av.FFmpegError, StopIteration, IndexError) as err:
        raise MediaError(f"cannot read picture {path}: {reason_of(err)}") from err


def _png_bits(path: Path) -> int:
    """Return the bits per sample that a PNG states."""
    try:
        with path.open("rb") as file:
            head = file.read(_PNG_BITS_BYTE + 1)
    except OSError as err:
        raise MediaError(f"cannot read picture {path}: {err.strerror}") from err
    if head.startswith(b"\x89PNG") and len(head) > _PNG_BITS_BYTE:
        return head[_PNG_BITS_BYTE]
    for signature, name in _SIGNATURES.items():
        if head.startswith(signature):
            raise MediaError(f"{path} is {name}, whatever its name says; convert it to PNG")
    raise MediaError(f"{path} is no PNG, or damaged")


def _plane_rows(frame: av.VideoFrame, dtype: str, channels: int) -> NDArray[np.uint8 | np.uint16]:
    """Return the first plane without the padding of its lines, [H, W, channels]."""
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(frame.height, plane.line_size)
    if dtype == "bits":
        return np.unpackbits(rows, axis=1)[:, : frame.width, None]
    used = rows[:, : frame.width * channels * np.dtype(dtype).itemsize]
    values = np.ascontiguousarray(used).view(dtype).astype(np.dtype(dtype).newbyteorder("="))
    return values.reshape(frame.height, frame.width, channels)


def _palette(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Return [256, 4] uint8 RGBA; FFmpeg keeps 0xAARRGGBB in the machine's byte order."""
    packed = np.frombuffer(memoryview(frame.planes[1]), np.uint32)[:256]
    return np.stack([packed >> shift & 255 for shift in (16, 8, 0, 24)], axis=1).astype(np.uint8)

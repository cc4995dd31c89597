"""PNGs of every kind, written straight from the specification (ISO/IEC 15948)."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by channels, without a palette
PALETTE = 3
ADAM7 = (
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4),
    (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1),
)  # fmt: skip  # first row, first column, steps of rows and columns


def write_png(
    path: Path,
    samples: NDArray[np.integer],
    *,
    bits: int = 8,
    palette: ArrayLike | None = None,
    transparency: bytes | None = None,
    interlaced: bool = False,
) -> Path:
    """Write samples as they are, unfiltered.

    Args:
        path: of the file; folders are made.
        samples: [H, W] grey or palette indices, or [H, W, C]: grey and alpha, RGB, RGBA.
        bits: per sample, 1, 2, 4, 8 or 16.
        palette: [N, 3] RGB, up to 2^bits entries.
        transparency: data of the tRNS chunk.
        interlaced: by Adam7.
    """
    stored = samples if samples.ndim == 3 else samples[..., None]
    height, width, channels = stored.shape
    kind = PALETTE if palette is not None else COLOUR_TYPES[channels]
    parts = [stored[y::dy, x::dx] for y, x, dy, dx in ADAM7] if interlaced else [stored]
    data = b"".join(_lines(part, bits) for part in parts if part.size)
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced)
    chunks = [_chunk(b"IHDR", header)]
    if palette is not None:
        chunks.append(_chunk(b"PLTE", np.asarray(palette, np.uint8).tobytes()))
    if transparency is not None:
        chunks.append(_chunk(b"tRNS", transparency))
    chunks += [_chunk(b"IDAT", zlib.compress(data)), _chunk(b"IEND", b"")]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _lines(samples: NDArray[np.integer], bits: int) -> bytes:
    """Pack [h, w, C] as lines of whole bytes, each after its filter type."""
    rows = samples.reshape(len(samples), -1)
    if bits == 16:
        packed = rows.astype(">u2").view(np.uint8)
    else:
        places = np.arange(bits - 1, -1, -1)
        spread = (rows[..., None].astype(np.uint16) >> places & 1).astype(np.uint8)
        packed = np.packbits(spread.reshape(len(rows), -1), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in packed)

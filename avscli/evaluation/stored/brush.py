"""Label Studio's run lengths of brushed masks: bits that tell RGBA values, most significant first.

32 bits   how many values there are: 4 · H · W, by rows
5 bits    bits per value, less one
4 × 4     bits per length, less one: four kinds of lengths
then, until all values are told: 1 bit (one value repeated, or every value by itself), 2 bits (kind
of length), the length less one, and the value or values.

Source: the RLE pack format of thi.ng/umbrella, which Label Studio uses; of its four channels the
alpha is the mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from avscli.masks import BoolMask, SizeHW

_CHANNELS = 4
_BITS_PER_VALUE = 8
_BITS_PER_LENGTH = (3, 4, 8, 16)
_HALF = 128  # alpha from which a pixel is marked


def encode_brush(mask: BoolMask) -> list[int]:
    """Return a [H, W] bool mask as the bytes that Label Studio stores."""
    flat = mask.ravel()
    changes = np.flatnonzero(np.diff(flat)) + 1
    starts = [0, *changes.tolist()]
    lengths = np.diff([*starts, flat.size]) * _CHANNELS
    bits = [f"{flat.size * _CHANNELS:032b}", f"{_BITS_PER_VALUE - 1:05b}"]
    bits += [f"{size - 1:04b}" for size in _BITS_PER_LENGTH]
    for start, length in zip(starts, lengths.tolist(), strict=True):
        bits += _repeated(255 if flat[start] else 0, length)
    told = "".join(bits)
    told += "0" * (-len(told) % 8)
    return list(int(told, 2).to_bytes(len(told) // 8, "big"))


def _repeated(value: int, length: int) -> Iterator[str]:
    longest = 1 << _BITS_PER_LENGTH[-1]
    for first in range(0, length, longest):
        part = min(longest, length - first)
        kind = next(k for k, size in enumerate(_BITS_PER_LENGTH) if part <= 1 << size)
        yield f"1{kind:02b}{part - 1:0{_BITS_PER_LENGTH[kind]}b}{value:0{_BITS_PER_VALUE}b}"


def decode_brush(size_hw: SizeHW, stored: bytes) -> BoolMask:
    """Return the mask that Label Studio stored for a picture of some size, [H, W] bool.

    Raises:
        ValueError: the bytes end early, or tell a picture of another size.
    """
    bits = _Bits(stored)
    height, width = size_hw
    num_values = bits.take(32)
    if num_values != _CHANNELS * height * width:
        raise ValueError(f"{num_values} values, a {height}×{width} picture has 4 per pixel")
    bits_per_value = bits.take(5) + 1
    bits_per_length = [bits.take(4) + 1 for _ in range(4)]
    marked = np.zeros(num_values, np.bool_)
    done = 0
    while done < num_values:
        is_repeated = bits.take(1)
        end = done + bits.take(bits_per_length[bits.take(2)]) + 1
        if end > num_values:
            raise ValueError("run lengths go beyond the picture")
        if is_repeated:
            marked[done:end] = bits.take(bits_per_value) >= _HALF
        else:
            marked[done:end] = [bits.take(bits_per_value) >= _HALF for _ in range(end - done)]
        done = end
    return marked[_CHANNELS - 1 :: _CHANNELS].reshape(size_hw)


class _Bits:
    """Takes numbers from a row of bits."""

    def __init__(self, stored: bytes) -> None:
        self._text = "".join(f"{byte:08b}" for byte in stored)
        self._at = 0

    def take(self, count: int) -> int:
        part = self._text[self._at : self._at + count]
        if len(part) < count:
            raise ValueError("run lengths end early")
        self._at += count
        return int(part, 2)

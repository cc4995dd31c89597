"""Brushed masks of Label Studio, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from avscli.evaluation.stored.brush import decode_brush, encode_brush


@given(arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_a_mask_comes_back(mask: np.ndarray) -> None:
    assert np.array_equal(decode_brush(mask.shape, bytes(encode_brush(mask))), mask)


def test_a_run_longer_than_a_length_can_say_comes_back() -> None:
    mask = np.ones((200, 200), np.bool_)
    assert decode_brush(mask.shape, bytes(encode_brush(mask))).all()


def test_values_by_themselves_are_read_and_half_opaque_is_marked() -> None:
    pixels = [(0, 0, 0, 127), (9, 9, 9, 128)]
    values = "".join(f"{value:08b}" for pixel in pixels for value in pixel)
    assert decode_brush((1, 2), stored(8, f"000{7:03b}{values}")).tolist() == [[False, True]]


def stored(num_values: int, lengths: str) -> bytes:
    """Put run lengths behind the head that Label Studio writes."""
    bits = f"{num_values:032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    bits += lengths
    return int(bits + "0" * (-len(bits) % 8), 2).to_bytes(-(-len(bits) // 8), "big")


@pytest.mark.parametrize(
    ("size_hw", "damaged", "says"),
    [
        ((2, 3), encode_brush(np.eye(2, dtype=bool)), "16 values, a 2×3 picture"),
        ((2, 2), encode_brush(np.eye(2, dtype=bool))[:9], "end early"),
        ((2, 2), [], "end early"),
        ((1, 1), stored(4, f"100{7:03b}{255:08b}"), "beyond the picture"),
    ],
)
def test_damage_is_told(size_hw: tuple[int, int], damaged: list[int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        decode_brush(size_hw, bytes(damaged))

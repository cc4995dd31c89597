"""One mask in every kind of PNG that programs write: read right, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from avscli.datasets.label_files import label_palette
from avscli.datasets.mask_pictures import read_marked, read_white
from avscli.errors import DataError
from tests.pngs import write_png

RNG = np.random.default_rng(0)
MASK = np.zeros((48, 64), np.int64)
MASK[10:30, 20:50] = 1
TWO = np.where(np.arange(64) < 35, MASK, 2 * MASK)  # two things side by side
BORDERED = np.where(
    cv2.dilate(MASK.astype(np.uint8), np.ones((5, 5))) > MASK, 255, MASK
)  # void around it
CARD = 255 * (np.add.outer(np.arange(48), np.arange(64)) > 5)
PHOTO = RNG.integers(0, 256, (48, 64, 3))
VOC = label_palette(256)
GREYS = np.repeat(np.arange(256)[:, None], 3, axis=1)


def soft(top: int) -> np.ndarray:
    """Left and right edges over five pixels, half-way where the mask's are."""
    return np.rint(cv2.blur(MASK.astype(np.float64), (5, 1)) * top).astype(np.int64)


def colour(red: int, green: int, blue: int) -> np.ndarray:
    return MASK[..., None] * np.array([red, green, blue])


def with_alpha(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.concatenate([np.atleast_3d(colours), alpha[..., None]], axis=2)


READ: dict[str, dict] = {
    "1-bit grey": {"samples": MASK, "bits": 1},
    "2-bit grey": {"samples": MASK * 3, "bits": 2},
    "2-bit grey that counts": {"samples": MASK, "bits": 2},
    "4-bit grey": {"samples": MASK * 15, "bits": 4},
    "4-bit grey that counts": {"samples": MASK * 7, "bits": 4},
    "white": {"samples": MASK * 255},
    "ones": {"samples": MASK},
    "one class number": {"samples": MASK * 100},
    "one high class number": {"samples": MASK * 200},
    "two instances": {"samples": TWO},
    "two things of classes 15 and 30": {"samples": TWO * 15},
    "video range": {"samples": 16 + MASK * 219},
    "soft edges": {"samples": soft(255)},
    "soft edges that reach no full white": {"samples": soft(250)},
    "16-bit white": {"samples": MASK * 65535, "bits": 16},
    "16-bit ones": {"samples": MASK, "bits": 16},
    "16-bit instances": {"samples": TWO * 255, "bits": 16},
    "16-bit class and instance": {"samples": MASK * 24_000 + TWO, "bits": 16},
    "16-bit soft edges": {"samples": soft(65535), "bits": 16},
    "grey with alpha": {"samples": with_alpha(MASK * 255, np.full(MASK.shape, 255))},
    "grey cut-out": {"samples": with_alpha(np.full(MASK.shape, 90), MASK * 255)},
    "16-bit cut-out": {"samples": with_alpha(MASK * 9, MASK * 65535), "bits": 16},
    "black stencil": {"samples": with_alpha(MASK * 0, MASK * 255)},
    "grey with a transparent value": {"samples": MASK * 50, "transparency": b"\0\0"},
    "RGB white": {"samples": colour(255, 255, 255)},
    "RGB ones": {"samples": colour(1, 1, 1)},
    "RGB soft edges": {"samples": np.repeat(soft(255)[..., None], 3, axis=2)},
    "RGB in a dark colour": {"samples": colour(64, 0, 0)},
    "RGB in blue": {"samples": colour(0, 0, 255)},
    "RGB in two colours": {"samples": VOC[TWO]},
    "16-bit RGB": {"samples": colour(0, 0, 65535), "bits": 16},
    "RGBA opaque": {"samples": with_alpha(colour(255, 255, 255), np.full(MASK.shape, 255))},
    "RGBA half transparent": {"samples": with_alpha(colour(9, 0, 0), np.full(MASK.shape, 128))},
    "RGBA cut out of a photo": {"samples": with_alpha(PHOTO, MASK * 255)},
    "RGBA cut out of one colour": {"samples": with_alpha(PHOTO * 0 + 200, MASK * 255)},
    "RGBA cut-out with soft alpha": {"samples": with_alpha(PHOTO * 0 + 200, soft(255))},
    "RGBA mask on a card with a cut corner": {"samples": with_alpha(colour(255, 255, 255), CARD)},
    "palette of two": {"samples": MASK, "bits": 1, "palette": [[0, 0, 0], [0, 255, 0]]},
    "palette of four": {"samples": TWO, "bits": 2, "palette": VOC[:4]},
    "palette of sixteen": {"samples": MASK * 9, "bits": 4, "palette": VOC[:16]},
    "VOC palette": {"samples": TWO, "palette": VOC},
    "VOC greys only": {"samples": TWO * 7, "palette": VOC},
    "VOC palette, background transparent": {"samples": TWO, "palette": VOC, "transparency": b"\0"},
    "palette without colours": {"samples": TWO, "palette": [[0, 0, 0]] * 3},
    "grey ramp": {"samples": MASK * 255, "palette": GREYS},
    "white first": {"samples": 1 - MASK, "bits": 1, "palette": [[255] * 3, [0] * 3]},
    "colour first": {"samples": 1 - MASK, "palette": [[200, 30, 0], [0, 0, 0]]},
    "black somewhere": {"samples": 10 + 200 * MASK, "palette": [*VOC[:10], [0] * 3, *VOC[:245]]},
    "transparent first": {"samples": MASK, "palette": PHOTO[0, :2] | 1, "transparency": b"\0"},
}  # fmt: skip


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("kind", READ)
def test_the_mask_is_read_from(tmp_path: Path, kind: str, interlaced: bool):
    path = write_png(tmp_path / "mask.png", interlaced=interlaced, **READ[kind])
    assert cv2.imread(str(path)) is not None  # another reader takes the file for a PNG too
    assert np.array_equal(read_marked(path).labels, MASK)


@pytest.mark.parametrize(
    "kind",
    [
        {"samples": BORDERED, "palette": VOC},
        {"samples": BORDERED, "palette": GREYS},
        {"samples": BORDERED},
        {"samples": VOC[BORDERED]},
        {"samples": BORDERED, "palette": [[0, 0, 0], [255, 0, 0]]},
    ],
    ids=["VOC palette", "grey ramp", "grey", "VOC colours", "short palette"],
)
def test_void_around_things_is_void(tmp_path: Path, kind: dict):
    assert np.array_equal(read_marked(write_png(tmp_path / "mask.png", **kind)).labels, BORDERED)


@pytest.mark.parametrize(
    "kind",
    [
        {"samples": MASK * 0, "bits": 1},
        {"samples": MASK * 0, "bits": 16},
        {"samples": MASK * 0, "palette": VOC},
        {"samples": colour(0, 0, 0)},
        {"samples": with_alpha(PHOTO * 0, MASK * 0)},
    ],
)
def test_a_black_or_transparent_picture_marks_nothing(tmp_path: Path, kind: dict):
    assert not read_marked(write_png(tmp_path / "mask.png", **kind)).labels.any()


STEPPED = np.kron(RNG.integers(0, 4, (12, 16)), np.ones((4, 4), np.int64)) * 50


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ({"samples": 1 + MASK}, "2 greys from 1 to 2"),
        ({"samples": TWO * 100}, "3 greys from 0 to 200"),
        ({"samples": STEPPED}, "4 greys from 0 to 150"),
        ({"samples": np.where(MASK, RNG.integers(0, 90, MASK.shape), 0)}, "greys from 0 to 89"),
        ({"samples": PHOTO}, "a photo"),
        ({"samples": colour(255, 0, 0) + np.array([0, 0, 255])}, "no pixel is black"),
        ({"samples": MASK, "palette": [[0, 90, 0], [90, 0, 0]]}, "no pixel is black"),
        ({"samples": MASK * 255, "palette": [[0, 0, 0], *[[90, 0, 0]] * 255]}, "index 255"),
        ({"samples": with_alpha(TWO * 100, CARD)}, "both say"),
        ({"samples": with_alpha(MASK * 255, MASK * 0)}, "transparent"),
        ({"samples": with_alpha(MASK * 255, MASK * 9)}, "alpha is nowhere above 9"),
    ],
)  # fmt: skip
def test_what_can_mean_more_than_one_mask_is_refused_with_the_way_out(
    tmp_path: Path, kind: dict, told: str
):
    path = write_png(tmp_path / "mask.png", **kind)
    with pytest.raises(DataError, match=told) as caught:
        read_marked(path)
    assert str(path) in str(caught.value)
    assert "--gt-marked" in caught.value.hint


@pytest.mark.parametrize(
    ("kind", "marked"),
    [
        ({"samples": (1 - MASK) * 255}, "black"),
        ({"samples": 1 - MASK, "bits": 1}, "black"),
        ({"samples": colour(255, 255, 255), "bits": 8}, "white"),
        ({"samples": soft(255)}, "white"),
        ({"samples": TWO * 100}, "labels"),
        ({"samples": MASK * 254, "palette": [[0, 0, 0], *[[90, 0, 0]] * 255]}, "labels"),
        ({"samples": with_alpha(TWO * 100, MASK * 255)}, "alpha"),
    ],
)
def test_what_is_told_to_be_marked_is(tmp_path: Path, kind: dict, marked: str):
    path = write_png(tmp_path / "mask.png", **kind)
    assert np.array_equal(read_marked(path, marked).labels, MASK)


def test_alpha_that_is_not_there_is_told(tmp_path: Path):
    path = write_png(tmp_path / "mask.png", MASK)
    with pytest.raises(DataError, match="no alpha channel"):
        read_marked(path, "alpha")


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif", ".bmp"])
def test_other_pictures_named_png_are_told_by_what_they_are(tmp_path: Path, suffix: str):
    ok, encoded = cv2.imencode(suffix, (MASK * 255).astype(np.uint8))
    assert ok
    (tmp_path / "mask.png").write_bytes(encoded.tobytes())
    name = {".jpg": "JPEG", ".tif": "TIFF"}.get(suffix, suffix[1:])
    with pytest.raises(DataError, match=rf"(?i)mask\.png is a {name}"):
        read_marked(tmp_path / "mask.png")


def damaged(path: Path, change: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(change(write_png(path, RNG.integers(0, 256, (64, 64))).read_bytes()))
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:20],
        lambda data: data[:300],
        lambda data: data[:-20],
        lambda data: data[:2000] + bytes([data[2000] ^ 1]) + data[2001:],
        lambda _: b"",
        lambda _: b"version https://git-lfs.github.com/spec/v1\n",
    ],
    ids=["header", "beginning", "last bytes", "one bit", "empty", "pointer"],
)
@pytest.mark.parametrize("read", [read_marked, read_white])
def test_a_damaged_png_is_refused_by_name(tmp_path: Path, read: Callable, change: Callable):
    with pytest.raises(DataError, match=r"mask\.png is damaged or no PNG"):
        read(damaged(tmp_path / "mask.png", change))


@pytest.mark.parametrize(
    "kind",
    [
        {"samples": MASK * 255},
        {"samples": MASK * 65535, "bits": 16},
        {"samples": colour(255, 255, 255)},
        {"samples": MASK, "palette": [[0, 0, 0], [255, 255, 255]]},
        {"samples": with_alpha(PHOTO | 128, MASK * 255)},
    ],
)
def test_a_mask_that_must_be_white_is_read_at_every_depth(tmp_path: Path, kind: dict):
    assert np.array_equal(read_white(write_png(tmp_path / "mask.png", **kind)), MASK)


@pytest.mark.parametrize(("bits", "top"), [(8, 255), (16, 65535)])
def test_a_mask_that_must_be_white_and_holds_ones_is_refused(tmp_path: Path, bits: int, top: int):
    path = write_png(tmp_path / "mask.png", MASK, bits=bits)
    with pytest.raises(DataError, match="values up to 1, expected black and white") as caught:
        read_white(path)
    assert f"0 and {top}" in caught.value.hint

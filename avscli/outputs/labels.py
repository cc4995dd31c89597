"""Names beside the objects of a frame: light letters on a dark plate with the object's colour.

Drawn into YUV 4:2:0 planes, and only into the boxes of the plates. These lie on even rows and
columns, so that a chroma sample is either of a plate or not.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING
from unicodedata import category

import cv2
import numpy as np

from avscli.masks import palette
from avscli.outputs.tint import limited_range_yuv

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from avscli.masks import SizeHW
    from avscli.outputs.tint import Planes
    from avscli.results import FramePrediction, SoundingObject

TEXT_SHARE = 1 / 38  # of the shorter side: 19 pixels at 720p, whichever way the video is held
SMALLEST_TEXT = 11  # pixels; below, digits run together once they are encoded
WIDEST_SHARE = 0.4  # of the frame's width that a name may take; longer ones are cut
MOST_LABELS = 40  # in a frame; beyond, nobody reads any
MARGIN = 4  # pixels to the frame's edge, and between labels
_OPACITY = 0.72
_BLACK, _WHITE, _GREY = 16, 235, 128  # limited range: luma, luma, chroma
_WEIGHT = 450  # of the letters; 400 is regular, which a dark plate makes look thin


@dataclass(frozen=True, slots=True)
class Box:
    """Rows top … bottom and columns left … right of a frame, the ends not included."""

    top: int
    left: int
    bottom: int
    right: int

    def overlaps(self, other: Box) -> bool:
        """Say whether the two come closer than `MARGIN`."""
        return (
            self.top < other.bottom + MARGIN
            and other.top < self.bottom + MARGIN
            and self.left < other.right + MARGIN
            and other.left < self.right + MARGIN
        )


class Labels:
    """Draws what each object is: its class, its track and its score.

    OpenCV's own fonts know Latin, Cyrillic, Greek, Hebrew, Arabic and Chinese, Japanese and Korean
    letters; others become question marks.

    Args:
        size_hw: of the frames.
        categories: names by id.
        num_colours: as for `Tint`; tracks take them in turn.
    """

    def __init__(self, size_hw: SizeHW, categories: Mapping[int, str], num_colours: int) -> None:
        self._size_hw = size_hw
        self._colours = limited_range_yuv(palette(num_colours))
        self._font = cv2.FontFace("sans")
        self._text_size = max(SMALLEST_TEXT, round(min(size_hw) * TEXT_SHARE))
        self._height = _even(1.5 * self._text_size)
        self._padding = round(0.4 * self._text_size)
        self._swatch = _even(0.3 * self._text_size)
        widest = WIDEST_SHARE * size_hw[1]
        self._names = {number: self._cut(name, widest) for number, name in categories.items()}

    def draw(self, planes: Planes, prediction: FramePrediction, colours: Sequence[int]) -> None:
        """Draw the labels of a frame, in place; those that find no room are left out.

        Args:
            planes: y [H, W], u and v [⌈H/2⌉, ⌈W/2⌉] uint8, writable.
            prediction: of the frame.
            colours: number of each object's colour.
        """
        taken: list[Box] = []
        shown = zip(_regions(prediction), prediction.objects, colours, strict=True)
        for region, each, colour in islice(shown, MOST_LABELS):
            letters = self._letters(self._text(each))
            if region and (box := place(letters.shape, region, self._size_hw, taken)):
                taken.append(box)
                self._paint(planes, letters, box, colour)

    def _text(self, each: SoundingObject) -> str:
        name = self._names.get(each.track_category_id, str(each.track_category_id))
        return f"{name} {each.track_id}  {each.score:.2f}"

    def _cut(self, name: str, widest: float) -> str:
        """Return a name on one line and not wider than allowed."""
        # OpenCV ends a text at a NUL, and brings the process down at half a surrogate pair.
        line = " ".join(name.split())
        line = "".join("?" if category(letter) in ("Cc", "Cs") else letter for letter in line)
        fitting = bisect_right(
            range(1, len(line) + 1), widest, key=lambda length: self._extent(line[:length])[2]
        )
        return line if fitting == len(line) else f"{line[:fitting].rstrip()}…"

    def _extent(self, text: str) -> Sequence[int]:
        """Return x, y, width and height of a text that is written at (0, 0)."""
        return cv2.getTextSize((0, 0), text, (0, 0), self._font, self._text_size, _WEIGHT)

    def _letters(self, text: str) -> NDArray[np.uint8]:
        """Return [h, w] uint8, sides even: how much of each pixel of a plate is letter."""
        start, _, length, _ = self._extent(text)
        width = _even(self._swatch + length + 2 * self._padding)
        letters = np.zeros((self._height, width), np.uint8)
        origin = self._swatch + self._padding - start, round(0.72 * self._height)
        cv2.putText(letters, text, origin, 255, self._font, self._text_size, _WEIGHT)
        return letters

    def _paint(self, planes: Planes, letters: NDArray[np.uint8], box: Box, colour: int) -> None:
        ink = letters.astype(np.float32) / 255
        for index, plane in enumerate(planes):
            step = 2 if index else 1
            part = plane[box.top // step : box.bottom // step, box.left // step : box.right // step]
            dark, light = (_GREY, _GREY) if index else (_BLACK, _WHITE)
            plate = part + _OPACITY * (dark - part.astype(np.float32))
            plate += ink[::step, ::step] * (light - plate)
            part[:] = np.rint(plate)
            part[:, : self._swatch // step] = self._colours[colour, index]


def place(label_hw: SizeHW, region: Box, frame_hw: SizeHW, taken: Sequence[Box]) -> Box | None:
    """Find room for a label: above its region, else inside it, else as near as there is any.

    A label stays `MARGIN` inside the frame and as far from the others. Where any such place is
    free, one is found: it can be pushed up and left until it touches something, and those are
    looked at.

    Args:
        label_hw: its size, even.
        region: what it belongs to.
        frame_hw: size of the frame.
        taken: labels already placed.

    Returns:
        Its box, from even rows and columns on; None without room.
    """
    height, width = label_hw
    bottom, right = (side - MARGIN - own for side, own in zip(frame_hw, label_hw, strict=True))
    if bottom < MARGIN or right < MARGIN:
        return None
    above, inside = region.top - MARGIN - height, region.top + MARGIN
    wished_top = min(above if above >= MARGIN else max(inside, MARGIN), bottom) // 2 * 2
    centred = (region.left + region.right - width) // 2
    wished_left = min(max(centred, MARGIN), right) // 2 * 2
    best: Box | None = None
    nearest = float("inf")
    tops = _stops(wished_top, MARGIN, bottom, height, ((b.top, b.bottom) for b in taken))
    for top in tops:
        row = Box(top, 0, top + height, frame_hw[1])
        beside = [other for other in taken if other.overlaps(row)]
        stops = _stops(wished_left, MARGIN, right, width, ((b.left, b.right) for b in beside))
        for left in stops:
            box = Box(top, left, top + height, left + width)
            distance = abs(top - wished_top) + abs(left - wished_left)
            if distance < nearest and not any(box.overlaps(other) for other in beside):
                best, nearest = box, distance
    return best


def _stops(
    wished: int, lowest: int, highest: int, length: int, others: Iterable[tuple[int, int]]
) -> list[int]:
    """Return where something of a length can start: as wished, at the rim, or touching others."""
    found = {wished, lowest}
    for start, end in others:
        found |= {start - MARGIN - length, end + MARGIN}
    return sorted(stop for stop in found if lowest <= stop <= highest)


def _regions(prediction: FramePrediction) -> Iterator[Box | None]:
    """Yield the box around each object; None where it has no pixel."""
    for number in range(1, 1 + len(prediction.objects)):
        x, y, width, height = cv2.boundingRect((prediction.object_map == number).view(np.uint8))
        yield Box(y, x, y + height, x + width) if width else None


def _even(length: float) -> int:
    """Return the even number that is next above."""
    return 2 * int(np.ceil(length / 2))

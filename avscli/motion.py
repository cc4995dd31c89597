"""What moved where from one picture to another: optical flow, and maps carried along it.

A flow [h, w, 2] float32 says of each pixel of one picture how far, in widths and heights of the
picture, to the right and down the same thing lies in another picture. So it fits any grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Flow = NDArray[np.float32]
Grey = NDArray[np.uint8]
MapT = TypeVar("MapT", np.float32, np.uint8)

CUT_LEVELS = 25.0  # of 255, by which a pixel must differ to be something else
CUT_SHARE = 0.2  # of the pixels that are something else, where the picture is another one
STILL_LEVELS = 4  # what an encoder adds to a picture that stays


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """What happened between a frame and the one before it.

    Attributes:
        picture: [h, w] uint8, the frame in grey, on half the grid that it was given on.
        back: [h / 2, w / 2, 2], of the frame to the one before.
        ahead: [h / 2, w / 2, 2], of the one before to the frame.
        is_cut: this picture does not continue the one before, or there is none.
    """

    picture: Grey
    back: Flow
    ahead: Flow
    is_cut: bool

    @classmethod
    def into(cls, pixels: NDArray[np.uint8], before: Grey | None) -> Motion:
        """Find what moved.

        Args:
            pixels: [3, 2h, 2w] RGB of the frame.
            before: `picture` of the one before; None for the first.
        """
        picture = _halved(pixels[1])  # green is most of the brightness
        rest = np.zeros((picture.shape[0] // 2, picture.shape[1] // 2, 2), np.float32)
        if before is None or is_still(before, picture):
            return cls(picture, rest, rest, is_cut=before is None)
        back = flow(picture, before)
        mistaken = cv2.absdiff(_sampled(before, back), picture) > CUT_LEVELS
        is_cut = bool(mistaken.mean() > CUT_SHARE)
        return cls(picture, _halved(back), _halved(flow(before, picture)), is_cut)


def is_still(first: Grey, second: Grey) -> bool:
    """Say whether two pictures are the same but for what encoding adds."""
    return int(cv2.absdiff(first, second).max()) <= STILL_LEVELS


def flow(here: Grey, there: Grey) -> Flow:
    """Return where what [h, w] `here` shows lies in `there`.

    Source: Kroeger et al., "Fast Optical Flow using Dense Inverse Search", arXiv 1603.03590.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    pixels = search.calc(here, there, np.zeros((*here.shape, 2), np.float32))
    return np.asarray(pixels / (here.shape[1], here.shape[0]), np.float32)


def joined(first: Flow, second: Flow) -> Flow:
    """Return the flow to where `second` leads from where `first` leads."""
    return first + _sampled(second, first)


def carried(maps: NDArray[np.float32], way: Flow) -> NDArray[np.float32]:
    """Return [C, h, w] maps of another picture as they lie in this one, `way` being the flow there.

    What came into view from beyond the border shows what lies at the border.
    """
    height, width = maps.shape[1:]
    if way.shape[:2] != (height, width):
        way = np.asarray(cv2.resize(way, (width, height), interpolation=cv2.INTER_AREA), np.float32)
    beside = _sampled(np.ascontiguousarray(maps.transpose(1, 2, 0)), way)
    return np.ascontiguousarray(beside.reshape(height, width, -1).transpose(2, 0, 1))


def _halved(values: NDArray[MapT]) -> NDArray[MapT]:
    height, width = values.shape[:2]
    smaller = cv2.resize(values, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, values.dtype)


def _sampled(maps: NDArray[MapT], way: Flow) -> NDArray[MapT]:
    """Return [h, w] or [h, w, C] maps where a flow on the same grid leads."""
    height, width = way.shape[:2]
    x = way[..., 0] * width + np.arange(width, dtype=np.float32)
    y = way[..., 1] * height + np.arange(height, dtype=np.float32)[:, None]
    sampled = cv2.remap(maps, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, maps.dtype)

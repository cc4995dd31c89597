"""A small picture of a run: its first frame with an object, the masks drawn in."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import cv2
import numpy as np

from avscli.errors import AvscliError
from avscli.masks import NUM_COLOURS, colour_number, palette
from avscli.media.fallback import probed
from avscli.media.frames import upright_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from avscli.outputs.journal import JournalEntry
    from avscli.outputs.run import Run

WIDTH = 160
LATEST_FRAME = 300  # frames are decoded from the first on: a later one costs too much
_OPACITY = 0.5
_GREY = 96
_JPEG_QUALITY = 75


def thumbnail(run: Run, shown: JournalEntry | None, *, has_video: bool) -> bytes:
    """Return a JPEG, `WIDTH` pixels wide; masks are on grey where the frame cannot be had soon.

    Args:
        run: that it is of.
        shown: the frame; None takes the video's first.
        has_video: whether the source can be opened.
    """
    index = 0 if shown is None else shown.frame
    picture = np.full((*run.size_hw, 3), _GREY, np.uint8)
    if has_video and index <= LATEST_FRAME:
        picture = _decoded(run, index, picture)
    for each in () if shown is None else shown.objects:
        colour = palette(NUM_COLOURS)[colour_number(each.track)].astype(np.float32)
        with suppress(ValueError):  # a mask that is damaged is not drawn on the page either
            mask = each.mask.pixels
            picture[mask] = np.rint((1 - _OPACITY) * picture[mask] + _OPACITY * colour)
    height = max(1, round(WIDTH * picture.shape[0] / picture.shape[1]))
    small = cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA)
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    is_encoded, data = cv2.imencode(".jpg", small[..., ::-1], options)
    assert is_encoded, "JPEG takes every picture of 8 bits"
    return bytes(data)


def _decoded(run: Run, index: int, otherwise: NDArray[np.uint8]) -> NDArray[np.uint8]:
    try:
        with probed(run.source) as media:
            picture = upright_picture(media, index)
    except AvscliError:  # the page has said what is wrong with the video
        return otherwise
    return picture if picture.shape == otherwise.shape else otherwise

"""Frames side by side with what their masks got right and wrong, as one small JPEG."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from avscli.datatypes import VOID

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME_WIDTH = 160
HIT_RGB, FALSE_RGB, MISSED_RGB = (40, 190, 90), (230, 60, 60), (60, 120, 255)
_OPACITY = 0.55
_BACKGROUND = 96


def strip_jpeg(
    masks: NDArray[np.bool_],
    targets: NDArray[np.uint8],
    pictures: NDArray[np.uint8] | None = None,
) -> bytes:
    """Draw hits green, false pixels red and missed ones blue into frames side by side.

    Args:
        masks: [T, H, W] bool.
        targets: [T, H, W] uint8: above 0 is true, 255 is void.
        pictures: [T, H, W, 3] uint8 RGB; None draws on grey.
    """
    frames = []
    for step, (mask, target) in enumerate(zip(masks, targets, strict=True)):
        canvas = np.full((*mask.shape, 3), _BACKGROUND, np.float32)
        if pictures is not None:
            canvas[:] = pictures[step]
        true, scored = (target > 0) & (target != VOID), target != VOID
        for where, colour in (
            (mask & true, HIT_RGB),
            (mask & ~true & scored, FALSE_RGB),
            (~mask & true, MISSED_RGB),
        ):
            canvas[where] += _OPACITY * (np.array(colour, np.float32) - canvas[where])
        size = (FRAME_WIDTH, max(1, round(FRAME_WIDTH * mask.shape[0] / mask.shape[1])))
        frames.append(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA))
    strip = np.hstack(frames).round().astype(np.uint8)
    is_encoded, data = cv2.imencode(".jpg", strip[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    assert is_encoded, "JPEG takes every picture of 8 bits"
    return bytes(data)

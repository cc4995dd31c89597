"""Draw masks into YUV 4:2:0 planes, without a detour over RGB.

Inside a mask the picture is mixed with the class's colour; along its edge the colour is full.
Only the box around a class is touched, by look-up tables: 256 mixtures per plane and class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from avscli.masks import palette, present_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from avscli.masks import LabelMap

    Plane = NDArray[np.uint8]
    Planes = tuple[Plane, Plane, Plane]

OPACITY = 0.45
OUTLINE_SHARE = 1 / 360  # of the frame's height: 2 pixels at 720p, visible at any player size
MIN_OUTLINE = 2  # pixels; thinner ones fall between the chroma samples


class Tint:
    """Mixes class colours into frames of one source.

    Args:
        num_classes: of the network; a binary one has the single class 1.
        frame_height: display height in pixels; the outline grows with it.
    """

    def __init__(self, num_classes: int, frame_height: int) -> None:
        self._colours = limited_range_yuv(palette(max(num_classes, 2)))
        values = np.arange(256, dtype=np.float32)
        mixed = (1 - OPACITY) * values + OPACITY * self._colours[..., None].astype(np.float32)
        self._tables = np.rint(mixed).astype(np.uint8)  # [class, plane, value]
        self._outline = max(MIN_OUTLINE, round(frame_height * OUTLINE_SHARE))
        side = 2 * self._outline + 1
        self._kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (side, side))

    def blend(self, planes: Planes, label_map: LabelMap) -> None:
        """Draw a label map into a frame, in place.

        Args:
            planes: y [H, W], u and v [⌈H/2⌉, ⌈W/2⌉] uint8, writable.
            label_map: [H, W] uint8.
        """
        for label in present_classes(label_map):
            mask = (label_map == label).view(np.uint8)
            rows, columns = self._box(mask)
            self._draw(planes, mask[rows, columns], (rows, columns), label)

    def _box(self, mask: Plane) -> tuple[slice, slice]:
        """Return the mask's box with room for its outline, from even rows and columns on."""
        x, y, width, height = cv2.boundingRect(mask)
        top, left = (max(0, start - self._outline) // 2 * 2 for start in (y, x))
        return slice(top, y + height + self._outline), slice(left, x + width + self._outline)

    def _draw(self, planes: Planes, mask: Plane, box: tuple[slice, slice], label: int) -> None:
        edge = mask - cv2.erode(mask, self._kernel)
        for index, plane in enumerate(planes):
            step = 2 if index else 1  # one chroma sample for 2 × 2 pixels takes the first's class
            part = plane[tuple(slice(s.start // step, -(-s.stop // step)) for s in box)]
            of_plane = np.ascontiguousarray(mask[::step, ::step])
            cv2.copyTo(cv2.LUT(part, self._tables[label, index]), of_plane, part)
            np.copyto(part, self._colours[label, index], where=edge[::step, ::step] > 0)


def limited_range_yuv(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert [N, 3] RGB colours to 8-bit limited-range Y'CbCr.

    The matrix is BT.709 whatever the source uses: on a tint the difference to BT.601 does not
    show.

    Source: ITU-R BT.709-6, sections 3 and 4.
    """
    red, green, blue = rgb.T.astype(np.float64) / 255
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    cb, cr = (blue - luma) / 1.8556, (red - luma) / 1.5748
    planes = np.stack([16 + 219 * luma, 128 + 224 * cb, 128 + 224 * cr], axis=1)
    return np.asarray(np.rint(planes), np.uint8)

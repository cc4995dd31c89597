"""Masks as polygons that lose nothing: their corners are corners of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from avscli.masks import BoolMask

Polygon = list[int]
"""Corners x1, y1, x2, y2 …, clockwise, in pixels from the frame's upper left corner."""

# Directions of a step along an edge, the marked side on the right: right, down, left, up.
_STEPS_YX = ((0, 1), (1, 0), (0, -1), (-1, 0))
_FOUR_CONNECTED = 4


class Outline(NamedTuple):
    """A mask as polygons.

    Attributes:
        polygons: one or more for every region that is connected by sides; none cuts itself.
        had_holes: whether a region was cut into pieces, since no polygon has a hole.
    """

    polygons: list[Polygon]
    had_holes: bool


def outline_of(mask: BoolMask) -> Outline:
    """Return the polygons that cover exactly the marked pixels of a [H, W] mask."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    outline = _outline(np.ascontiguousarray(mask[y : y + height, x : x + width]))
    moved = [_moved(polygon, x, y) for polygon in outline.polygons]
    return Outline(moved, outline.had_holes)


def _outline(mask: BoolMask) -> Outline:
    loops = _loops(mask)
    if all(_signed_area(loop) > 0 for loop in loops):
        return Outline(loops, had_holes=False)
    polygons: list[Polygon] = []
    num_regions, regions = cv2.connectedComponents(
        mask.view(np.uint8), connectivity=_FOUR_CONNECTED
    )
    for region in range(1, num_regions):
        polygons += _without_holes(regions == region)
    return Outline(polygons, had_holes=True)


def _without_holes(region: BoolMask) -> list[Polygon]:
    """Cut a region through its first hole, top to bottom, until the pieces have none."""
    loops = _loops(region)
    hole = next((loop for loop in loops if _signed_area(loop) < 0), None)
    if hole is None:
        return loops
    cut = (min(hole[::2]) + max(hole[::2]) + 1) // 2  # inside the hole, or along its right side
    left, right = _outline(region[:, :cut].copy()), _outline(region[:, cut:].copy())
    return left.polygons + [_moved(polygon, cut, 0) for polygon in right.polygons]


def _loops(mask: BoolMask) -> list[Polygon]:
    """Return the closed lines between marked and unmarked pixels, marked ones on their right.

    Where two marked pixels touch by a corner only, the line stays with the pixel it came along,
    so that regions are those connected by sides.
    """
    starts, directions = _edges(mask)
    columns = mask.shape[1] + 1
    steps = np.array([dy * columns + dx for dy, dx in _STEPS_YX])
    ends = starts + steps[directions]
    keys = starts * 4 + directions
    order = np.argsort(keys)
    keys = keys[order]
    following = np.full(len(starts), -1)
    for turn in (3, 0, 1):  # left, straight on, right: the last that is there counts
        wanted = ends * 4 + (directions + turn) % 4
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        found = keys[places] == wanted
        following[found] = order[places[found]]
    return _walked(starts, directions, following, columns)


def _edges(mask: BoolMask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each side between marked and unmarked starts, and its direction."""
    padded = np.pad(mask, 1)
    inner = padded[1:-1, 1:-1]
    outside = (
        ~padded[:-2, 1:-1],  # above: walked to the right
        ~padded[1:-1, 2:],  # on the right: down
        ~padded[2:, 1:-1],  # below: to the left
        ~padded[1:-1, :-2],  # on the left: up
    )
    corners_yx = ((0, 0), (0, 1), (1, 1), (1, 0))
    columns = mask.shape[1] + 1
    starts, directions = [], []
    for direction, (free, (dy, dx)) in enumerate(zip(outside, corners_yx, strict=True)):
        rows, cols = np.nonzero(inner & free)
        starts.append((rows + dy) * columns + cols + dx)
        directions.append(np.full(len(rows), direction))
    return np.concatenate(starts), np.concatenate(directions)


def _walked(
    starts: NDArray[np.int64],
    directions: NDArray[np.int64],
    following: NDArray[np.int64],
    columns: int,
) -> list[Polygon]:
    is_corner = np.zeros(len(starts), np.bool_)
    is_corner[following] = directions[following] != directions
    corner, after, at = is_corner.tolist(), following.tolist(), starts.tolist()
    is_new = [True] * len(at)
    loops: list[Polygon] = []
    for first in range(len(at)):
        edge = first
        loop: Polygon = []
        while is_new[edge]:
            is_new[edge] = False
            if corner[edge]:
                y, x = divmod(at[edge], columns)
                loop += (x, y)
            edge = after[edge]
        if loop:
            loops.append(loop)
    return loops


def _signed_area(polygon: Polygon) -> float:
    """Return the area inside; below 0 where the line runs anticlockwise, as around holes."""
    x, y = np.array(polygon[::2]), np.array(polygon[1::2])
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _moved(polygon: Polygon, x: int, y: int) -> Polygon:
    return [value + (y if k % 2 else x) for k, value in enumerate(polygon)]

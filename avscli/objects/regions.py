"""The connected regions of a frame's label map, at full size and on a coarse grid of points.

What is decided about regions (names, tracks) is decided on the grid: every `stride`-th pixel of
the frame, at most GRID_SIDE of them along a side. What is written are the full-size labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from avscli.masks import EIGHT_CONNECTED, box_around, present_classes, renumbered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from avscli.masks import LabelMap, Logits

MOST_REGIONS = 255  # numbers of a uint8 map beside the background
BAND_PIXELS = 65_536  # of a region that is divided at a time
GRID_SIDE = 320  # 57,600 points for 16:9, which cost a tenth of the pixels' time at 720p


@dataclass(frozen=True, slots=True, eq=False)
class GridPoints:
    """The pixels of a frame that the grid looks at.

    Attributes:
        rows, columns: [gh], [gw] int64 pixel numbers.
        stride: pixels between two of them.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    stride: int

    @classmethod
    def of(cls, size_hw: tuple[int, int]) -> GridPoints:
        """Return the points of frames of this size, in the middle of their strides."""
        stride = -(-max(size_hw) // GRID_SIDE)
        rows, columns = (
            np.minimum(np.arange(0, side, stride) + stride // 2, side - 1) for side in size_hw
        )
        return cls(rows, columns, stride)

    def sampled(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return [gh, gw] of [H, W]."""
        return labels[self.rows][:, self.columns]


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """The regions of a frame, numbered from 1.

    Attributes:
        labels: [H, W] uint8, 0 for background, else the region's number.
        classes: of the label map, one per region.
        points: where the grid lies.
        num_left_out: regions beyond MOST_REGIONS, whose pixels have the number of another one.
    """

    labels: LabelMap
    classes: tuple[int, ...]
    points: GridPoints
    num_left_out: int = 0

    @property
    def grid(self) -> NDArray[np.uint8]:
        """[gh, gw] uint8: the labels at the grid's points; a region beside them has the nearest."""
        grid = self.points.sampled(self.labels)
        counts = cv2.calcHist([grid], [0], None, [256], [0, 256]).ravel()
        counts = counts[: int(self.labels.max(initial=0)) + 1]
        counts[0] = grid.size  # points of the background can all be given away
        for number in np.flatnonzero(counts == 0):
            y, x = np.unravel_index(np.argmax(self.labels == number), self.labels.shape)
            away = np.hypot(self.points.rows[:, None] - y, self.points.columns - x)
            point = np.argmin(np.where(counts[grid] > 1, away, np.inf))
            counts[grid.flat[point]] -= 1
            counts[number] += 1
            grid.flat[point] = number
        return grid


@dataclass(frozen=True, slots=True, eq=False)
class _Components:
    """The 8-connected components of one class, in a box: 0 for others, then 1 …"""

    label: int
    box: tuple[slice, slice]
    labels: NDArray[np.int32]
    num_points: NDArray[np.int64]  # on the grid, per component, background first

    @property
    def ranks(self) -> NDArray[np.int64]:
        """Largest first, before everything the largest: each class keeps one region."""
        ranks = self.num_points[1:].copy()
        ranks[ranks.argmax()] += GRID_SIDE**2
        return ranks


def connected_regions(label_map: LabelMap) -> Regions:
    """Find the 8-connected regions of each class.

    A region on which no point of the grid lies is narrower than a 320th of the frame: its pixels
    belong to the nearest one of its class. So do those of the smallest where there are more than
    MOST_REGIONS. A class that is on no point of the grid is one region. No pixel is lost.

    Args:
        label_map: [H, W] uint8, 0 for background, else a class.
    """
    points = GridPoints.of((label_map.shape[0], label_map.shape[1]))
    around = box_around(label_map)
    found = [_components(label_map, label, around, points) for label in present_classes(label_map)]
    areas = np.concatenate([each.num_points[1:] for each in found] or [np.zeros(0, np.int64)])
    ranks = np.concatenate([each.ranks for each in found] or [areas])
    by_area = np.argsort(-ranks, kind="stable")
    kept = np.sort(by_area[: min(MOST_REGIONS, np.count_nonzero(areas))])
    numbers = np.zeros(len(areas), np.uint8)
    numbers[kept] = np.arange(1, len(kept) + 1)
    labels = np.zeros(label_map.shape, np.uint8)
    first = 0
    for each in found:
        end = first + len(each.num_points) - 1
        own = np.concatenate([np.zeros(1, np.uint8), numbers[first:end]])
        np.bitwise_or(labels[each.box], renumbered(each.labels, own), out=labels[each.box])
        first = end
    of_components = [each.label for each in found for _ in each.num_points[1:]]
    classes = tuple(of_components[i] for i in kept)
    regions = Regions(labels, classes, points, int(np.count_nonzero(areas)) - len(kept))
    _complete(regions, label_map)
    return regions


def _components(
    label_map: LabelMap, label: int, around: tuple[slice, slice], points: GridPoints
) -> _Components:
    of_class = (label_map[around] == label).view(np.uint8)
    inner = box_around(of_class)
    rows, columns = (
        slice(outer.start + part.start, outer.start + part.stop)
        for outer, part in zip(around, inner, strict=True)
    )
    num_labels, labels = cv2.connectedComponents(of_class[inner], connectivity=EIGHT_CONNECTED)
    y, x = (
        chosen[(chosen >= part.start) & (chosen < part.stop)] - part.start
        for chosen, part in ((points.rows, rows), (points.columns, columns))
    )
    on_grid = labels[y][:, x]
    num_points = np.bincount(on_grid.ravel(), minlength=num_labels)
    if not num_points[1:].any():
        labels, num_points = np.minimum(labels, 1), np.array([0, 1])
    return _Components(label, (rows, columns), labels, num_points)


def _complete(regions: Regions, label_map: LabelMap) -> None:
    """Give the pixels that have no number yet that of the nearest region of their class."""
    labels, stride = regions.labels, regions.points.stride
    if cv2.countNonZero(labels) == cv2.countNonZero(label_map):
        return
    rows, columns = np.nonzero((label_map > 0) & (labels == 0))
    missing = label_map[rows, columns]
    grid = regions.points.sampled(labels)
    classes = np.array([0, *regions.classes])[grid]
    for label in np.unique(missing):
        y, x = rows[missing == label], columns[missing == label]
        nearest = _nearest(np.where(classes == label, grid, np.uint8(0)))
        labels[y, x] = nearest[y // stride, x // stride]


def _nearest(grid: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return [gh, gw]: at each point the nearest number that is not 0; some point must have one."""
    _, places = cv2.distanceTransformWithLabels(
        (grid == 0).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    numbers = np.zeros(places.max() + 1, np.uint8)
    numbers[places[grid > 0]] = grid[grid > 0]
    return numbers[places]


def divide_region(labels: LabelMap, number: int, planes: Sequence[Logits], last: int) -> None:
    """Give each pixel of a region to the largest of some maps, in place.

    What the first one has keeps its number, and the others get last + 1, last + 2, …

    Args:
        labels: [H, W] uint8.
        number: of the region.
        planes: [h, w] float32 each; they are enlarged bilinearly.
        last: highest number so far.
    """
    size_hw = labels.shape[0], labels.shape[1]
    # Enlarging is linear: whether a map lies above the first one can be asked of the difference.
    leads = [plane - planes[0] for plane in planes[1:]]
    for box in _bands(box_around(labels)):
        part = labels[box]
        inside = part == number
        if not inside.any():
            continue
        best = np.zeros(part.shape, np.float32)
        for i, lead in enumerate(leads, 1):
            ahead = enlarged(lead, size_hw, box)
            part[inside & (ahead > best)] = last + i
            best = np.maximum(best, ahead)


def _bands(box: tuple[slice, slice]) -> Iterator[tuple[slice, slice]]:
    """Cut a box into bands of rows: fresh memory for all of it costs more than the arithmetic."""
    rows, columns = box
    height = max(1, BAND_PIXELS // (columns.stop - columns.start))
    for top in range(rows.start, rows.stop, height):
        yield slice(top, min(top + height, rows.stop)), columns


def enlarged(plane: Logits, size_hw: tuple[int, int], box: tuple[slice, slice]) -> Logits:
    """Return a box of `avscli.masks.resize_plane`'s result, without computing the rest.

    Args:
        plane: [h, w] float32.
        size_hw: the size that the plane is enlarged to.
        box: rows and columns of that.
    """
    scale_y, scale_x = plane.shape[0] / size_hw[0], plane.shape[1] / size_hw[1]
    rows, columns = box
    inverse = np.array(
        [
            [scale_x, 0.0, (columns.start + 0.5) * scale_x - 0.5],
            [0.0, scale_y, (rows.start + 0.5) * scale_y - 0.5],
        ]
    )
    result = cv2.warpAffine(
        plane,
        inverse,
        (columns.stop - columns.start, rows.stop - rows.start),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(result, np.float32)

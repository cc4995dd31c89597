"""The connected regions of a frame's label map, at full size and on a coarse grid of points.

What is decided about regions (names, tracks) is decided on the grid: every `stride`-th pixel of
the frame, at most GRID_SIDE of them along a side. What is written are the full-size labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from avscli.masks import EIGHT_CONNECTED, box_around, present_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from avscli.masks import LabelMap, Logits

MOST_REGIONS = 255  # numbers of a uint8 map beside the background
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
        return labels[self.rows[:, None], self.columns]


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """The regions of a frame, numbered from 1.

    Attributes:
        labels: [H, W] uint8, 0 for background, else the region's number.
        classes: of the label map, one per region.
        points: where the grid lies.
        num_left_out: regions beyond the MOST_REGIONS largest, whose pixels are 0 in `labels`.
    """

    labels: LabelMap
    classes: tuple[int, ...]
    points: GridPoints
    num_left_out: int = 0

    @property
    def grid(self) -> NDArray[np.uint8]:
        """[gh, gw] uint8: the labels at the grid's points."""
        return self.points.sampled(self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class _Components:
    """The 8-connected components of one class, in a box: 0 for others, then 1 …"""

    label: int
    box: tuple[slice, slice]
    labels: NDArray[np.int32]
    num_points: NDArray[np.int64]  # on the grid, per component, background first


def connected_regions(label_map: LabelMap) -> Regions:
    """Find the 8-connected regions of each class.

    A region on which no point of the grid lies is narrower than a 320th of the frame, and is none.
    Where there are more than MOST_REGIONS, the largest stay.

    Args:
        label_map: [H, W] uint8, 0 for background, else a class.
    """
    points = GridPoints.of((label_map.shape[0], label_map.shape[1]))
    found = [_components(label_map, label, points) for label in present_classes(label_map)]
    areas = np.concatenate([each.num_points[1:] for each in found] or [np.zeros(0, np.int64)])
    by_area = np.argsort(-areas, kind="stable")
    kept = np.sort(by_area[: min(MOST_REGIONS, np.count_nonzero(areas))])
    numbers = np.zeros(len(areas), np.uint8)
    numbers[kept] = np.arange(1, len(kept) + 1)
    labels = np.zeros(label_map.shape, np.uint8)
    first = 0
    for each in found:
        end = first + len(each.num_points) - 1
        own = np.concatenate([np.zeros(1, np.uint8), numbers[first:end]])
        np.bitwise_or(labels[each.box], own[each.labels], out=labels[each.box])
        first = end
    of_components = [each.label for each in found for _ in each.num_points[1:]]
    classes = tuple(of_components[i] for i in kept)
    return Regions(labels, classes, points, int(np.count_nonzero(areas)) - len(kept))


def _components(label_map: LabelMap, label: int, points: GridPoints) -> _Components:
    of_class = (label_map == label).view(np.uint8)
    box = box_around(of_class)
    num_labels, labels = cv2.connectedComponents(of_class[box], connectivity=EIGHT_CONNECTED)
    rows, columns = (
        chosen[(chosen >= part.start) & (chosen < part.stop)] - part.start
        for chosen, part in zip((points.rows, points.columns), box, strict=True)
    )
    on_grid = labels[rows[:, None], columns]
    return _Components(label, box, labels, np.bincount(on_grid.ravel(), minlength=num_labels))


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

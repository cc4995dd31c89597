"""Where a region lies on the grid: what tracks remember of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from avscli.masks import box_around

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from avscli.masks import BoolMask


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    """A set of points of the grid; all lengths are in strides of the grid.

    Attributes:
        top, left: of its box.
        mask: [bh, bw] bool, inside the box.
        area: number of points.
        centre: (y, x), their mean.
    """

    top: int
    left: int
    mask: BoolMask
    area: int
    centre: tuple[float, float]

    @classmethod
    def of(cls, marked: BoolMask) -> Spot:
        """Return the spot of a [gh, gw] mask."""
        rows, columns = box_around(marked.view(np.uint8))
        mask = marked[rows, columns].copy()
        area = int(np.count_nonzero(mask))
        y = float(mask.sum(axis=1) @ np.arange(mask.shape[0])) / max(area, 1)
        x = float(mask.sum(axis=0) @ np.arange(mask.shape[1])) / max(area, 1)
        return cls(rows.start, columns.start, mask, area, (rows.start + y, columns.start + x))

    @property
    def size(self) -> float:
        """Side of the square of the same area."""
        return math.sqrt(self.area)

    @property
    def bottom(self) -> int:
        """The row below its box."""
        return self.top + int(self.mask.shape[0])

    @property
    def right(self) -> int:
        """The column right of its box."""
        return self.left + int(self.mask.shape[1])

    def common(self, other: Spot) -> int:
        """Return the number of points that both have."""
        top, bottom = max(self.top, other.top), min(self.bottom, other.bottom)
        left, right = max(self.left, other.left), min(self.right, other.right)
        if top >= bottom or left >= right:
            return 0
        both = self._part(top, bottom, left, right) & other._part(top, bottom, left, right)
        return int(np.count_nonzero(both))

    def iou(self, other: Spot) -> float:
        """Return intersection over union."""
        common = self.common(other)
        return common / max(self.area + other.area - common, 1)

    def distance(self, other: Spot) -> float:
        """Return the distance of the centres."""
        return math.dist(self.centre, other.centre)

    def gap(self, other: Spot) -> int:
        """Return the points between the boxes, along the axis where there are more; 0 if none."""
        down = max(self.top, other.top) - min(self.bottom, other.bottom)
        right = max(self.left, other.left) - min(self.right, other.right)
        return max(0, down, right)

    def on(self, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
        """Return [gh, gw] uint8, 1 where the spot is."""
        canvas = np.zeros(size_hw, np.uint8)
        canvas[self.top : self.bottom, self.left : self.right] = self.mask
        return canvas

    def _part(self, top: int, bottom: int, left: int, right: int) -> BoolMask:
        return self.mask[top - self.top : bottom - self.top, left - self.left : right - self.left]

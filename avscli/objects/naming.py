"""What the regions of a mask show: each gets a category.

A network with named sources says of every pixel which class it shows, and of the sound which
classes may make it. The *evidence* for class k at a pixel is P(pixel shows k) · P(k may sound).

1. A connected region gets the class with the largest mean evidence over its pixels, which is its
   category score. Below KNOWN_SHARE it is `unknown`, with 1 − score / KNOWN_SHARE as score.
2. A region is split where several classes *stand* in it: where a class is the one with the most
   evidence on at least PART_SHARE of the region and PART_OF_FRAME of the frame, with a mean of at
   least KNOWN_SHARE there. Each of its pixels goes to the standing class with the most evidence.
   The pieces of one class in one region stay one region.
3. Label maps that name classes themselves (semantic networks), and masks of networks that name
   nothing (one class), keep their classes. Their category score is the mean probability of the
   class where the caller has it, else 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from avscli.masks import box_around
from avscli.objects.regions import (
    MOST_REGIONS,
    Regions,
    connected_regions,
    divide_region,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from avscli.masks import BoolMask, LabelMap, Logits

KNOWN_SHARE = 0.1  # nearly all regions that sound have a name, 99 % the right one: decision 0015
PART_SHARE = 0.1
PART_OF_FRAME = 0.001  # what `postprocess` calls notable


@dataclass(frozen=True, slots=True, eq=False)
class SourceProbabilities:
    """One step of `SourceLogits` as probabilities.

    Attributes:
        picture: [K, h, w] float32, P(pixel shows class k), without "none of them".
        sound: [K] float32, P(class k may make what is heard).
    """

    picture: NDArray[np.float32]
    sound: NDArray[np.float32]

    @property
    def evidence(self) -> NDArray[np.float32]:
        """[K, h, w]: the product of the two."""
        return np.asarray(self.picture * self.sound[:, None, None], np.float32)


class Region(NamedTuple):
    """What is known of one region.

    Attributes:
        category_id: 1…K, or the one of `unknown`.
        category_score: 0…1, how clearly it is this category.
        score: 0…1, mean mask probability.
    """

    category_id: int
    category_score: float
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class NamedRegions:
    """The regions of a frame with their names.

    Attributes:
        labels: [H, W] uint8, 0 for background, n for named[n - 1].
        grid: [gh, gw] uint8, the same on the grid of `avscli.objects.regions`.
        named: one per region.
        num_left_out: regions beyond 255, whose pixels have the number of another one.
    """

    labels: LabelMap
    grid: NDArray[np.uint8]
    named: tuple[Region, ...]
    num_left_out: int


def name_regions(
    label_map: LabelMap,
    probability: Logits,
    sources: SourceProbabilities | None = None,
    *,
    unknown: int | None = None,
) -> NamedRegions:
    """Find the regions of a label map and name them.

    Args:
        label_map: [H, W] uint8, 0 for background.
        probability: [h, w] float32, that something sounds there, on any grid.
        sources: what the network says of its classes, 1…K in this order.
        unknown: category of regions that no source names; None where the label map's classes are
            the categories.
    """
    regions = connected_regions(label_map)
    grid, classes = regions.grid, list(regions.classes)
    if not classes:
        return NamedRegions(regions.labels, grid, (), 0)
    points = _MarkedPoints.of(grid, len(classes))
    if unknown is not None and sources is not None:
        evidence = sources.evidence
        num_regions = _split(regions, evidence, _standing(points, evidence, grid.size))
        if num_regions > len(classes):
            grid = regions.grid
            points = _MarkedPoints.of(grid, num_regions)
        categories, clearness = _best(points.mean_evidence(evidence), unknown)
    else:
        categories, clearness = classes, _class_means(points, sources, classes)
    named = tuple(map(Region, categories, clearness, points.means(probability)))
    return NamedRegions(regions.labels, grid, named, regions.num_left_out)


@dataclass(frozen=True, slots=True, eq=False)
class _MarkedPoints:
    """The n points of a grid that lie in regions.

    Attributes:
        numbers: [n] int64, from zero, the region of each.
        box: rows and columns around them.
        in_box: [bh, bw] bool, where they are.
        grid_hw: size of the grid.
        num_regions: the largest number plus one.
    """

    numbers: NDArray[np.int64]
    box: tuple[slice, slice]
    in_box: BoolMask
    grid_hw: tuple[int, ...]
    num_regions: int

    @classmethod
    def of(cls, grid: NDArray[np.uint8], num_regions: int) -> _MarkedPoints:
        box = box_around(grid)
        in_box = grid[box] > 0
        numbers = grid[box][in_box].astype(np.int64) - 1
        return cls(numbers, box, in_box, grid.shape, num_regions)

    def cells(self, size_hw: tuple[int, ...]) -> NDArray[np.int64]:
        """Return [n]: the number of the cell of an [h, w] map that each point lies in."""
        rows, columns = (
            (np.arange(points)[part] * 2 + 1) * cells // (2 * points)
            for part, points, cells in zip(self.box, self.grid_hw, size_hw, strict=True)
        )
        cells = rows[:, None] * size_hw[1] + columns
        return np.asarray(cells[self.in_box], np.int64)

    def weights(self, size_hw: tuple[int, ...]) -> NDArray[np.float64]:
        """Return [regions, h·w]: how many points of each region lie in each cell of a map."""
        num_cells = size_hw[0] * size_hw[1]
        index = self.numbers * num_cells + self.cells(size_hw)
        weights = np.bincount(index, minlength=self.num_regions * num_cells)
        return weights.reshape(self.num_regions, num_cells).astype(np.float64)

    def means(self, plane: Logits) -> list[float]:
        """Return the mean of an [h, w] map over each region."""
        values = plane.ravel()[self.cells(plane.shape)]
        sums = np.bincount(self.numbers, values, self.num_regions)
        counts = np.bincount(self.numbers, minlength=self.num_regions)
        means: list[float] = (sums / np.maximum(counts, 1)).tolist()
        return means

    def mean_evidence(self, evidence: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return [regions, K]."""
        weights = self.weights(evidence.shape[1:])
        sums = weights @ evidence.reshape(len(evidence), -1).T
        return np.asarray(sums / np.maximum(weights.sum(axis=1, keepdims=True), 1))


def _best(means: NDArray[np.float64], unknown: int) -> tuple[list[int], list[float]]:
    best = means.argmax(axis=1)
    largest = means.max(axis=1)
    known = largest >= KNOWN_SHARE
    categories = np.where(known, best + 1, unknown)
    clearness = np.where(known, np.minimum(largest, 1.0), 1.0 - largest / KNOWN_SHARE)
    return categories.tolist(), clearness.tolist()


def _class_means(
    points: _MarkedPoints, sources: SourceProbabilities | None, classes: list[int]
) -> list[float]:
    if sources is None:
        return [1.0] * len(classes)
    means = points.mean_evidence(sources.evidence)
    return [float(row[label - 1]) for row, label in zip(means, classes, strict=True)]


def _standing(
    points: _MarkedPoints, evidence: NDArray[np.float32], grid_size: int
) -> list[list[int]]:
    """Return for each region the classes, zero-based, that are large and clear enough in it."""
    num_classes = len(evidence)
    weights = points.weights(evidence.shape[1:])
    winners = evidence.argmax(axis=0).ravel()
    largest = evidence.max(axis=0).ravel()
    won = np.stack([np.bincount(winners, row, num_classes) for row in weights])
    sums = np.stack([np.bincount(winners, row * largest, num_classes) for row in weights])
    least = np.maximum(PART_SHARE * won.sum(axis=1, keepdims=True), PART_OF_FRAME * grid_size)
    stands = (won >= least) & (sums >= KNOWN_SHARE * won)
    return [np.flatnonzero(row).tolist() for row in stands]


def _split(regions: Regions, evidence: NDArray[np.float32], standing: list[list[int]]) -> int:
    """Number the parts of regions with several standing classes, in place, while there is room.

    Returns:
        how many regions there are then; the last one's number.
    """
    last = len(standing)
    for number, classes in enumerate(standing, 1):
        if len(classes) >= 2 and last + len(classes) - 1 <= MOST_REGIONS:
            divide_region(regions.labels, number, [evidence[k] for k in classes], last)
            last += len(classes) - 1
    return last

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
from avscli.objects.regions import MOST_REGIONS, Regions, connected_regions, enlarged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from avscli.masks import LabelMap, Logits

KNOWN_SHARE = 0.25
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
    if unknown is not None and sources is not None:
        evidence = sources.evidence
        num_regions = _split(regions, evidence, _standing(grid, evidence, len(classes)))
        if num_regions > len(classes):
            grid = regions.grid
        categories, clearness = _best(_mean_evidence(grid, evidence, num_regions), unknown)
    else:
        num_regions = len(classes)
        categories, clearness = classes, _class_means(grid, sources, classes)
    scores = _means(grid, probability, num_regions)
    named = tuple(map(Region, categories, clearness, scores))
    return NamedRegions(regions.labels, grid, named, regions.num_left_out)


def _cells(grid: NDArray[np.uint8], size_hw: tuple[int, ...]) -> NDArray[np.int64]:
    """Return [gh, gw]: the number of the cell of an [h, w] map that each point lies in."""
    rows, columns = (
        (np.arange(points) * 2 + 1) * cells // (2 * points)
        for points, cells in zip(grid.shape, size_hw, strict=True)
    )
    return np.asarray(rows[:, None] * size_hw[1] + columns, np.int64)


def _means(grid: NDArray[np.uint8], plane: Logits, num_regions: int) -> list[float]:
    """Return the mean of an [h, w] map over each region."""
    marked = grid > 0
    values = plane.ravel()[_cells(grid, plane.shape)[marked]]
    sums = np.bincount(grid[marked], values, num_regions + 1)[1:]
    counts = np.bincount(grid[marked], minlength=num_regions + 1)[1:]
    means: list[float] = (sums / np.maximum(counts, 1)).tolist()
    return means


def _weights(
    grid: NDArray[np.uint8], size_hw: tuple[int, ...], num_regions: int
) -> NDArray[np.float64]:
    """Return [regions, h·w]: how many points of each region lie in each cell of an [h, w] map."""
    marked = grid > 0
    num_cells = size_hw[0] * size_hw[1]
    index = (grid[marked].astype(np.int64) - 1) * num_cells + _cells(grid, size_hw)[marked]
    weights = np.bincount(index, minlength=num_regions * num_cells).reshape(num_regions, -1)
    return weights.astype(np.float64)


def _mean_evidence(
    grid: NDArray[np.uint8], evidence: NDArray[np.float32], num_regions: int
) -> NDArray[np.float64]:
    """Return [regions, K]."""
    weights = _weights(grid, evidence.shape[1:], num_regions)
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
    grid: NDArray[np.uint8], sources: SourceProbabilities | None, classes: list[int]
) -> list[float]:
    if sources is None:
        return [1.0] * len(classes)
    means = _mean_evidence(grid, sources.evidence, len(classes))
    return [float(row[label - 1]) for row, label in zip(means, classes, strict=True)]


def _standing(
    grid: NDArray[np.uint8], evidence: NDArray[np.float32], num_regions: int
) -> list[list[int]]:
    """Return for each region the classes, zero-based, that are large and clear enough in it."""
    num_classes = len(evidence)
    weights = _weights(grid, evidence.shape[1:], num_regions)
    winners = evidence.argmax(axis=0).ravel()
    largest = evidence.max(axis=0).ravel()
    won = np.stack([np.bincount(winners, row, num_classes) for row in weights])
    sums = np.stack([np.bincount(winners, row * largest, num_classes) for row in weights])
    least = np.maximum(PART_SHARE * won.sum(axis=1, keepdims=True), PART_OF_FRAME * grid.size)
    stands = (won >= least) & (sums >= KNOWN_SHARE * won)
    return [np.flatnonzero(row).tolist() for row in stands]


def _split(regions: Regions, evidence: NDArray[np.float32], standing: list[list[int]]) -> int:
    """Number the parts of regions with several standing classes, in place, while there is room.

    Returns:
        how many regions there are then; the last one's number.
    """
    last = len(standing)
    for number, classes in enumerate(standing, 1):
        if len(classes) < 2 or last + len(classes) - 1 > MOST_REGIONS:
            continue
        inside = regions.labels == number
        box = box_around(inside.view(np.uint8))
        planes = [enlarged(evidence[k], regions.labels.shape, box) for k in classes]
        best = np.argmax(planes, axis=0)
        for part in range(1, len(classes)):
            last += 1
            regions.labels[box][inside[box] & (best == part)] = last
    return last

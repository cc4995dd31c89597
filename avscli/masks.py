"""From logits to masks and from masks to run lengths: pure functions on arrays.

logits [C, h, w] ──▶ upsample to [C, H, W] ──▶ threshold or argmax ──▶ label map [H, W]
                                                                           │
EncodedMask (COCO run lengths, area, box) ◀── one per class ◀──────────────┘
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from avscli.config import Preference
    from avscli.datatypes import NetworkSpec

SizeHW = tuple[int, int]
BoolMask = NDArray[np.bool_]
LabelMap = NDArray[np.uint8]
Logits = NDArray[np.float32]

EIGHT_CONNECTED = 8
GOLDEN_ANGLE_TURNS = 0.381966  # hues this far apart stay distinct for any number of classes
NUM_COLOURS = 256  # of tracks, with that of nothing; tracks beyond use them again
FIRST_HUE_TURNS = 0.93  # class 1 is a magenta red: rare in footage, so it stands out


@dataclass(frozen=True, slots=True)
class EncodedMask:
    """A binary mask as COCO compressed run lengths, with what COCO derives from them.

    Attributes:
        size_hw: size of the decoded mask.
        counts: column-major run lengths in COCO's compressed ASCII form.
        area: marked pixels.
        bbox: tightest box as (x, y, width, height) in whole pixels; zeros when empty.
    """

    size_hw: SizeHW
    counts: str
    area: int
    bbox: tuple[int, int, int, int]

    @property
    def pixels(self) -> BoolMask:
        """[H, W] bool: the mask itself.

        Raises:
            ValueError: the run lengths are malformed or do not add up to H·W.
        """
        return decode_mask(self.size_hw, self.counts)


@dataclass(frozen=True, slots=True)
class MaskRule:
    """How logits become label maps: the only place where that is decided.

    Attributes:
        cutoff: logit at or above which a pixel of a binary mask is marked; semantic networks
            take the largest class instead.
        region_cutoff: logit that some pixel of each region of a binary mask must reach.
        temperature: divides the logits before they become probabilities.
        min_area: smallest share of the frame that a region must cover, 0 … 1.
    """

    cutoff: float
    region_cutoff: float = -math.inf
    temperature: float = 1.0
    min_area: float = 0.0

    @classmethod
    def of(
        cls,
        spec: NetworkSpec,
        *,
        prefer: Preference = "balanced",
        threshold: float | None = None,
        region_threshold: float | None = None,
        min_area: float = 0.0,
    ) -> MaskRule:
        """Return a checkpoint's rule, with the thresholds (probabilities) that are given instead.

        A cutoff is computed once, so that logits are compared without an exponential per pixel.

        Raises:
            UsageError: the checkpoint has no operating point for what is preferred.
        """
        point = spec.operating_point(prefer)
        pixel = point.threshold if threshold is None else threshold
        region = point.region_threshold if region_threshold is None else region_threshold
        return cls(
            logit_cutoff(pixel, spec.temperature),
            logit_cutoff(region, spec.temperature),
            spec.temperature,
            min_area,
        )

    @property
    def of_pixels(self) -> MaskRule:
        """The same cut, whatever the regions it leaves."""
        return replace(self, region_cutoff=-math.inf, min_area=0.0)

    def label_map(self, logits: Logits, size_hw: SizeHW) -> LabelMap:
        """Return the [H, W] uint8 label map of [C, h, w] float32 logits."""
        labels = label_map_from_logits(
            logits, size_hw, cutoff=self.cutoff, region_cutoff=self.region_cutoff
        )
        return drop_small_regions(labels, self.min_area)


def logit_cutoff(threshold: float, temperature: float) -> float:
    """Return the logit at which sigmoid(logit / temperature) reaches `threshold`.

    Comparing logits with it marks the same pixels as comparing probabilities, without an
    exponential per pixel. Every logit reaches a threshold of 0.

    >>> logit_cutoff(0.5, 2.0)
    0.0
    """
    if threshold <= 0.0:
        return -math.inf
    return temperature * math.log(threshold / (1.0 - threshold))


def resize_plane(plane: Logits, size_hw: SizeHW) -> Logits:
    """Resize bilinearly with half-pixel centres and no antialiasing.

    This is torch's ``interpolate(mode="bilinear", align_corners=False)``.

    Args:
        plane: [h, w] float32.
        size_hw: wanted (H, W).

    Returns:
        [H, W] float32.
    """
    height, width = size_hw
    resized = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.float32)


def label_map_from_logits(
    logits: Logits, size_hw: SizeHW, *, cutoff: float, region_cutoff: float = -math.inf
) -> LabelMap:
    """Upsample logits first, then decide each pixel of the larger grid.

    Deciding on the small grid and enlarging the mask would give staircase edges; the order is
    pinned by ``test_masks_are_decided_after_upsampling``.

    Args:
        logits: [C, h, w] float32; C = 1 is binary, otherwise channel 0 is the background.
        size_hw: size of the label map.
        cutoff: logit at or above which a pixel of a binary map is marked; argmax needs none.
        region_cutoff: logit that some pixel of a binary map's region must reach as well.

    Returns:
        [H, W] uint8: 0 for background, else the class (1 for binary).
    """
    first = resize_plane(logits[0], size_hw)
    if len(logits) == 1:
        return keep_sure_regions(first, cutoff, region_cutoff)
    labels = np.zeros(size_hw, np.uint8)
    best = first
    for label in range(1, len(logits)):
        # Interpolation keeps order: below the background in every cell is below it everywhere.
        if (logits[label] <= logits[0]).all():
            continue
        plane = resize_plane(logits[label], size_hw)
        np.copyto(labels, np.uint8(label), where=plane > best)
        np.maximum(best, plane, out=best)
    return labels


def foreground_probability(logits: Logits, temperature: float) -> NDArray[np.float32]:
    """Return [h, w] float32: how probable it is that something sounds at each cell.

    Args:
        logits: [C, h, w]; C = 1 gives the sigmoid, otherwise one minus the softmax of channel 0.
        temperature: divides the logits first.
    """
    # sigmoid(x) = (1 + tanh(x / 2)) / 2 cannot overflow
    odds = foreground_log_odds(logits, temperature)
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * odds), np.float32)


def foreground_log_odds(logits: Logits, temperature: float = 1.0) -> NDArray[np.float32]:
    """Return [h, w] float32: the log-odds that something sounds at each cell.

    Args:
        logits: [C, h, w]; C = 1 is taken as it is, otherwise all channels against channel 0.
        temperature: divides the logits first.
    """
    scaled = logits / np.float32(temperature)
    if len(scaled) == 1:
        return np.asarray(scaled[0], np.float32)
    others = scaled[1:]
    peak = others.max(axis=0)
    odds = peak + np.log(np.exp(others - peak).sum(axis=0)) - scaled[0]
    return np.asarray(odds, np.float32)


def present_classes(label_map: LabelMap) -> list[int]:
    """Return the classes of a [H, W] label map in rising order, background left out."""
    highest = int(label_map.max(initial=0))
    if highest <= 1:
        return [highest] * highest
    counts = cv2.calcHist([label_map], [0], None, [256], [0, 256])
    return [int(label) for label in np.flatnonzero(counts) if label > 0]


def keep_sure_regions(plane: Logits, cutoff: float, region_cutoff: float) -> LabelMap:
    """Mark the 8-connected regions at or above a cutoff that reach a higher one somewhere.

    Args:
        plane: [H, W] float32 logits.
        cutoff: at or above which a pixel can be marked.
        region_cutoff: at or above which at least one pixel of its region must be.

    Returns:
        [H, W] uint8, 1 where marked.

    Source: hysteresis, as Canny thresholds edges: "A Computational Approach to Edge Detection",
    IEEE PAMI 8(6), 1986, section VIII.
    """
    marked = (plane >= np.float32(cutoff)).view(np.uint8)
    if region_cutoff <= cutoff:
        return marked
    sure = plane >= np.float32(region_cutoff)
    if not sure.any():
        return np.zeros_like(marked)
    box = box_around(marked)
    regions, num_regions = _regions(marked[box])
    kept = _numbers_within(sure[box], regions, num_regions)
    if not kept[1:].all():
        marked[box] &= renumbered(regions, kept.view(np.uint8))
    return marked


def box_around(marked: LabelMap) -> tuple[slice, slice]:
    """Return the rows and columns of the tightest box around what a [H, W] map marks."""
    x, y, width, height = cv2.boundingRect(marked)
    return slice(y, y + height), slice(x, x + width)


def drop_small_regions(label_map: LabelMap, min_share: float) -> LabelMap:
    """Clear 8-connected regions of one class that cover less than a share of the map.

    Args:
        label_map: [H, W] uint8.
        min_share: of the map's area, 0 … 1; 0 keeps everything.

    Returns:
        [H, W] uint8; the input itself when nothing can be dropped.
    """
    if min_share <= 0.0:
        return label_map
    cleaned = label_map.copy()
    for label in present_classes(label_map):
        of_class = (label_map == label).view(np.uint8)
        box = box_around(of_class)
        _, regions, stats, _ = cv2.connectedComponentsWithStats(
            of_class[box], connectivity=EIGHT_CONNECTED
        )
        too_small = stats[:, cv2.CC_STAT_AREA] < min_share * label_map.size
        too_small[0] = False
        if too_small.any():
            cleaned[box][too_small[regions]] = 0
    return cleaned


def keep_touched_regions(label_map: LabelMap, other: BoolMask) -> LabelMap:
    """Clear the 8-connected regions, whatever their classes, that another mask touches nowhere.

    Args:
        label_map: [H, W] uint8.
        other: [h, w] bool of the same view on any grid; enlarged without interpolation.

    Returns:
        [H, W] uint8; the input itself when nothing is cleared.
    """
    marked = (label_map > 0).view(np.uint8)
    if not marked.any():
        return label_map
    height, width = label_map.shape
    touching = cv2.resize(other.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    box = box_around(marked)
    regions, num_regions = _regions(marked[box])
    kept = _numbers_within(touching[box].view(np.bool_), regions, num_regions)
    if kept[1:].all():
        return label_map
    cleaned = label_map.copy()
    cleaned[box] *= renumbered(regions, kept.view(np.uint8))
    return cleaned


def _regions(marked: LabelMap) -> tuple[NDArray[np.int32], int]:
    """Return [H, W] the numbers of 8-connected regions from 1, and how many with the background."""
    num_regions, regions = cv2.connectedComponents(marked, connectivity=EIGHT_CONNECTED)
    return np.asarray(regions, np.int32), num_regions


def _numbers_within(mask: BoolMask, regions: NDArray[np.int32], num_regions: int) -> BoolMask:
    """Return [num_regions] bool: which of the regions' numbers, background first, a mask meets."""
    if num_regions == 2:  # one region, in most frames: without picking its pixels
        return np.array([True, bool((mask & (regions > 0)).any())])
    return np.bincount(regions[mask], minlength=num_regions) > 0


def renumbered(regions: NDArray[np.int32], numbers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return ``numbers[regions]``; OpenCV looks up bytes four times faster than numpy integers."""
    if len(numbers) > 256:
        return numbers[regions]
    table = np.zeros(256, np.uint8)
    table[: len(numbers)] = numbers
    return np.asarray(cv2.LUT(regions.astype(np.uint8), table), np.uint8)


def num_components(mask: BoolMask) -> int:
    """Count the 8-connected regions of a [H, W] mask."""
    return _regions(np.ascontiguousarray(mask).view(np.uint8))[1] - 1


def marked_share(label_map: LabelMap) -> float:
    """Return the share of a [H, W] label map that is not background, 0 … 1."""
    return cv2.countNonZero(label_map) / label_map.size


def mask_iou(first: BoolMask, second: BoolMask) -> float:
    """Return intersection over union of two masks, 1 when both are empty.

    Raises:
        ValueError: the masks differ in size.
    """
    if first.shape != second.shape:
        raise ValueError(f"masks must be of one size, got {first.shape} and {second.shape}")
    union = np.count_nonzero(first | second)
    return float(np.count_nonzero(first & second) / union) if union else 1.0


def encode_mask(mask: BoolMask) -> EncodedMask:
    """Encode a [H, W] bool mask as COCO compressed run lengths."""
    # The encoder wants column-major order; OpenCV's transpose gets there 2.5 times faster
    # than numpy.asfortranarray (1.2 against 2.9 ms at 1280×720).
    columns = cv2.transpose(np.ascontiguousarray(mask).view(np.uint8)).T
    encoded = coco_mask.encode(columns)
    x, y, width, height = (int(v) for v in coco_mask.toBbox(encoded))
    return EncodedMask(
        size_hw=(mask.shape[0], mask.shape[1]),
        counts=encoded["counts"].decode("ascii"),
        area=int(coco_mask.area(encoded)),
        bbox=(x, y, width, height),
    )


def encode_classes(label_map: LabelMap) -> dict[int, EncodedMask]:
    """Encode every class present in a [H, W] label map, keyed by class, background left out."""
    return {label: encode_mask(label_map == label) for label in present_classes(label_map)}


def decode_mask(size_hw: SizeHW, counts: str) -> BoolMask:
    """Decode COCO compressed run lengths.

    Args:
        size_hw: size of the mask.
        counts: compressed ASCII run lengths.

    Returns:
        [H, W] bool.

    Raises:
        ValueError: the run lengths are malformed or do not add up to H·W. (pycocotools lets
            those that are too short pass, and warns on numpy 2.)
    """
    return decode_runs(size_hw, run_lengths(counts))


def decode_runs(size_hw: SizeHW, runs: NDArray[np.int64]) -> BoolMask:
    """Decode plain run lengths, as some programs write COCO masks.

    Args:
        size_hw: size of the mask.
        runs: [n] int64, column by column, unmarked first, alternating.

    Returns:
        [H, W] bool.

    Raises:
        ValueError: a run is negative, or they do not add up to H·W.
    """
    require_runs(size_hw, runs)
    height, width = size_hw
    marked = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(marked, runs).reshape(width, height).T)


def require_runs(size_hw: SizeHW, runs: NDArray[np.int64]) -> None:
    """Check that plain run lengths are those of a mask of a size.

    Raises:
        ValueError: a run is negative, or they do not add up to H·W.
    """
    height, width = size_hw
    if runs.min(initial=0) < 0 or runs.sum() != height * width:
        raise ValueError(
            f"run lengths cover {runs.sum()} pixels, a {height}×{width} mask has {height * width}"
        )


def draw_polygons(size_hw: SizeHW, polygons: Sequence[Sequence[float]]) -> BoolMask:
    """Fill polygons as COCO does; overlaps are marked once.

    Args:
        size_hw: size of the mask.
        polygons: one or more lists x1, y1, x2, y2 … of at least three points, in pixels from the
            frame's upper left corner. What lies outside is cut off.

    Returns:
        [H, W] bool.
    """
    height, width = size_hw
    outlines = coco_mask.frPyObjects([list(outline) for outline in polygons], height, width)
    return decode_mask(size_hw, coco_mask.merge(outlines)["counts"].decode("ascii"))


def run_lengths(counts: str) -> NDArray[np.int64]:
    """Expand COCO's compressed counts to the plain list of run lengths.

    Each character carries five bits of a little-endian two's complement number and, as sixth
    bit, whether the number goes on; from the fourth number on, numbers are differences to the
    one two places before.

    Args:
        counts: compressed ASCII run lengths.

    Returns:
        [n] int64 run lengths, unmarked first, alternating.

    Raises:
        ValueError: the text is not of this form.

    Source: the COCO API's run-length format (``rleToString``).

    >>> run_lengths(encode_mask(np.eye(3, dtype=bool)).counts).tolist()
    [0, 1, 3, 1, 3, 1]
    """
    chunks = np.frombuffer(counts.encode(), np.uint8).astype(np.int64) - 48
    goes_on = (chunks & 0x20) != 0
    if len(chunks) == 0 or goes_on[-1] or chunks.min() < 0 or chunks.max() > 0x3F:
        raise ValueError("not COCO compressed run lengths")
    ends = np.flatnonzero(~goes_on)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > 12:
        raise ValueError("not COCO compressed run lengths: a number exceeds 60 bits")
    places = np.arange(len(chunks)) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((chunks & 0x1F) << (5 * places), starts)
    numbers -= np.where(chunks[ends] & 0x10, np.int64(1) << (5 * lengths), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def palette(num_classes: int) -> NDArray[np.uint8]:
    """Return one RGB colour per class, black for class 0.

    Args:
        num_classes: classes including the background.

    Returns:
        [num_classes, 3] uint8; a class keeps its colour whatever the number of classes.
    """
    colours = np.zeros((num_classes, 3), np.uint8)
    for label in range(1, num_classes):
        hue = (FIRST_HUE_TURNS + (label - 1) * GOLDEN_ANGLE_TURNS) % 1.0
        value = 1.0 if label % 2 else 0.8
        colours[label] = [round(255 * c) for c in colorsys.hsv_to_rgb(hue, 0.85, value)]
    return colours


def colour_number(track_id: int) -> int:
    """Return which colour of `palette(NUM_COLOURS)` a track has wherever it is drawn.

    >>> colour_number(1), colour_number(255), colour_number(256)
    (1, 255, 1)
    """
    return 1 + (track_id - 1) % (NUM_COLOURS - 1)

"""Regions become objects that keep their number through a run.

    tracker = ObjectTracker(unknown=30, on_warning=warn)  # unknown: None where nothing is named
    for each analysed frame, in time order, silent ones too (their label map is empty):
        object_map, objects = tracker.step(seconds, label_map, probability, sources)

`seconds` are of presentation, `label_map` [H, W] uint8 is the frame's mask (binary) or classes
(semantic), `probability` [h, w] float32 that something sounds there, `sources` a
`SourceProbabilities` or None. Frames that hold an analysed one's mask repeat its objects.

The rules; regions have their names from `avscli.objects.naming`:

1. **Linked.** Tracks and regions are assigned one to one so that the sum of `Track.fit` is largest
   (`scipy.optimize.linear_sum_assignment`). A track that was there one step ago goes on in a region
   of its class, or of none, that overlaps it by an IoU of 0.1, or of another class from 0.5 on.
2. **Found again.** Up to MEMORY_SECONDS after it was last seen, a track goes on in a region of its
   class, at most three times larger or smaller, whose centre is within reach: 0.75 sizes (roots of
   its area) plus the way it makes in that time at its mean speed, at most three sizes.
3. **In pieces.** A region that is left over belongs to an object of this frame with the same class
   when at least half of it lies where that object was a step ago, or when it is a crumb, smaller
   than a tenth of it; and the gap between the two is at most half the size of the smaller. Wider
   gaps split the object: the piece that fits better keeps the track.
4. **New.** What is left over then is a new track, the largest first.
5. **Joined.** A track that finds no region, but was a step ago where at least half of it now lies
   in the region of another track with the same class, has joined it. For JOINED_SECONDS the region
   is divided: each pixel goes to the track that was nearer. Later the other track has it all.
6. A track's class is the one with the largest sum of category scores in its frames so far. An
   object has both: the category that is said of the frame, and that of its track.

One pass, no chance: the same input gives the same numbers. At most MOST_TRACKS are remembered,
those seen last. Frames show at most 255 objects, and every pixel of the label map belongs to one;
where there are more regions, the smallest belong to others, and a warning says so once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from avscli.objects.naming import NamedRegions, Region, SourceProbabilities, name_regions
from avscli.objects.regions import MOST_REGIONS, divide_region
from avscli.objects.spots import Spot
from avscli.objects.tracks import Track
from avscli.results import SoundingObject

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from avscli.masks import LabelMap, Logits

MEMORY_SECONDS = 10.0
JOINED_SECONDS = 2.0
PIECE_SHARE = 0.5
CRUMB_SHARE = 0.1
GAP_IN_SIZES = 0.5
LEAST_PART = 0.1  # of a joined region, for each track's part
MOST_TRACKS = 512


class FrameObjects(NamedTuple):
    """The objects of one frame.

    Attributes:
        object_map: [H, W] uint8, 0 where none is, n for objects[n - 1].
        objects: by rising track id.
    """

    object_map: LabelMap
    objects: tuple[SoundingObject, ...]


class _Seen(NamedTuple):
    """One region of the frame at hand."""

    number: int
    region: Region
    spot: Spot


class ObjectTracker:
    """Follows the objects of one run.

    Args:
        unknown: category of regions that no source names; None where the label map's classes are
            the categories.
        on_warning: told once when a frame has more objects than a map can number.
    """

    def __init__(
        self, *, unknown: int | None = None, on_warning: Callable[[str], None] | None = None
    ) -> None:
        self._unknown = unknown
        self._warn = on_warning
        self._tracks: list[Track] = []
        self._num_tracks = 0
        self._step = 0

    def step(
        self,
        seconds: float,
        label_map: LabelMap,
        probability: Logits,
        sources: SourceProbabilities | None = None,
    ) -> FrameObjects:
        """Name and number the objects of the next analysed frame.

        Args:
            seconds: its time, not before the last one's.
            label_map: [H, W] uint8, 0 where nothing sounds, else the class (1 for binary).
            probability: [h, w] float32 that something sounds there, on any grid.
            sources: what the network says of its classes.
        """
        self._step += 1
        self._forget(seconds)
        named = name_regions(label_map, probability, sources, unknown=self._unknown)
        if named.num_left_out and self._warn:
            self._warn(
                f"a frame has more than {MOST_REGIONS} objects; the smallest are joined to others"
            )
            self._warn = None
        frame = _Frame(named)
        self._link(frame, seconds)
        self._begin(frame, seconds)
        self._divide(frame, seconds)
        return frame.finish(seconds, self._step)

    def _forget(self, seconds: float) -> None:
        remembered = [t for t in self._tracks if seconds - t.seen_seconds <= MEMORY_SECONDS]
        newest = sorted(remembered, key=lambda t: (-t.seen_step, t.track_id))[:MOST_TRACKS]
        self._tracks = sorted(newest, key=lambda t: t.track_id)

    def _was_here(self, track: Track) -> bool:
        return track.seen_step == self._step - 1

    def _link(self, frame: _Frame, seconds: float) -> None:
        fits = np.array(
            [
                [t.fit(s.region, s.spot, seconds, self._step, self._unknown) for s in frame.free]
                for t in self._tracks
            ]
        ).reshape(len(self._tracks), len(frame.free))
        regions = list(frame.free)
        going_on, continuing = (np.flatnonzero(fits.any(axis=axis)) for axis in (1, 0))
        for i, j in best_assignment(fits[np.ix_(going_on, continuing)]):
            track, seen = going_on[i], continuing[j]
            if fits[track, seen] > 0:
                self._tracks[track].joined_since = None
                frame.give(regions[seen], self._tracks[track])

    def _begin(self, frame: _Frame, seconds: float) -> None:
        """Give what is left over to the object it is a piece of, or to a new track."""
        for seen in sorted(frame.free, key=lambda s: (-s.spot.area, s.number)):
            owner = next((t for t in frame.parts if self._is_piece(seen, t, frame)), None)
            if owner is None:
                self._num_tracks += 1
                owner = Track(self._num_tracks, seen.spot, seconds, self._step)
                self._tracks.append(owner)
            frame.give(seen, owner)

    def _is_piece(self, seen: _Seen, track: Track, frame: _Frame) -> bool:
        main, here = frame.parts[track][0], seen.spot
        if seen.region.category_id != main.region.category_id:
            return False
        if here.gap(main.spot) > GAP_IN_SIZES * min(here.size, main.spot.size):
            return False
        lay_there = self._was_here(track) and track.spot.common(here) >= PIECE_SHARE * here.area
        return lay_there or here.area < CRUMB_SHARE * main.spot.area

    def _divide(self, frame: _Frame, seconds: float) -> None:
        """Share regions among the tracks that have joined in them (rule 5)."""
        joined: dict[Track, list[Track]] = {}
        for track in self._tracks:
            if track in frame.parts or not self._was_here(track):
                continue
            owner = next((t for t in frame.parts if self._has_taken(t, track, frame)), None)
            if owner is None:
                continue
            track.joined_since = seconds if track.joined_since is None else track.joined_since
            if seconds - track.joined_since <= JOINED_SECONDS:
                joined.setdefault(owner, []).append(track)
        for owner, others in joined.items():
            frame.divide(owner, others)

    def _has_taken(self, owner: Track, track: Track, frame: _Frame) -> bool:
        main = frame.parts[owner][0]
        return (
            self._was_here(owner)
            and main.region.category_id == track.vote.winner
            and main.spot.common(track.spot) >= PIECE_SHARE * track.spot.area
        )


class _Frame:
    """The regions of one frame while they are given to tracks.

    Attributes:
        free: regions that belong to nobody yet.
        parts: the regions of each track, the main one first.
    """

    def __init__(self, named: NamedRegions) -> None:
        self._labels, self._grid = named.labels, named.grid
        self._last = len(named.named)
        self.free = [
            _Seen(number, region, Spot.of(named.grid == number))
            for number, region in enumerate(named.named, 1)
        ]
        self.parts: dict[Track, list[_Seen]] = {}

    def give(self, seen: _Seen, track: Track) -> None:
        self.free.remove(seen)
        self.parts.setdefault(track, []).append(seen)

    def divide(self, owner: Track, others: list[Track]) -> None:
        """Give each pixel of the owner's main region to the track that was nearest."""
        main, *more = self.parts[owner]
        tracks = [owner, *others][: 1 + MOST_REGIONS - self._last]
        away = [_distances(track.spot, self._grid.shape) for track in tracks]
        on_grid = np.where(self._grid == main.number, np.argmin(away, axis=0), -1)
        shares = np.bincount(on_grid[on_grid >= 0], minlength=len(tracks)) / main.spot.area
        if shares.min() < LEAST_PART:
            return
        divide_region(self._labels, main.number, [-plane for plane in away], self._last)
        for i, track in enumerate(tracks[1:], 1):
            self._last += 1
            self._grid[on_grid == i] = self._last
            self.parts[track] = [main._replace(number=self._last, spot=Spot.of(on_grid == i))]
        self.parts[owner] = [main._replace(spot=Spot.of(on_grid == 0)), *more]

    def finish(self, seconds: float, step: int) -> FrameObjects:
        """Let the tracks see their regions, and tell what the frame shows."""
        numbers = np.zeros(256, np.uint8)
        objects: list[SoundingObject] = []
        for track in sorted(self.parts, key=lambda t: t.track_id):
            parts = self.parts[track]
            region, spot = _together(parts, self._grid)
            track.see(region, spot, seconds, step)
            objects.append(SoundingObject(track.track_id, *region, track.vote.winner))
            numbers[[part.number for part in parts]] = len(objects)
        object_map = np.asarray(cv2.LUT(self._labels, numbers, dst=self._labels), np.uint8)
        return FrameObjects(object_map, tuple(objects))


def _together(parts: list[_Seen], grid: NDArray[np.uint8]) -> tuple[Region, Spot]:
    """Return an object's pieces as one; the main one names it."""
    main = parts[0]
    if len(parts) == 1:
        return main.region, main.spot
    areas = [part.spot.area for part in parts]
    clearness = np.average([part.region.category_score for part in parts], weights=areas)
    score = np.average([part.region.score for part in parts], weights=areas)
    spot = Spot.of(np.isin(grid, [part.number for part in parts]))
    return Region(main.region.category_id, float(clearness), float(score)), spot


def _distances(spot: Spot, size_hw: tuple[int, ...]) -> Logits:
    """Return [gh, gw] float32: how far each point is from a spot."""
    outside = 1 - spot.on((size_hw[0], size_hw[1]))
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, 5), np.float32)


def best_assignment(fits: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the pairs (row, column), as many as the shorter side has, of the largest sum.

    Where each of the shorter side finds its best in another place, these are the pairs; of equal
    values the first is taken.
    """
    if 0 in fits.shape:
        return []
    is_wide = fits.shape[0] <= fits.shape[1]
    best = fits.argmax(axis=1 if is_wide else 0).tolist()
    if len(set(best)) == len(best):
        pairs = enumerate(best)
        return list(pairs) if is_wide else sorted((row, column) for column, row in pairs)
    # Importing it takes half a second of CPU time, and few clips have objects that vie for a track.
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(fits, maximize=True)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))

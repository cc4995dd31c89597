"""What a run found, object by object: summed up from its journal in one pass.

Memory grows with the number of objects and of their intervals, not with that of frames.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from avscli.results import CARRIED, ObjectSummary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from avscli.outputs.journal import JournalEntry, JournalObject


@dataclass(slots=True)
class _Sums:
    """Of one track."""

    num_frames: int = 0
    area: int = 0
    score: float = 0.0
    clearness: Counter[int] = field(default_factory=Counter)
    frames_of: Counter[int] = field(default_factory=Counter)
    heard: Counter[str] = field(default_factory=Counter)
    flags: set[str] = field(default_factory=set)
    intervals: list[tuple[float, float]] = field(default_factory=list)
    since: float | None = None

    def add(self, each: JournalObject, entry: JournalEntry) -> None:
        self.num_frames += 1
        self.area += each.mask.area
        self.score += each.score
        clearness = 0.0 if each.category_score is None else each.category_score
        self.clearness[each.category_id] += clearness  # type: ignore[assignment]
        self.frames_of[each.category_id] += 1
        for sound in entry.heard:
            self.heard[sound.name] += sound.probability  # type: ignore[assignment]
        self.flags.update(flag for flag in entry.flags if flag != CARRIED)
        self.since = entry.time_seconds if self.since is None else self.since

    def end(self, seconds: float) -> None:
        if self.since is not None:
            self.intervals.append((self.since, seconds))
        self.since = None

    def summary(
        self, track_id: int, categories: Mapping[int, str], decided: int | None
    ) -> ObjectSummary:
        clearest = max(self.frames_of, key=lambda c: (self.clearness[c], self.frames_of[c], -c))
        category_id = clearest if decided is None else decided
        num_frames = max(1, self.frames_of[category_id])
        heard = max(self.heard, key=lambda name: self.heard[name], default="")
        return ObjectSummary(
            track_id=track_id,
            category_id=category_id,
            category=categories.get(category_id, str(category_id)),
            category_score=round(self.clearness[category_id] / num_frames, 6),
            heard=heard,
            first_seconds=self.intervals[0][0],
            last_seconds=self.intervals[-1][1],
            sounding_seconds=round(sum(end - start for start, end in self.intervals), 6),
            intervals=tuple(self.intervals),
            mean_score=round(self.score / self.num_frames, 6),
            mean_area=round(self.area / self.num_frames, 1),
            flags=tuple(sorted(self.flags)),
        )


def summed_objects(
    frames: Iterable[JournalEntry],
    categories: Mapping[int, str],
    decided: Mapping[int, int] | None = None,
) -> tuple[ObjectSummary, ...]:
    """Return the objects of a run, in order of their tracks.

    An interval ends with the first frame that does not show the object; after the last frame of
    the source, as much later as that came after the one before.

    Args:
        frames: of the run, in time order.
        categories: names by id.
        decided: category of tracks by their number, where it is not for the frames to say.
    """
    decided = decided or {}
    tracks: dict[int, _Sums] = defaultdict(_Sums)
    sounding: set[int] = set()
    now, pace = 0.0, 0.0
    for number, entry in enumerate(frames):
        pace = entry.time_seconds - now if number else 0.0
        now = entry.time_seconds
        here = {each.track for each in entry.objects}
        for track in sounding - here:
            tracks[track].end(now)
        for each in entry.objects:
            tracks[each.track].add(each, entry)
        sounding = here
    for track in sounding:
        tracks[track].end(round(now + pace, 6))
    return tuple(
        tracks[track].summary(track, categories, decided.get(track)) for track in sorted(tracks)
    )


def under_one_name(
    frames: Iterable[JournalEntry], objects: Iterable[ObjectSummary]
) -> Iterator[JournalEntry]:
    """Yield frames in which every object has the category that it has over its whole life.

    Where a frame said something else of it, its `category_score` becomes 0.
    """
    category_of = {each.track_id: each.category_id for each in objects}
    for entry in frames:
        found = tuple(
            each
            if (category := category_of.get(each.track, each.category_id)) == each.category_id
            else replace(each, category_id=category, category_score=0.0)
            for each in entry.objects
        )
        yield replace(entry, objects=found)

"""Moments of a run that are worth a look, the least certain first: `MomentFinder`.

All is computed from what the run stored, frame by frame, in memory that grows with the number of
moments alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from avscli.review.corrected import OFF_SCREEN_FLAG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from avscli.outputs.journal import JournalEntry

MomentKind = Literal[
    "mask_while_silent",
    "low_score",
    "flicker",
    "flash",
    "low_agreement",
    "heard_not_seen",
    "loud_but_empty",
]

MOST_MOMENTS = 500  # nobody looks at more
LOW_SCORE = 0.7
LOUD_DBFS = -35.0  # speech at a usual level, and louder
CLEARLY_HEARD = 0.5
_BRIDGED_SECONDS = 0.5  # two moments of one kind that are closer are one
_DOUBT_OF_FLAG: dict[MomentKind, float] = {
    "mask_while_silent": 0.9,
    "flicker": 0.6,
    "flash": 0.5,
    "low_agreement": 0.4,
}


@dataclass(frozen=True, slots=True)
class Moment:
    """A stretch of analysed frames about which the run is not certain.

    Attributes:
        kind: why.
        first, last: of its analysed frames, counted from the run's first, which is 0.
        worst: the one to look at.
        track: of the object it is about; None where it is about the whole frame.
        doubt: 0 … 1; what to look at first has most.
    """

    kind: MomentKind
    first: int
    last: int
    worst: int
    track: int | None
    doubt: float


class MomentFinder:
    """Collects the moments of a run, whose analysed frames are added in time order."""

    def __init__(self) -> None:
        self._open: dict[tuple[MomentKind, int | None], tuple[Moment, float]] = {}
        self._closed: list[Moment] = []
        self._num_seen = 0

    def add(self, entry: JournalEntry) -> None:
        """Look at the next analysed frame."""
        for kind, track, doubt in _doubts(entry):
            key, now = (kind, track), Moment(kind, self._num_seen, self._num_seen, self._num_seen,
                                             track, round(doubt, 3))  # fmt: skip
            before, seen_at = self._open.get(key, (None, 0.0))
            if before is not None and entry.time_seconds - seen_at <= _BRIDGED_SECONDS:
                now = _joined(before, now)
            elif before is not None:
                self._closed.append(before)
            self._open[key] = now, entry.time_seconds
        self._num_seen += 1

    def found(self) -> list[Moment]:
        """Return what was found so far, the least certain first, at most `MOST_MOMENTS`."""
        moments = [*self._closed, *(moment for moment, _ in self._open.values())]
        return sorted(moments, key=lambda each: (-each.doubt, each.first))[:MOST_MOMENTS]


def _joined(before: Moment, now: Moment) -> Moment:
    worse = now if now.doubt > before.doubt else before
    return replace(worse, first=before.first, last=now.last)


def _doubts(entry: JournalEntry) -> Iterator[tuple[MomentKind, int | None, float]]:
    """Yield what is doubtful about a frame: why, about which track, and how much."""
    for each in entry.objects:
        if each.score < LOW_SCORE:
            yield "low_score", each.track, 1.0 - each.score
    flags = set(entry.flags)
    if entry.state == "silent" and entry.objects:
        flags.add("mask_while_silent")
    for kind, doubt in _DOUBT_OF_FLAG.items():
        if kind in flags:
            yield kind, None, doubt
    if entry.objects or entry.audio_dbfs is None or entry.audio_dbfs < LOUD_DBFS:
        return
    if OFF_SCREEN_FLAG in flags:  # a reviewer has looked
        return
    if entry.heard and entry.heard[0].probability >= CLEARLY_HEARD:
        yield "heard_not_seen", None, 0.7 * entry.heard[0].probability
    else:
        yield "loud_but_empty", None, min(0.3 + (entry.audio_dbfs - LOUD_DBFS) / 50.0, 0.8)

"""What a page shows of a run: one small table of everything, and masks in blocks.

The page reads the table when it opens, and a block when a frame of it is shown. Rising numbers are
written as differences and all is gzipped, so that an hour of frames stays small.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from avscli.config import SILENCE_DBFS
from avscli.errors import DataError
from avscli.masks import NUM_COLOURS, palette
from avscli.review.decisions import LONGEST_NAME, REVIEW_FORMAT, REVIEW_VERSION
from avscli.review.found import identity_of
from avscli.review.moments import Moment, MomentFinder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from avscli.outputs.journal import JournalEntry
    from avscli.outputs.run import Run
    from avscli.review.waveform import Waveform

FRAMES_PER_BLOCK = 256  # analysed ones
SOUNDS_SHOWN = 5  # of a frame
SILENT_DECIBELS = -200  # written for digital silence, which has no level
_STATES = {"sounding": "s", "nothing_sounds": "n", "silent": "q"}


@dataclass(slots=True)
class _ObjectColumns:
    """One object: the analysed frames that show it, and how sure each is."""

    category_id: int
    first: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    percents: list[int] = field(default_factory=list)

    def add(self, position: int, score: float) -> None:
        if self.last and self.last[-1] == position - 1:
            self.last[-1] = position
        elif not self.last or self.last[-1] < position:  # version 1 may name a class twice
            self.first.append(position)
            self.last.append(position)
        else:
            return
        self.percents.append(round(100 * score))


@dataclass(slots=True)
class PageData:
    """What is known of a run, column by column.

    Attributes:
        frames: numbers of all source frames, in time order.
        microseconds: when each is shown.
        analysed: which of them, counted from 0, were looked at.
        states: a letter for each analysed frame.
        decibels: level of each, in tenths.
        flags: of each, as bits in the order of `flag_names`.
        heard: of each, numbers of `sound_names` and percents in turn.
        objects: by track.
        blocks: masks of `FRAMES_PER_BLOCK` analysed frames each, gzipped JSON: for every frame
            a list of track and run lengths in turn.
        moments: the least certain first.
        first_shown: the first frame with an object and its run lengths by track; None without.
    """

    frames: list[int] = field(default_factory=list)
    microseconds: list[int] = field(default_factory=list)
    analysed: list[int] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    decibels: list[int] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    flag_names: list[str] = field(default_factory=list)
    heard: list[list[int]] = field(default_factory=list)
    sound_names: dict[str, int] = field(default_factory=dict)
    objects: dict[int, _ObjectColumns] = field(default_factory=dict)
    blocks: list[bytes] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    first_shown: JournalEntry | None = None
    _masks: list[list[int | str]] = field(default_factory=list)

    @classmethod
    def of(cls, run: Run, on_frame: Callable[[int], None]) -> PageData:
        """Read the journal of a run.

        Args:
            run: with at least one frame.
            on_frame: told how many frames were read.

        Raises:
            DataError: the journal is missing, damaged or empty.
        """
        data, finder = cls(), MomentFinder()
        for number, entry in enumerate(run.frames(), start=1):
            data._add(entry)
            if not entry.interpolated:
                finder.add(entry)
            on_frame(number)
        if not data.analysed:
            raise DataError(f"{run.folder} has no frame to show", hint="segment the file again")
        data._end_block()
        data.moments = finder.found()
        return data

    @property
    def start_seconds(self) -> float:
        """Source time of the first frame."""
        return self.microseconds[0] / 1e6

    @property
    def end_seconds(self) -> float:
        """Source time at which the last frame is over, as long as the one before."""
        last = self.microseconds[-1]
        pace = last - self.microseconds[-2] if len(self.microseconds) > 1 else 40_000
        return (last + pace) / 1e6

    def table(
        self, run: Run, video: dict[str, object], waveform: Waveform | None
    ) -> dict[str, object]:
        """Return everything but the masks, as the page's script reads it.

        Args:
            run: that was read.
            video: where the page finds it.
            waveform: of its sound; None without.
        """
        source = run.record.source
        return {
            "format": REVIEW_FORMAT,
            "version": REVIEW_VERSION,
            "longest_name": LONGEST_NAME,
            "run": asdict(identity_of(run)),
            "video": video,
            "size": [source.height, source.width],
            "classes": list(run.categories.values()),
            "colours": [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in palette(NUM_COLOURS)[1:].tolist()],
            "gate": SILENCE_DBFS,
            "end": round(self.end_seconds, 6),
            "frames": _differences(self.frames),
            "microseconds": _differences(self.microseconds),
            "analysed": _differences(self.analysed),
            "states": "".join(self.states),
            "decibels": _differences(self.decibels),
            "flag_names": self.flag_names,
            "flags": self.flags,
            "sound_names": list(self.sound_names),
            "heard": self.heard,
            "objects": self._objects(run),
            "moments": [asdict(each) for each in self.moments],
            "frames_per_block": FRAMES_PER_BLOCK,
            "waveform": None
            if waveform is None
            else {
                "start": waveform.start_seconds,
                "bin": waveform.bin_seconds,
                "lowest": waveform.lowest.tolist(),
                "highest": waveform.highest.tolist(),
            },
        }

    def _objects(self, run: Run) -> list[dict[str, object]]:
        names = {each.track_id: each.category for each in run.objects}
        return [
            {
                "id": track,
                "name": names.get(track)
                or run.categories.get(columns.category_id, str(columns.category_id)),
                "first": columns.first,
                "last": columns.last,
                "percents": columns.percents,
            }
            for track, columns in sorted(self.objects.items())
        ]

    def _add(self, entry: JournalEntry) -> None:
        position = len(self.analysed)
        if not entry.interpolated:
            self.analysed.append(len(self.frames))
        self.frames.append(entry.frame)
        self.microseconds.append(round(1e6 * entry.time_seconds))
        if entry.interpolated:
            return
        level = SILENT_DECIBELS if entry.audio_dbfs is None else entry.audio_dbfs
        self.states.append(_STATES[entry.state])
        self.decibels.append(round(10 * max(level, SILENT_DECIBELS)))
        self.flags.append(self._bits(entry.flags))
        self.heard.append(
            [
                value
                for sound in entry.heard[:SOUNDS_SHOWN]
                for value in (
                    self.sound_names.setdefault(sound.name, len(self.sound_names)),
                    round(100 * sound.probability),
                )
            ]
        )
        for each in entry.objects:
            self.objects.setdefault(each.track, _ObjectColumns(each.category_id)).add(
                position, each.score
            )
        if entry.objects and self.first_shown is None:
            self.first_shown = entry
        self._masks.append(
            [value for each in entry.objects for value in (each.track, each.mask.counts)]
        )
        if len(self._masks) == FRAMES_PER_BLOCK:
            self._end_block()

    def _bits(self, flags: Iterable[str]) -> int:
        bits = 0
        for flag in flags:
            if flag not in self.flag_names:
                self.flag_names.append(flag)
            bits |= 1 << self.flag_names.index(flag)
        return bits

    def _end_block(self) -> None:
        if self._masks:
            self.blocks.append(gzipped_json(self._masks))
            self._masks = []


def gzipped_json(values: object) -> bytes:
    """Return values as the page's script reads them; the same values give the same bytes."""
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    return gzip.compress(text.encode("ascii"), compresslevel=9, mtime=0)


def _differences(values: list[int]) -> list[int]:
    """Return the first value, and what each other is above the one before."""
    return [now - before for before, now in zip([0, *values[:-1]], values, strict=True)]

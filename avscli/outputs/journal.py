"""frames.jsonl: the result itself, one line per source frame, readable while it grows.

{"v":2,"frame":12,"pts":6144,"time":0.4,"state":"sounding","interpolated":false,
 "score":0.91,"audio_dbfs":-23.1,"flags":[],"heard":[{"name":"Speech","probability":0.93}],
 "objects":[{"track_id":1,"category_id":2,"category_score":0.97,"score":0.91,
             "segmentation":{"size":[720,1280],"counts":"…"},"bbox":[404,101,220,318],"area":51234}]}

Lines of version 1 had no tracks, no `heard`, and an `anns` with one mask per class.
"""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

from avscli.errors import DataError
from avscli.json_values import decoded, parsed
from avscli.masks import EncodedMask, SizeHW, encode_classes
from avscli.outputs.disk import LineFile
from avscli.results import FrameState, HeardSound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from avscli.masks import LabelMap
    from avscli.results import FramePrediction

JOURNAL_NAME = "frames.jsonl"
JOURNAL_VERSION = 2


@dataclass(frozen=True, slots=True)
class JournalObject:
    """One object in one frame.

    Attributes:
        track_id: 1…, stable through a run; None in runs of version 1, which followed nothing.
        category_id: of the checkpoint's categories.
        category_score: 0…1, how clearly it is this category; None in version 1.
        score: 0…1, mean mask probability in its region; the frame's score in version 1.
        mask: at display size.
    """

    track_id: int | None
    category_id: int
    category_score: float | None
    score: float
    mask: EncodedMask

    @property
    def track(self) -> int:
        """Its track; where nothing was followed, a category is one."""
        return self.category_id if self.track_id is None else self.track_id


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One source frame's result.

    Attributes:
        frame: zero-based display index in the source.
        pts: presentation timestamp in the stream's time base.
        time_seconds: the same in seconds.
        state: what was decided about the frame's sound.
        interpolated: the mask is held from the last analysed frame.
        score: 0 … 1, see `FrameConfidence`.
        audio_dbfs: level of the sound around the frame; None for digital silence, since JSON has
            no infinity.
        flags: as in `FrameConfidence`.
        heard: what the sound may be, the most probable first.
        objects: what sounds and can be seen.
    """

    frame: int
    pts: int
    time_seconds: float
    state: FrameState
    interpolated: bool
    score: float
    audio_dbfs: float | None
    flags: tuple[str, ...]
    heard: tuple[HeardSound, ...]
    objects: tuple[JournalObject, ...]

    @classmethod
    def of(cls, prediction: FramePrediction, objects: tuple[JournalObject, ...]) -> JournalEntry:
        """Join a prediction with its objects (`encoded_objects`)."""
        confidence, stamp = prediction.confidence, prediction.stamp
        level = confidence.audio_dbfs
        return cls(
            frame=stamp.index,
            pts=stamp.pts,
            time_seconds=round(stamp.pts_seconds, 6),
            state=prediction.state,
            interpolated=prediction.interpolated,
            score=round(confidence.score, 6),
            audio_dbfs=round(level, 2) if math.isfinite(level) else None,
            flags=confidence.flags,
            heard=tuple(
                HeardSound(each.name, round(each.probability, 4)) for each in prediction.heard
            ),
            objects=objects,
        )

    def to_line(self) -> str:
        """Return the entry as one line of JSON, without a line feed."""
        values = {
            "v": JOURNAL_VERSION,
            "frame": self.frame,
            "pts": self.pts,
            "time": self.time_seconds,
            "state": self.state,
            "interpolated": self.interpolated,
            "score": self.score,
            "audio_dbfs": self.audio_dbfs,
            "flags": self.flags,
            "heard": [asdict(each) for each in self.heard],
            "objects": [object_json(each) for each in self.objects],
        }
        return json.dumps(values, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_line(cls, line: str) -> JournalEntry:
        """Read an entry back.

        Raises:
            ValueError: the line is not JSON, of another version, or a field is missing or of the
                wrong type.
        """
        values = parsed(line)
        is_first = isinstance(values, dict) and values.get("v") == 1
        found: _FirstLine | _Line = (
            decoded(_FirstLine, values, ignore_unknown=True)
            if is_first
            else decoded(_Line, values, ignore_unknown=True)
        )
        if found.v not in (1, JOURNAL_VERSION):
            raise ValueError(f"version {found.v}, this program reads up to {JOURNAL_VERSION}")
        return cls(
            frame=found.frame,
            pts=found.pts,
            time_seconds=found.time,
            state=found.state,
            interpolated=found.interpolated,
            score=found.score,
            audio_dbfs=found.audio_dbfs,
            flags=found.flags,
            heard=found.heard if isinstance(found, _Line) else (),
            objects=tuple(found.journal_objects()),
        )


@dataclass(frozen=True, slots=True)
class _Segmentation:
    """Run lengths in a line."""

    size: SizeHW
    counts: str


@dataclass(frozen=True, slots=True)
class _Annotation:
    """A mask in a line."""

    category_id: int
    segmentation: _Segmentation
    bbox: tuple[int, int, int, int]
    area: int

    def mask(self) -> EncodedMask:
        return EncodedMask(self.segmentation.size, self.segmentation.counts, self.area, self.bbox)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Object(_Annotation):
    """An object in a line."""

    track_id: int
    category_score: float
    score: float


@dataclass(frozen=True, slots=True)
class _Frame:
    """What lines of both versions say."""

    v: int
    frame: int
    pts: int
    time: float
    state: FrameState
    interpolated: bool
    score: float
    audio_dbfs: float | None
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _FirstLine(_Frame):
    """A line of version 1."""

    anns: tuple[_Annotation, ...]

    def journal_objects(self) -> Iterator[JournalObject]:
        for each in self.anns:
            yield JournalObject(None, each.category_id, None, self.score, each.mask())


@dataclass(frozen=True, slots=True)
class _Line(_Frame):
    """A line of this version."""

    heard: tuple[HeardSound, ...]
    objects: tuple[_Object, ...]

    def journal_objects(self) -> Iterator[JournalObject]:
        for each in self.objects:
            yield JournalObject(
                each.track_id, each.category_id, each.category_score, each.score, each.mask()
            )


class JournalSink:
    """Writes frames.jsonl.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._lines = LineFile(folder / JOURNAL_NAME)
        self._held: LabelMap | None = None
        self._objects: tuple[JournalObject, ...] = ()

    def __enter__(self) -> Self:
        """Create the file."""
        self._lines.__enter__()
        return self

    def write(self, prediction: FramePrediction) -> None:
        """Append a frame.

        Raises:
            OutputError: the disk is full or gone.
        """
        if prediction.object_map is not self._held:  # held frames share one array: encode it once
            self._held, self._objects = prediction.object_map, encoded_objects(prediction)
        self._lines.write(JournalEntry.of(prediction, self._objects).to_line())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._lines.__exit__(kind, error, trace)


def read_journal(path: Path) -> Iterator[JournalEntry]:
    """Stream a journal back, one entry in memory at a time.

    A last line without its line feed is what a killed run leaves behind, and is dropped.

    Raises:
        DataError: the file is missing or a whole line is not an entry.
    """
    with _readable(path), path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            if line.endswith("\n"):
                yield _entry(path, number, line)


def count_frames(path: Path) -> int:
    """Count a journal's whole lines without reading what they say.

    Raises:
        DataError: the file is missing.
    """
    with _readable(path), path.open("rb") as lines:
        return sum(line.endswith(b"\n") for line in lines)


def encoded_objects(prediction: FramePrediction) -> tuple[JournalObject, ...]:
    """Return the objects of a frame with their masks as run lengths."""
    masks = encode_classes(prediction.object_map)
    return tuple(
        JournalObject(
            track_id=each.track_id,
            category_id=each.category_id,
            category_score=round(each.category_score, 6),
            score=round(each.score, 6),
            mask=masks[number],
        )
        for number, each in enumerate(prediction.objects, start=1)
        if number in masks
    )


def object_json(each: JournalObject) -> dict[str, object]:
    """Return an object as it stands in a line, and without ids of its own in COCO.

    What is not known, of runs of version 1, is left out.
    """
    values = {
        "track_id": each.track_id,
        "category_id": each.category_id,
        "category_score": each.category_score,
        "score": each.score,
        "segmentation": {"size": each.mask.size_hw, "counts": each.mask.counts},
        "bbox": each.mask.bbox,
        "area": each.mask.area,
    }
    return {name: value for name, value in values.items() if value is not None}


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise DataError(
            f"cannot read {path}: {err.strerror}", hint="run avs segment first"
        ) from err


def _entry(path: Path, number: int, line: str) -> JournalEntry:
    try:
        return JournalEntry.from_line(line)
    except ValueError as err:
        raise DataError(
            f"{path} line {number} is not a journal entry: {err}",
            hint="the file was edited or damaged; run avs segment again",
        ) from err

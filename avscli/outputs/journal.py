"""frames.jsonl: the result itself, one line per source frame, readable while it grows.

{"v":1,"frame":12,"pts":6144,"time":0.4,"state":"sounding","interpolated":false,
 "score":0.91,"audio_dbfs":-23.1,"flags":[],
 "anns":[{"category_id":1,"segmentation":{"size":[720,1280],"counts":"…"},
          "bbox":[404,101,220,318],"area":51234}]}
"""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from avscli.datatypes import FrameState
from avscli.errors import DataError
from avscli.json_values import decoded, parsed
from avscli.masks import EncodedMask, SizeHW, encode_classes
from avscli.outputs.disk import LineFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from avscli.datatypes import FramePrediction
    from avscli.masks import LabelMap

JOURNAL_NAME = "frames.jsonl"
JOURNAL_VERSION = 1


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
        audio_dbfs: level of the frame's sound window; None for digital silence, since JSON has
            no infinity.
        flags: as in `FrameConfidence`.
        masks: per class that sounds, its mask at display size.
    """

    frame: int
    pts: int
    time_seconds: float
    state: FrameState
    interpolated: bool
    score: float
    audio_dbfs: float | None
    flags: tuple[str, ...]
    masks: Mapping[int, EncodedMask]

    @classmethod
    def of(cls, prediction: FramePrediction, masks: Mapping[int, EncodedMask]) -> JournalEntry:
        """Join a prediction with its encoded masks."""
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
            masks=masks,
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
            "anns": [mask_json(label, mask) for label, mask in self.masks.items()],
        }
        return json.dumps(values, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_line(cls, line: str) -> JournalEntry:
        """Read an entry back.

        Raises:
            ValueError: the line is not JSON, of another version, or a field is missing or of the
                wrong type.
        """
        found = decoded(_Line, parsed(line), ignore_unknown=True)
        if found.v != JOURNAL_VERSION:
            raise ValueError(f"version {found.v}, this program reads {JOURNAL_VERSION}")
        return cls(
            frame=found.frame,
            pts=found.pts,
            time_seconds=found.time,
            state=found.state,
            interpolated=found.interpolated,
            score=found.score,
            audio_dbfs=found.audio_dbfs,
            flags=found.flags,
            masks={annotation.category_id: annotation.mask() for annotation in found.anns},
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


@dataclass(frozen=True, slots=True)
class _Line:
    """A line, field by field."""

    v: int
    frame: int
    pts: int
    time: float
    state: FrameState
    interpolated: bool
    score: float
    audio_dbfs: float | None
    flags: tuple[str, ...]
    anns: tuple[_Annotation, ...]


class JournalSink:
    """Writes frames.jsonl.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._lines = LineFile(folder / JOURNAL_NAME)
        self._held: LabelMap | None = None
        self._masks: Mapping[int, EncodedMask] = {}

    def __enter__(self) -> Self:
        """Create the file."""
        self._lines.__enter__()
        return self

    def write(self, prediction: FramePrediction) -> None:
        """Append a frame.

        Raises:
            OutputError: the disk is full or gone.
        """
        if prediction.label_map is not self._held:  # held frames share one array: encode it once
            self._held, self._masks = prediction.label_map, encode_classes(prediction.label_map)
        self._lines.write(JournalEntry.of(prediction, self._masks).to_line())

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


def mask_json(label: int, mask: EncodedMask) -> dict[str, object]:
    """Return a class's mask as COCO writes it, without ids."""
    return {
        "category_id": label,
        "segmentation": {"size": mask.size_hw, "counts": mask.counts},
        "bbox": mask.bbox,
        "area": mask.area,
    }


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

"""Finished runs, read back: `Run.open` is the only reader of their folders."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from avscli.errors import DataError
from avscli.json_values import decoded, parsed
from avscli.outputs.journal import JOURNAL_NAME, read_journal
from avscli.outputs.run_record import REVIEWED_SCHEMA_VERSION, RUN_RECORD_NAME
from avscli.outputs.tracks import summed_objects, under_one_name
from avscli.results import SegmentationReport

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from avscli.masks import SizeHW
    from avscli.outputs.journal import JournalEntry
    from avscli.results import ObjectSummary

_UNFINISHED = (".partial", ".replaced")  # what `outputs.run_folder` calls other folders
_VERSION = "schema_version"


@dataclass(frozen=True, slots=True)
class Run:
    """What one ``avs segment`` found: its record in memory, its frames streamed.

    Attributes:
        folder: of the run.
        record: what run.json says.
        frame_rate: average frames per second of the source; None when it does not say.
    """

    folder: Path
    record: SegmentationReport
    frame_rate: Fraction | None

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """Read the record of a run; the journal is read when its frames are asked for.

        Raises:
            DataError: the folder is not that of a run, its record is damaged, or a newer version
                of avs has written it.
        """
        folder = Path(folder)
        path = folder / RUN_RECORD_NAME
        if not path.is_file() or not (folder / JOURNAL_NAME).is_file():
            raise DataError(
                f"{folder} is not the folder of a run ({JOURNAL_NAME}, {RUN_RECORD_NAME})",
                hint="give a folder that avs segment or avs batch has written",
            )
        try:
            values = parsed(path.read_bytes())
            _require_readable_version(path, values)
            record = decoded(SegmentationReport, values, ignore_unknown=True)
            stated = record.source.frame_rate
            return cls(folder, record, None if stated is None else Fraction(stated))
        except (OSError, ValueError, ZeroDivisionError) as err:
            raise DataError(
                f"{path} is not the record of a run: {err}", hint="segment the file again"
            ) from err

    @property
    def source(self) -> Path:
        """The video file, which may be gone."""
        return Path(self.record.source.path)

    @property
    def size_hw(self) -> SizeHW:
        """Of a display frame, and so of the masks."""
        return self.record.source.height, self.record.source.width

    @property
    def categories(self) -> Mapping[int, str]:
        """Names of what masks show, by id from 1 up: the checkpoint's, and those of reviewers."""
        review = self.record.review
        named = () if review is None else review.new_categories
        return {**self.record.checkpoint.spec.categories, **dict(named)}

    @property
    def objects(self) -> tuple[ObjectSummary, ...]:
        """What sounds, and when; runs of version 1, which followed nothing, give one a class.

        Raises:
            DataError: the journal of a run of version 1 is missing or damaged.
        """
        if self.record.schema_version > 1:
            return self.record.objects
        return summed_objects(self.frames(), self.categories)

    def rows(self) -> Iterator[dict[str, str | int | float]]:
        """Yield a row per object and frame, in time order: ``pandas.DataFrame(run.rows())``.

        Raises:
            DataError: the journal is missing or damaged.
        """
        for entry in self.frames():
            for each in entry.objects:
                x, y, width, height = each.mask.bbox
                yield {
                    "frame": entry.frame,
                    "time": entry.time_seconds,
                    "interpolated": entry.interpolated,
                    "track_id": each.track,
                    "class": self.categories[each.category_id],
                    "class_score": math.nan if each.category_score is None else each.category_score,
                    "score": each.score,
                    "area": each.mask.area,
                    "x": x,
                    "y": y,
                    "width": width,
                    "height": height,
                }

    def frames(self) -> Iterator[JournalEntry]:
        """Stream the source frames of the range in time order, one in memory at a time.

        An object has one category throughout, that of `objects`; `read_journal` says what each
        frame took it for.

        Raises:
            DataError: the journal is missing, damaged or not as long as the run was.
        """
        return under_one_name(self._entries(), self.record.objects)

    def _entries(self) -> Iterator[JournalEntry]:
        journal, num_frames = self.folder / JOURNAL_NAME, 0
        for entry in read_journal(journal):
            num_frames += 1
            yield entry
        if num_frames != self.record.num_frames:
            raise DataError(
                f"{journal} has {num_frames} frames of {self.record.num_frames}",
                hint="the file was edited or damaged; segment the video again",
            )


def run_folders(path: Path) -> list[Path]:
    """Return the finished runs in a folder, or that folder if it is one, in order of names."""
    if (path / JOURNAL_NAME).is_file():
        return [path]
    found = {journal.parent for journal in path.rglob(JOURNAL_NAME)}
    return sorted(run for run in found if not run.name.endswith(_UNFINISHED))


def _require_readable_version(path: Path, values: object) -> None:
    version = values.get(_VERSION) if isinstance(values, dict) else None
    if isinstance(version, int) and version > REVIEWED_SCHEMA_VERSION:
        raise DataError(
            f"{path} is of version {version}, "
            f"this program reads versions up to {REVIEWED_SCHEMA_VERSION}",
            hint="update avs",
        )

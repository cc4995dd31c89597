"""Run folders and batch folders as the videos that are exported."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from avscli.datatypes import NetworkSpec
from avscli.errors import DataError
from avscli.evaluation.stored.runs import run_folders
from avscli.exports.video import MarkedFrame, MarkedObject, MarkedVideo
from avscli.json_values import decoded, parsed
from avscli.outputs.coco import categories
from avscli.outputs.journal import JOURNAL_NAME, read_journal
from avscli.outputs.run_record import RUN_RECORD_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class _Source:
    path: str
    height: int
    width: int
    frame_rate: str | None


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    spec: NetworkSpec


@dataclass(frozen=True, slots=True)
class _Record:
    """What is needed of a run.json, as it stands there."""

    source: _Source
    checkpoint: _Checkpoint


def marked_videos(folders: Sequence[Path]) -> list[MarkedVideo]:
    """Return the videos of runs.

    Args:
        folders: of runs, or with run folders at any depth, as `avs batch` leaves them.

    Raises:
        DataError: a folder has no finished run, a run is damaged, or two have one name.
    """
    videos = [
        _video(run, _name_of(run, folder))
        for folder in (Path(each).resolve() for each in folders)
        for run in _runs_in(folder)
    ]
    name, count = Counter(video.name for video in videos).most_common(1)[0]
    if count > 1:
        raise DataError(
            f"{count} runs are called {name}",
            hint="export them one by one, or give the folder above them",
        )
    return videos


def _runs_in(folder: Path) -> list[Path]:
    runs = run_folders(folder) if folder.is_dir() else []
    if not runs:
        raise DataError(
            f"{folder} has no finished run in it ({JOURNAL_NAME}, {RUN_RECORD_NAME})",
            hint="give a folder that avs segment or avs batch has written",
        )
    return runs


def _name_of(run: Path, folder: Path) -> str:
    return run.name if run == folder else run.relative_to(folder).as_posix()


def _video(run: Path, name: str) -> MarkedVideo:
    path = run / RUN_RECORD_NAME
    try:
        record = decoded(_Record, parsed(path.read_bytes()), ignore_unknown=True)
        stated = record.source.frame_rate
        rate = None if stated is None else Fraction(stated)
    except (OSError, ValueError, ZeroDivisionError) as err:
        raise DataError(
            f"{path} is not the record of a run: {err}", hint="segment the file again"
        ) from err
    return MarkedVideo(
        name=name,
        source=Path(record.source.path),
        size_hw=(record.source.height, record.source.width),
        frame_rate=rate,
        categories={each.id: each.name for each in categories(record.checkpoint.spec)},
        frames=partial(_frames, run / JOURNAL_NAME),
    )


def _frames(journal: Path) -> Iterator[MarkedFrame]:
    for entry in read_journal(journal):
        objects = tuple(
            MarkedObject(label, label, entry.score, mask) for label, mask in entry.masks.items()
        )  # one mask per class and frame: a class is a track
        yield MarkedFrame(entry.frame, entry.pts, entry.time_seconds, entry.interpolated, objects)

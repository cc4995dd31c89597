"""Run folders and batch folders as the videos that are exported."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from avscli.errors import DataError
from avscli.exports.video import MarkedFrame, MarkedObject, MarkedVideo
from avscli.masks import require_runs, run_lengths
from avscli.outputs.journal import JOURNAL_NAME
from avscli.outputs.run import Run, run_folders
from avscli.outputs.run_record import RUN_RECORD_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from avscli.masks import EncodedMask, SizeHW


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


def _video(folder: Path, name: str) -> MarkedVideo:
    run = Run.open(folder)
    return MarkedVideo(
        name=name,
        source=run.source,
        source_sha256=run.record.source.sha256,
        size_hw=run.size_hw,
        frame_rate=run.frame_rate,
        categories=run.categories,
        frames=partial(_frames, run),
    )


def _frames(run: Run) -> Iterator[MarkedFrame]:
    for entry in run.frames():
        where = f"{run.folder / JOURNAL_NAME} frame {entry.frame}"
        objects = tuple(
            MarkedObject(
                each.track, each.category_id, each.score, _whole(each.mask, run.size_hw, where)
            )
            for each in entry.objects
        )
        yield MarkedFrame(entry.frame, entry.pts, entry.time_seconds, entry.interpolated, objects)


def _whole(mask: EncodedMask, size_hw: SizeHW, where: str) -> EncodedMask:
    """Return a mask as it is, if its run lengths are those of a mask of this size.

    Raises:
        DataError: they are not.
    """
    try:
        require_runs(size_hw, run_lengths(mask.counts))
    except ValueError as err:
        raise DataError(
            f"{where}: {err}", hint="the file was edited or damaged; segment the video again"
        ) from err
    return mask

"""One export: a folder that appears whole, with a record of what it was made from."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING

from avscli import __version__
from avscli.exports.corrected import corrected_videos
from avscli.exports.formats import writer_of
from avscli.exports.runs import marked_videos
from avscli.outputs.disk import output_errors, write_atomically
from avscli.outputs.run_folder import WholeFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from avscli.config import ExportOptions
    from avscli.exports.video import MarkedFrame, MarkedVideo

EXPORT_RECORD_NAME = "avs-export.json"
SCHEMA_VERSION = 1


def export(
    runs: Sequence[Path],
    to: str,
    output: Path,
    options: ExportOptions,
    on_note: Callable[[str], None],
    on_progress: Callable[[int], None],
) -> Path:
    """Write runs in another format, whole or not at all, and return the folder.

    Args:
        runs: run folders, or folders of such.
        to: a name of `avscli.exports.formats.FORMATS`.
        output: the folder to make.
        options: of the export.
        on_note: told in one line what the format cannot say, and what was done instead.
        on_progress: told how many frames have been read; several times each by some formats.

    Raises:
        DataError: a run is missing, damaged, or cannot be said in this format.
        UsageError: there is no such format, or an option is of another one.
        OutputError: the folder exists, would replace an input, or cannot be written.
    """
    notes: list[str] = []

    def note(told: str) -> None:
        notes.append(told)
        on_note(told)

    writer, videos = writer_of(to, options), marked_videos(runs)
    inputs = [*runs, *(video.source for video in videos)]
    if options.corrected is not None:
        videos = corrected_videos(videos, options.corrected)
        inputs.append(options.corrected)
    read = count(1)
    videos = [_counted(video, lambda: on_progress(next(read))) for video in videos]
    whole = WholeFolder(
        output, inputs=inputs, marker=EXPORT_RECORD_NAME, overwrite=options.overwrite
    )
    with whole as folder, output_errors(output):
        writer.write(videos, folder, options, note)
        write_atomically(folder / EXPORT_RECORD_NAME, _record(to, videos, notes, options.corrected))
    return output


def _counted(video: MarkedVideo, on_frame: Callable[[], None]) -> MarkedVideo:
    def frames() -> Iterator[MarkedFrame]:
        for frame in video.frames():
            on_frame()
            yield frame

    return replace(video, frames=frames)


def _record(
    to: str, videos: Sequence[MarkedVideo], notes: Sequence[str], corrected: Path | None
) -> str:
    values = {
        "schema_version": SCHEMA_VERSION,
        "tool": f"avs {__version__}",
        "date_created": datetime.now(UTC).isoformat(timespec="seconds"),
        "format": to,
        "videos": [{"name": video.name, "source": str(video.source)} for video in videos],
        "corrected": None if corrected is None else str(corrected),
        "notes": notes,
    }
    return json.dumps(values, indent=2) + "\n"

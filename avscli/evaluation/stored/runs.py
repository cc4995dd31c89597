"""Finished runs as stored masks: a clip per run folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from avscli.errors import DataError
from avscli.evaluation.stored.clips import StoredClip, StoredFrame, names_of_folders
from avscli.evaluation.stored.shapes import StoredMask, painted
from avscli.json_values import decoded, parsed
from avscli.masks import decode_mask
from avscli.outputs.journal import JOURNAL_NAME, read_journal
from avscli.outputs.run_record import RUN_RECORD_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from avscli.masks import SizeHW
    from avscli.outputs.journal import JournalEntry

_UNFINISHED = (".partial", ".replaced")  # what `outputs.run_folder` calls other folders


def run_clips(path: Path, num_classes: int) -> list[StoredClip]:
    """Return the finished runs in a folder as clips, none if there are none.

    Args:
        path: a run folder, or a folder with run folders at any depth.
        num_classes: of the labels, including the background; 2 takes everything above 0 as one.
    """
    runs = run_folders(path)
    names = names_of_folders(path, runs)
    return [_run_clip(run, names[run], num_classes) for run in runs]


def run_folders(path: Path) -> list[Path]:
    """Return the finished runs in a folder, or that folder if it is one, in order of names."""
    if (path / JOURNAL_NAME).is_file():
        return [path]
    found = {journal.parent for journal in path.rglob(JOURNAL_NAME)}
    return sorted(run for run in found if not run.name.endswith(_UNFINISHED))


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class _Record:
    """What is needed of a run.json, as it stands there."""

    checkpoint: _Checkpoint


def recorded_weights(path: Path) -> list[dict[str, str]]:
    """Return name and hash of the weights that run folders say their masks are from.

    Raises:
        DataError: a run.json is damaged.
    """
    weights: set[tuple[str, str]] = set()
    for record in (run / RUN_RECORD_NAME for run in run_folders(path)):
        if not record.is_file():
            continue
        try:
            found = decoded(_Record, parsed(record.read_bytes()), ignore_unknown=True).checkpoint
        except (OSError, ValueError) as err:
            raise DataError(
                f"{record} is not the record of a run: {err}", hint="segment the file again"
            ) from err
        weights.add((found.name, found.sha256))
    return [{"name": name, "sha256": sha256} for name, sha256 in sorted(weights)]


def _run_clip(folder: Path, name: str, num_classes: int) -> StoredClip:
    def frames() -> list[StoredFrame]:
        entries = list(read_journal(folder / JOURNAL_NAME))
        sizes = (mask.size_hw for entry in entries for mask in entry.masks.values())
        size_hw = next(sizes, (0, 0))  # a frame without masks does not say how large it is
        return [_journal_frame(folder, entry, size_hw, num_classes) for entry in entries]

    return StoredClip(name, dense=True, frames=frames)


def _journal_frame(
    folder: Path, entry: JournalEntry, size_hw: SizeHW, num_classes: int
) -> StoredFrame:
    name = f"{folder / JOURNAL_NAME} frame {entry.frame}"
    masks = [
        StoredMask(label, m.size_hw, partial(decode_mask, counts=m.counts))
        for label, m in entry.masks.items()
    ]
    score = entry.score if masks else 1.0 - entry.score
    return StoredFrame(
        name,
        entry.frame,
        entry.time_seconds,
        score,
        partial(painted, name, masks, size_hw, num_classes),
    )

"""Finished runs as stored masks: a clip per run folder."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from avscli.evaluation.stored.clips import StoredClip, StoredFrame, names_of_folders
from avscli.evaluation.stored.shapes import StoredMask, painted
from avscli.masks import decode_mask
from avscli.outputs.journal import JOURNAL_NAME
from avscli.outputs.run import Run, run_folders

if TYPE_CHECKING:
    from pathlib import Path

    from avscli.outputs.journal import JournalEntry


def run_clips(path: Path, num_classes: int) -> list[StoredClip]:
    """Return the finished runs in a folder as clips, none if there are none.

    Args:
        path: a run folder, or a folder with run folders at any depth.
        num_classes: of the labels, including the background; 2 takes everything above 0 as one.

    Raises:
        DataError: one of them is damaged.
    """
    runs = run_folders(path)
    names = names_of_folders(path, runs)
    return [_run_clip(run, names[run], num_classes) for run in runs]


def recorded_weights(path: Path) -> list[dict[str, str]]:
    """Return name and hash of the weights that run folders say their masks are from.

    Raises:
        DataError: one of them is damaged.
    """
    stated = (Run.open(folder).record.checkpoint for folder in run_folders(path))
    weights = {(checkpoint.name, checkpoint.sha256) for checkpoint in stated}
    return [{"name": name, "sha256": sha256} for name, sha256 in sorted(weights)]


def _run_clip(folder: Path, name: str, num_classes: int) -> StoredClip:
    run = Run.open(folder)

    def frames() -> list[StoredFrame]:
        return [_journal_frame(run, entry, num_classes) for entry in run.frames()]

    return StoredClip(name, dense=True, frames=frames)


def _journal_frame(run: Run, entry: JournalEntry, num_classes: int) -> StoredFrame:
    name = f"{run.folder / JOURNAL_NAME} frame {entry.frame}"
    masks = [
        StoredMask(each.category_id, m.size_hw, partial(decode_mask, counts=m.counts))
        for each in entry.objects
        for m in (each.mask,)
    ]
    score = entry.score if masks else 1.0 - entry.score
    return StoredFrame(
        name,
        entry.frame,
        entry.time_seconds,
        score,
        partial(painted, name, masks, run.size_hw, num_classes),
    )

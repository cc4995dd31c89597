"""confidence.csv of a corrected run: the network's numbers, as far as they still hold."""

from __future__ import annotations

import csv
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from avscli.errors import DataError
from avscli.outputs.confidence import COLUMNS, CONFIDENCE_NAME
from avscli.outputs.disk import LineFile
from avscli.outputs.journal import JOURNAL_NAME, read_journal
from avscli.review.corrected import pixels_of

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

    from avscli.outputs.journal import JournalEntry
    from avscli.outputs.run import Run

_OF_THE_MASK = ("num_components", "mean_probability", "temporal_iou")  # on the network's own grid


def write_confidence(folder: Path, run: Run, changed: Container[int]) -> None:
    """Write confidence.csv beside the corrected journal of `folder`.

    Columns about the mask follow it; what was measured on the network's grid is left empty where
    the mask changed, as is the IoU with it in the analysed frame after.

    Args:
        folder: of the corrected run.
        run: that was reviewed.
        changed: numbers of the frames whose masks changed.

    Raises:
        DataError: the run's own file is damaged.
        OutputError: the disk is full or gone.
    """
    path = run.folder / CONFIDENCE_NAME
    follows_change = False  # the analysed frame before has another mask now
    was_changed = False
    with (
        path.open(encoding="utf-8", newline="") as stored,
        LineFile(folder / CONFIDENCE_NAME) as out,
    ):
        rows = csv.DictReader(stored)
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise DataError(f"{path} has other columns than this version writes")
        written = csv.writer(out, lineterminator="")
        written.writerow(COLUMNS)
        for entry in read_journal(folder / JOURNAL_NAME):
            row = next(rows, None)
            if row is None or row["frame"] != str(entry.frame) or None in row.values():
                raise DataError(f"{path} does not tell of frame {entry.frame}")
            if not entry.interpolated:
                follows_change, was_changed = was_changed, entry.frame in changed
            row["flags"] = ";".join(entry.flags)
            if follows_change:
                row["temporal_iou"] = ""
            if entry.frame in changed:
                row.update(_of_corrected(entry, run))
            written.writerow([row[column] for column in COLUMNS])


def _of_corrected(entry: JournalEntry, run: Run) -> dict[str, str]:
    return dict.fromkeys(_OF_THE_MASK, "") | {
        "state": entry.state,
        "score": f"{entry.score:.6f}",
        "area_share": f"{_marked_share(entry, run):.6f}",
    }


def _marked_share(entry: JournalEntry, run: Run) -> float:
    """Return the share of the frame that is marked; where masks overlap, once."""
    where = f"{run.folder / JOURNAL_NAME} frame {entry.frame}"
    masks = (pixels_of(each, run.size_hw, where) for each in entry.objects)
    marked = reduce(np.logical_or, masks, np.zeros(run.size_hw, np.bool_))
    return float(marked.mean())

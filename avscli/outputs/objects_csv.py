"""objects.csv: one row per object, for spreadsheets."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from avscli.outputs.disk import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from avscli.results import ObjectSummary

OBJECTS_NAME = "objects.csv"
COLUMNS = (
    *("track_id", "class", "class_score", "heard", "first", "last", "seconds_sounding"),
    *("intervals", "mean_score", "mean_area", "flags"),
)


def write_objects(path: Path, objects: Iterable[ObjectSummary]) -> None:
    """Write the table.

    Raises:
        OutputError: the disk is full or gone.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows(_row(each) for each in objects)
    write_atomically(path, text.getvalue())


def _row(each: ObjectSummary) -> tuple[object, ...]:
    return (
        each.track_id,
        _in_a_line(each.category),
        f"{each.category_score:.6f}",
        _in_a_line(each.heard),
        f"{each.first_seconds:.6f}",
        f"{each.last_seconds:.6f}",
        f"{each.sounding_seconds:.6f}",
        ";".join(f"{start:.6f}-{end:.6f}" for start, end in each.intervals),
        f"{each.mean_score:.6f}",
        f"{each.mean_area:.1f}",
        ";".join(each.flags),
    )


def _in_a_line(name: str) -> str:
    """Return a name that spreadsheets neither break nor compute."""
    line = " ".join(name.split())
    return f"'{line}" if line[:1] in tuple("=+-@") else line

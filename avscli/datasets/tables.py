"""The csv tables of data sets."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from avscli.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def read_table(path: Path, columns: tuple[str, ...], kind: str) -> tuple[dict[str, str], ...]:
    """Read a csv table with a header; every row has a text for each of the columns.

    Args:
        path: the table.
        columns: that must be there; others may be.
        kind: of data set that the table belongs to, for the hint.

    Raises:
        DataError: it is unreadable, empty, lacks a column, or has a short row.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, header = tuple(reader), tuple(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        told = err.strerror if isinstance(err, OSError) else err
        raise DataError(
            f"cannot read {path}: {told}", hint=f"is this the root of a copy of {kind}?"
        ) from err
    missing = [c for c in columns if c not in header]
    if missing:
        raise DataError(
            f"{path} lacks the column {missing[0]!r}", hint=f"it has {', '.join(header) or 'none'}"
        )
    for number, row in enumerate(rows, start=2):
        short = [c for c in columns if row[c] is None]
        if short:
            raise DataError(f"{path}, line {number}: nothing in the column {short[0]!r}")
    return rows

"""Recordings of kinds that avsmix lacks: negatives, classes it only shows, and much of no label.

A folder with ``sounds.csv`` (columns audio, audio_class, split). What makes the sounds of a class
stands in ``sounds_sources.csv`` beside this module: source classes joined by ``|``, ``off_screen``
where nothing visible does, ``unclear`` where the name of the class does not tell.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from avscli.datasets.tables import read_table

if TYPE_CHECKING:
    from pathlib import Path

    from avscli.config import Split

_UNCLEAR = "unclear"
_OFF_SCREEN = "off_screen"


@dataclass(frozen=True, slots=True)
class FurtherSound:
    """One recording.

    Attributes:
        makers: source classes that can make it, empty when nothing visible does; None when nobody
            knows.
    """

    audio: Path
    audio_class: str
    makers: frozenset[str] | None


def further_sounds(root: Path, split: Split) -> list[FurtherSound]:
    """Return the recordings of one split, in file order.

    Raises:
        DataError: the table is missing or lacks a column.
    """
    known = _makers()
    rows = read_table(root / "sounds.csv", ("audio", "audio_class", "split"), "sounds")
    return [
        FurtherSound(root / row["audio"], row["audio_class"], known.get(row["audio_class"]))
        for row in rows
        if row["split"] == split
    ]


@cache
def _makers() -> dict[str, frozenset[str] | None]:
    table = resources.files("avscli.training") / "sounds_sources.csv"
    with table.open(encoding="utf-8") as file:
        return {row["audio_class"]: _read(row["sources"]) for row in csv.DictReader(file)}


def _read(cell: str) -> frozenset[str] | None:
    if cell == _UNCLEAR:
        return None
    return frozenset() if cell == _OFF_SCREEN else frozenset(cell.split("|"))

"""AudioSet's names of sounds, and which things that can be seen make them.

``audioset_sources.csv`` is the ontology: a row per name, in the order of the published taggers'
outputs, with the source classes that can make it (joined by ``|``), ``off_screen`` where none of
them can, or ``any`` where the name does not tell (Animal, Music, Vehicle: what makes them has a
closer name).

Source of the names: Gemmeke et al., "Audio Set: An ontology and human-labeled dataset for audio
events", ICASSP 2017.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

OFF_SCREEN = "off_screen"
ANY = "any"


@cache
def audioset_names() -> tuple[str, ...]:
    """Return the 527 names, by index."""
    return tuple(name for name, _ in _rows())


def makers_of_names(source_classes: Sequence[str]) -> NDArray[np.bool_]:
    """Return [527, K]: which of K source classes can make what has a name."""
    makers = [frozenset(makers.split("|")) for _, makers in _rows()]
    return np.array([[name in each for name in source_classes] for each in makers], np.bool_)


def telling_names() -> NDArray[np.bool_]:
    """Return [527]: whether a name tells what makes the sound, be it nothing visible."""
    return np.array([makers != ANY for _, makers in _rows()], np.bool_)


@cache
def _rows() -> tuple[tuple[str, str], ...]:
    table = resources.files("avscli.audio") / "audioset_sources.csv"
    with table.open(encoding="utf-8") as file:
        return tuple((row["audioset_name"], row["sources"]) for row in csv.DictReader(file))

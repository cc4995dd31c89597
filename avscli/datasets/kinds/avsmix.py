"""avsmix: fixed pairs of a picture and a sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from avscli.datasets.avsmix import AvsMix, Pair, Picture, Sound, load_pair, one_sound
from avscli.datasets.label_files import picture_of, sound_of
from avscli.datasets.problems import Check, Problem, ReadFiles, missing_files
from avscli.datasets.side_by_side import side_by_side
from avscli.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Set

    from avscli.config import DataSelection, Split
    from avscli.datasets.contract import SideBySide
    from avscli.datasets.labelled import LabelledClip
    from avscli.datatypes import AudioTrack

_SEED = 0  # of foreign sounds and of couples side by side


@dataclass(frozen=True, slots=True)
class AvsMixPairs:
    """The pairs of one table.

    Attributes:
        data: a copy of avsmix.
        split: other sounds and pictures come from it.
        pairs: of the table.
        table: its name.
    """

    data: AvsMix
    split: Literal["val", "test"]
    pairs: Sequence[Pair]
    table: str
    kind: Literal["avsmix"] = "avsmix"
    class_names: tuple[str, ...] = ()
    evaluated_steps: None = None

    @property
    def facts(self) -> dict[str, object]:
        """Kind, split and table."""
        return {
            "kind": self.kind,
            "split": self.split,
            "pairs": self.table,
            "truth": "masks by class",
        }

    def __len__(self) -> int:
        return len(self.pairs)

    def read(self, index: int) -> LabelledClip:
        """Read one pair as a clip of one step.

        Raises:
            DataError: a file is missing or unreadable, or picture and mask differ in size.
        """
        return load_pair(self.data, self.pairs[index])

    def missing(self, index: int) -> list[Problem]:
        """Return the files of a pair that are missing, and a class that no table names."""
        pair = self.pairs[index]
        of = f"{self.data.root / self.table}, pair {pair.pair_id}"
        unknown = _unknown_classes(self.data, pair.image, pair.sounding, of=of)
        return unknown + missing_files((pair.image, pair.mask, *pair.audio), of=of)

    def foreign_sounds(self) -> Iterator[AudioTrack | None]:
        """Yield a recording of a class that is not in the picture; None where nothing sounds.

        Raises:
            DataError: a pair's picture is not of the split.
        """
        rng = np.random.default_rng(_SEED)
        sounds = self.data.sounds_with_source(self.split)
        classes = {picture.image: picture.classes for picture in self.data.pictures(self.split)}
        for pair in self.pairs:
            if not pair.sounding:
                yield None
                continue
            if pair.image not in classes:
                raise DataError(
                    f"pair {pair.pair_id}: {pair.image} is not in images.csv as "
                    f"split {self.split!r}"
                )
            absent = [s for s in sounds if not s.visual_classes & classes[pair.image]]
            yield one_sound(absent, rng)

    def side_by_side(self, count: int) -> Iterator[SideBySide]:
        """Put pictures of the split side by side, see `avscli.datasets.side_by_side`."""
        return side_by_side(self.data, self.split, count=count, seed=_SEED)


def open_set(selection: DataSelection) -> AvsMixPairs:
    """Open a table of pairs.

    Raises:
        DataError: a table is not as its format says, or has no pair.
        UsageError: no root, or a split that has no fixed pairs.
    """
    root, split = selection.root, selection.split
    if root is None:
        raise UsageError("--data avsmix needs --root DIR")
    if split == "train":
        raise UsageError("avsmix has fixed pairs for --split val and test only")
    data = AvsMix.open(root)
    table = root / (selection.pairs or f"pairs_{split}.csv")
    pairs = data.pairs_in(table)[: selection.limit]
    if not pairs:
        raise DataError(f"{table} has no pair")
    return AvsMixPairs(data, split, pairs, table.name)


def checks(kind: str, root: Path, split: Split) -> Sequence[Check]:  # noqa: ARG001 – one layout
    """Return a check for every picture, recording and pair of a split."""
    data = AvsMix.open(root)
    pictures, sounds = data.pictures(split), data.sounds(split)
    table = root / f"pairs_{split}.csv"
    pairs = data.pairs_in(table) if table.is_file() else ()
    listed = {p for each in pictures for p in (each.image, each.mask)} | {s.audio for s in sounds}
    return [
        *(partial(_problems_of_picture, data, picture) for picture in pictures),
        *(partial(_problems_of_sound, data, sound) for sound in sounds),
        *(partial(_problems_of_pair, data, table, pair, listed) for pair in pairs),
    ]


def _unknown_classes(data: AvsMix, path: Path, names: frozenset[str], *, of: str) -> list[Problem]:
    return [
        Problem(path, f"{of}: its row names the class {name!r}, classes.csv does not")
        for name in sorted(names - data.class_index.keys())
    ]


def _problems_of_picture(data: AvsMix, picture: Picture) -> list[Problem]:
    found, of = ReadFiles(), f"picture {picture.image}"
    size = found.size_of(picture.image, lambda p: picture_of(p).shape[:2])
    found.size_of(picture.mask, lambda p: data.indices(p).shape, size, picture.image)
    return [
        *_unknown_classes(data, picture.image, picture.classes, of=of),
        *missing_files((picture.image, picture.mask), of=of),
        *found.problems,
    ]


def _problems_of_sound(data: AvsMix, sound: Sound) -> list[Problem]:
    found, of = ReadFiles(), f"sound {sound.audio}"
    found.size_of(sound.audio, lambda p: sound_of(p).shape)
    return [
        *_unknown_classes(data, sound.audio, sound.visual_classes, of=of),
        *missing_files((sound.audio,), of=of),
        *found.problems,
    ]


def _problems_of_pair(data: AvsMix, table: Path, pair: Pair, listed: Set[Path]) -> list[Problem]:
    """Return what is wrong with a pair, but for files that tables list: those are read anyway."""
    unlisted = {pair.image, pair.mask, *pair.audio} - listed
    of = f"{table}, pair {pair.pair_id}"
    unknown = _unknown_classes(data, pair.image, pair.sounding, of=of)
    return unknown + missing_files(sorted(unlisted), of=of)

"""avsmix: real pictures with class masks × real recordings, joined by class.

A composite set in the manner of the published VPO benchmark: nothing in it is a recording of
the very object in the picture. Format: ``images.csv``, ``audio.csv``, ``classes.csv``,
``class_map.csv`` and ``pairs_{val,test}.csv`` beside the folders they name.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from avscli.datasets.label_files import index_labels_of, picture_of, sound_of
from avscli.datasets.labelled import LabelledClip
from avscli.datasets.problems import require_size
from avscli.datasets.tables import read_table
from avscli.datatypes import SAMPLE_RATE_HZ, VOID, WINDOW_SAMPLES, AudioTrack
from avscli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

    from avscli.config import Split


@dataclass(frozen=True, slots=True)
class Picture:
    """One labelled picture."""

    image: Path
    mask: Path
    classes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Sound:
    """One recording and the visible classes that may make it; empty when none can."""

    audio: Path
    audio_class: str
    visual_classes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Pair:
    """A fixed composite for scoring; empty ``sounding`` means that nothing visible sounds."""

    pair_id: str
    image: Path
    mask: Path
    audio: tuple[Path, ...]
    kind: str
    audio_class: str
    sounding: frozenset[str]


@dataclass(frozen=True, slots=True)
class AvsMix:
    """The tables of a copy of avsmix; pictures and sounds are read when asked for.

    Attributes:
        class_index: mask value of every visual class.
        ambiguous: audio classes that may come from something visible without a clear answer.
    """

    root: Path
    class_index: Mapping[str, int]
    ambiguous: frozenset[str]

    @classmethod
    def open(cls, root: Path) -> AvsMix:
        """Open a copy.

        Raises:
            DataError: a table is missing or lacks a column, or a class has no place in masks.
        """
        table = root / "classes.csv"
        classes = _rows(table, ("index", "name"))
        for number, row in enumerate(classes, start=2):
            if not row["index"].isdecimal() or int(row["index"]) > VOID:
                raise DataError(
                    f"{table}, line {number}: index is {row['index']!r}, expected 0 … {VOID}"
                )
        class_map = _rows(root / "class_map.csv", ("audio_class", "visual_classes", "role"))
        return cls(
            root,
            {row["name"]: int(row["index"]) for row in classes},
            frozenset(r["audio_class"] for r in class_map if r["role"] == "ambiguous"),
        )

    def pictures(self, split: Split) -> list[Picture]:
        """Return the labelled pictures of one split, in file order."""
        columns = ("image", "mask", "classes_in_mask", "split")
        return [
            Picture(self.root / r["image"], self.root / r["mask"], _names(r["classes_in_mask"]))
            for r in _rows(self.root / "images.csv", columns)
            if r["split"] == split
        ]

    def sounds(self, split: Split) -> list[Sound]:
        """Return the recordings of one split, in file order."""
        columns = ("audio", "audio_class", "split", "visual_classes")
        return [
            Sound(self.root / r["audio"], r["audio_class"], _names(r["visual_classes"]))
            for r in _rows(self.root / "audio.csv", columns)
            if r["split"] == split
        ]

    def sounds_with_source(self, split: Split) -> list[Sound]:
        """Return the recordings that something visible makes without doubt, in file order."""
        return [
            s
            for s in self.sounds(split)
            if s.visual_classes and s.audio_class not in self.ambiguous
        ]

    def pairs(self, split: Literal["val", "test"]) -> list[Pair]:
        """Return the fixed composites of one split, in file order."""
        return self.pairs_in(self.root / f"pairs_{split}.csv")

    def pairs_in(self, table: Path) -> list[Pair]:
        """Return the composites of a table, in file order; its paths are relative to the root."""
        paths = ("image", "mask", "audio", "audio2")
        columns = ("pair_id", *paths, "kind", "audio_class", "sounding_classes")
        return [
            Pair(
                r["pair_id"],
                self.root / r["image"],
                self.root / r["mask"],
                tuple(self.root / r[k] for k in ("audio", "audio2") if r[k]),
                r["kind"],
                r["audio_class"],
                _names(r["sounding_classes"]),
            )
            for r in _rows(table, columns)
        ]

    def indices(self, mask: Path) -> NDArray[np.uint8]:
        """Read a mask as class indices [H, W] uint8, 255 void.

        Raises:
            DataError: it is missing or unreadable, or holds an index that no class has.
        """
        indices = index_labels_of(mask, VOID)
        known = np.zeros(256, np.bool_)
        known[[*self.class_index.values(), VOID]] = True
        strange = indices[~known[indices]]
        if len(strange):
            raise DataError(f"mask {mask} holds {strange.min()}, which classes.csv does not name")
        return indices

    def target(self, indices: NDArray[np.uint8], sounding: frozenset[str]) -> NDArray[np.uint8]:
        """Turn class indices [H, W] into 1 = sounds, 0 = does not, 255 = void.

        Raises:
            DataError: a class is not in ``classes.csv``.
        """
        if unknown := sounding - self.class_index.keys():
            raise DataError(f"{self.root / 'classes.csv'} does not name {min(unknown)!r}")
        table = np.zeros(256, np.uint8)
        table[[self.class_index[name] for name in sounding]] = 1
        table[VOID] = VOID
        return table[indices]


def load_pair(data: AvsMix, pair: Pair) -> LabelledClip:
    """Read a pair as a clip of one step, with its sound as in `centred_sound`.

    Raises:
        DataError: a file is missing or unreadable, or picture and mask differ in size.
    """
    target = data.target(data.indices(pair.mask), pair.sounding)
    picture = picture_of(pair.image)
    require_size(pair.mask, target.shape, picture.shape[:2], pair.image)
    known = np.ones(1, np.bool_)
    return LabelledClip(
        clip_id=pair.pair_id,
        pictures=picture[None],
        sound=centred_sound([sound_of(path) for path in pair.audio]),
        targets=target[None],
        labelled=known,
        valid=known,
        kind=pair.kind,
        category=next(iter(pair.sounding)) if len(pair.sounding) == 1 else None,
    )


def one_sound(sounds: Sequence[Sound], rng: Generator) -> AudioTrack:
    """Read one of some recordings, drawn at random, as in `centred_sound`."""
    return centred_sound([sound_of(sounds[int(rng.integers(len(sounds)))].audio)])


def centred_sound(recordings: Sequence[NDArray[np.float32]]) -> AudioTrack:
    """Sum recordings so that the middle of each one's loudest 0.975 s lies at time 0.

    Args:
        recordings: [N] float32 each, at 16 kHz; none are digital silence.
    """
    firsts = [-loudest_start(samples) - WINDOW_SAMPLES // 2 for samples in recordings]
    first = min(firsts, default=0)
    ends = [at + len(samples) for at, samples in zip(firsts, recordings, strict=True)]
    mixed = np.zeros(max(ends, default=0) - first, np.float32)
    for at, samples in zip(firsts, recordings, strict=True):
        mixed[at - first : at - first + len(samples)] += samples
    return AudioTrack(np.clip(mixed, -1.0, 1.0), SAMPLE_RATE_HZ, first / SAMPLE_RATE_HZ)


def loudest_window(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the 15 600 consecutive samples with the most energy, zero-padded when short."""
    start = loudest_start(samples)
    window = samples[start : start + WINDOW_SAMPLES]
    return np.pad(window, (0, WINDOW_SAMPLES - len(window)))


def loudest_start(samples: NDArray[np.float32]) -> int:
    """Return where the 15 600 consecutive samples with the most energy begin."""
    if len(samples) <= WINDOW_SAMPLES:
        return 0
    energy = np.concatenate(([0.0], np.cumsum(samples.astype(np.float64) ** 2)))
    return int(np.argmax(energy[WINDOW_SAMPLES:] - energy[:-WINDOW_SAMPLES]))


def by_class(pictures: list[Picture]) -> dict[str, list[Picture]]:
    """Group pictures by every class their masks contain."""
    groups: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        for name in sorted(picture.classes):
            groups[name].append(picture)
    return dict(groups)


def _rows(path: Path, columns: tuple[str, ...]) -> tuple[dict[str, str], ...]:
    return read_table(path, columns, "avsmix")


def _names(cell: str) -> frozenset[str]:
    return frozenset(name for name in cell.split("|") if name)

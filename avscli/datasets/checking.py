"""What is wrong with a copy of a data set, file by file, before anything is trained on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from avscli.datasets.avsbench import SPLITS, AvsBench, AvsBenchKind, require_size
from avscli.datasets.avsmix import AvsMix
from avscli.datasets.label_files import picture_of
from avscli.errors import DataError, MediaError
from avscli.media.stills import read_waveform

if TYPE_CHECKING:
    from collections.abc import Sequence, Set
    from pathlib import Path

    from avscli.datasets.avsbench import ClipFiles, Split
    from avscli.datasets.avsmix import Pair, Picture, Sound

DataKind = AvsBenchKind | Literal["avsmix"]
_PICTURES = (".png", ".jpg")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as the format says.

    Attributes:
        file: the file or folder it is about.
        message: what is wrong with it; names it again.
    """

    file: Path
    message: str


@dataclass(frozen=True, slots=True)
class DataCheck:
    """What a check found.

    Attributes:
        num_items: clips (of avsmix: pictures, recordings and pairs) by split.
        problems: in table order; empty when all is well.
    """

    num_items: dict[str, int]
    problems: tuple[Problem, ...]


_Check = Callable[[], list[Problem]]


def check_data(
    kind: DataKind,
    root: Path,
    *,
    splits: Sequence[Split] = SPLITS,
    on_progress: Callable[[int, int], None] | None = None,
) -> DataCheck:
    """Read every file that training or evaluation would read.

    Args:
        kind: which layout.
        root: of the copy.
        splits: the splits to look at.
        on_progress: told how many items of how many are done; None tells nobody.

    Raises:
        DataError: a table itself cannot be used.
    """
    find = _avsmix_checks if kind == "avsmix" else partial(_clip_checks, kind)
    checks = {split: find(root, split) for split in splits}
    everything = [check for of_split in checks.values() for check in of_split]
    problems: list[Problem] = []
    # Decoding leaves the interpreter's lock, so threads share the work.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, found in enumerate(pool.map(lambda check: check(), everything), start=1):
            problems += found
            if on_progress is not None:
                on_progress(done, len(everything))
    return DataCheck({split: len(of_split) for split, of_split in checks.items()}, tuple(problems))


def require_sound_data(check: DataCheck, kind: str, root: Path) -> None:
    """Refuse a copy with problems.

    Raises:
        DataError: naming the first problem and how many there are.
    """
    if check.problems:
        count = len(check.problems)
        raise DataError(
            f"{kind} at {root}: {count} problem{'s' if count > 1 else ''}, the first: "
            f"{check.problems[0].message}",
            hint=f"all of them: avs data check {kind} {root}",
        )


def _clip_checks(kind: AvsBenchKind, root: Path, split: Split) -> Sequence[_Check]:
    data = AvsBench.open(kind, root)
    return [partial(_problems_of_clip, data, files) for files in data.files(split)]


def _avsmix_checks(root: Path, split: Split) -> Sequence[_Check]:
    data = AvsMix.open(root)
    pictures, sounds = data.pictures(split), data.sounds(split)
    table = root / f"pairs_{split}.csv"
    pairs = data.pairs_in(table) if table.is_file() else ()
    listed = {p for each in pictures for p in (each.image, each.mask)} | {s.audio for s in sounds}
    return [
        *(partial(_problems_of_picture, data, picture) for picture in pictures),
        *(partial(_problems_of_sound, data, sound) for sound in sounds),
        *(partial(_problems_of_pair, data, pair, listed) for pair in pairs),
    ]


def _problems_of_picture(data: AvsMix, picture: Picture) -> list[Problem]:
    found = _Found()
    found.add_unknown(picture.image, picture.classes, data)
    size = found.size_of(picture.image, lambda p: picture_of(p).shape[:2], None, picture.image)
    found.size_of(picture.mask, lambda p: data.indices(p).shape, size, picture.image)
    return found.problems


def _problems_of_sound(data: AvsMix, sound: Sound) -> list[Problem]:
    found = _Found()
    found.add_unknown(sound.audio, sound.visual_classes, data)

    def read(path: Path) -> tuple[int, ...]:
        try:
            samples = read_waveform(path)
        except MediaError as err:
            told = "damaged" if path.exists() else "no"
            raise DataError(f"{told} sound {path}") from err
        if not len(samples):
            raise DataError(f"sound {path} is empty")
        return samples.shape

    found.size_of(sound.audio, read, None, sound.audio)
    return found.problems


def _problems_of_pair(data: AvsMix, pair: Pair, listed: Set[Path]) -> list[Problem]:
    """Return what is wrong with a pair, but for files that tables list: those are read anyway."""
    found = _Found()
    found.add_unknown(pair.image, pair.sounding, data)
    for path in (pair.image, pair.mask, *pair.audio):
        if path not in listed and not path.is_file():
            found.problems.append(Problem(path, f"pair {pair.pair_id}: {path} is missing"))
    return found.problems


def _problems_of_clip(data: AvsBench, files: ClipFiles) -> list[Problem]:
    found = _Found()
    folder = files.frames[0].parent
    if not folder.is_dir():
        found.problems.append(Problem(folder, f"no folder of pictures {folder}"))
        return found.problems
    labels = [path for path in files.labels if path is not None]
    expected = set(files.frames)
    if len(labels) == len(files.frames):  # else others may lie there, and nobody reads them
        expected |= set(labels)
    for place in sorted({path.parent for path in expected}):
        found.add_strangers(place, expected)
    size: tuple[int, ...] | None = None
    for path in files.frames:
        size = found.size_of(path, lambda p: picture_of(p).shape[:2], size, files.frames[0])
    for step, label in enumerate(files.labels):
        if label is not None:
            found.size_of(label, lambda p: data.read_label(p).shape, size, files.frames[step])
    found.size_of(files.sound, lambda _: data.read_sound(files)[0].shape, None, files.sound)
    return found.problems


class _Found:
    """Collects the problems of one clip."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add_strangers(self, folder: Path, expected: set[Path]) -> None:
        """Add a problem for every picture of a folder that is not expected there."""
        if not folder.is_dir():
            return  # each of its files will be missed
        for path in sorted(folder.iterdir()):
            if path.suffix in _PICTURES and path not in expected:
                self.problems.append(Problem(path, f"one picture too many: {path}"))

    def add_unknown(self, path: Path, names: frozenset[str], data: AvsMix) -> None:
        """Add a problem for a class of a file's row that ``classes.csv`` does not name."""
        for name in sorted(names - data.class_index.keys()):
            told = f"{path}: its row names the class {name!r}, classes.csv does not"
            self.problems.append(Problem(path, told))

    def size_of(
        self,
        path: Path,
        read: Callable[[Path], tuple[int, ...]],
        expected: tuple[int, ...] | None,
        as_in: Path,
    ) -> tuple[int, ...] | None:
        """Read a file; add what is wrong with it or with its size; return the size to go by."""
        try:
            size = read(path)
            if expected is not None:
                require_size(path, size, expected, as_in)
        except DataError as err:
            self.problems.append(Problem(path, str(err)))
            return expected
        return size

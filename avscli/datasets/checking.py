"""What is wrong with a copy of a data set, file by file, before anything is trained on it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from avscli.datasets.avsbench import SPLITS, AvsBench, require_size
from avscli.datasets.label_files import picture_of
from avscli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from avscli.datasets.avsbench import AvsBenchKind, ClipFiles, Split

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
        num_clips: by split.
        problems: in table order; empty when all is well.
    """

    num_clips: dict[str, int]
    problems: tuple[Problem, ...]


def check_avsbench(
    kind: AvsBenchKind,
    root: Path,
    *,
    splits: Sequence[Split] = SPLITS,
    on_progress: Callable[[int, int], None] | None = None,
) -> DataCheck:
    """Read every file that training or evaluation would read.

    Args:
        kind: which of the three layouts.
        root: of the copy.
        splits: the splits to look at.
        on_progress: told how many clips of how many are done; None tells nobody.

    Raises:
        DataError: the table itself cannot be used.
    """
    data = AvsBench.open(kind, root)
    clips = [files for split in splits for files in data.files(split)]
    problems: list[Problem] = []
    # Decoding leaves the interpreter's lock, so threads share the work.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, found in enumerate(pool.map(lambda f: _problems_of(data, f), clips), start=1):
            problems += found
            if on_progress is not None:
                on_progress(done, len(clips))
    counts: dict[str, int] = {split: sum(f.split == split for f in clips) for split in splits}
    return DataCheck(counts, tuple(problems))


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


def _problems_of(data: AvsBench, files: ClipFiles) -> list[Problem]:
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

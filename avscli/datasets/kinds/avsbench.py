"""AVSBench: S4, MS3 and AVSS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avscli.datasets.avsbench import AVSBENCH_KINDS, AVSS_CLASSES, AvsBench, ClipFiles
from avscli.datasets.label_files import picture_of
from avscli.datasets.problems import (
    Check,
    Problem,
    ReadFiles,
    extra_pictures,
    missing_files,
)
from avscli.datatypes import PatchTrack
from avscli.errors import UsageError

if TYPE_CHECKING:
    from avscli.config import DataSelection, Split
    from avscli.datasets.labelled import LabelledClip


@dataclass(frozen=True, slots=True)
class AvsBenchClips:
    """The clips of one split.

    Attributes:
        data: an opened copy.
        files: of the clips, in table order.
    """

    data: AvsBench
    files: Sequence[ClipFiles]

    @property
    def kind(self) -> str:
        """The data's own."""
        return self.data.kind

    @property
    def class_names(self) -> tuple[str, ...]:
        """The 71 of AVSS; of the others none."""
        return AVSS_CLASSES if self.data.num_classes > 1 else ()

    @property
    def evaluated_steps(self) -> int | None:
        """10 for AVSS: the published evaluation pads every clip to that, and scores the padding."""
        return 10 if self.class_names else None

    @property
    def facts(self) -> dict[str, object]:
        """Kind, split, and the folder that the truth lies in."""
        label = self.files[0].labels[0]
        truth = label.parent.name if self.class_names and label else "gt_masks"
        return {"kind": self.kind, "split": self.files[0].split, "truth": truth}

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> LabelledClip:
        """Read one clip.

        Raises:
            DataError: naming the file that is not as its format says.
        """
        return self.data.read(self.files[index])

    def missing(self, index: int) -> list[Problem]:
        """Return the files of a clip that are missing, and pictures too many."""
        return _missing(self.files[index])

    def foreign_sounds(self) -> Iterator[PatchTrack | None]:
        """Yield the sound of the last clip before of another category; MS3 names none: of any."""
        before: ClipFiles | None = None
        donor: ClipFiles | None = None
        for files in self.files:
            if before is not None and (files.category is None or before.category != files.category):
                donor = before  # tables list one category after the other
            yield None if donor is None else self._lent(donor, len(files.frames))
            before = files

    def _lent(self, donor: ClipFiles, num_steps: int) -> PatchTrack:
        """Return a clip's sound for a number of steps, from its start again where it ends."""
        sound = self.data.read_sound(donor)
        return sound.taken(np.arange(num_steps) % len(sound.log_mel))


def open_set(selection: DataSelection) -> AvsBenchClips:
    """Open one split of a copy.

    Raises:
        DataError: its table is not as the format says, or the split has no clip.
        UsageError: no root.
    """
    if selection.root is None:
        raise UsageError(f"--data {selection.kind} needs --root DIR")
    data = _opened(selection.kind, selection.root)
    return AvsBenchClips(data, data.files(selection.split)[: selection.limit])


def checks(kind: str, root: Path, split: Split) -> Sequence[Check]:
    """Return a check for every clip of a split."""
    data = _opened(kind, root)
    return [partial(_problems_of_clip, data, files) for files in data.files(split)]


def _opened(kind: str, root: Path) -> AvsBench:
    return AvsBench.open(next(known for known in AVSBENCH_KINDS if known == kind), root)


def _missing(files: ClipFiles) -> list[Problem]:
    of = f"clip {files.clip_id}"
    folder = files.frames[0].parent
    if not folder.is_dir():
        return [Problem(folder, f"{of}: there is no folder of pictures {folder}")]
    labels = [path for path in files.labels if path is not None]
    missing = missing_files([*files.frames, *labels, files.sound], of=of)
    expected = set(files.frames)
    if len(labels) == len(files.frames):  # else others may lie there, and nobody reads them
        expected |= set(labels)
    return missing + extra_pictures(expected, of=of)


def _problems_of_clip(data: AvsBench, files: ClipFiles) -> list[Problem]:
    found = ReadFiles()
    size: tuple[int, ...] | None = None
    for path in files.frames:
        size = found.size_of(path, lambda p: picture_of(p).shape[:2], size, files.frames[0])
    for step, label in enumerate(files.labels):
        if label is not None:
            found.size_of(label, lambda p: data.read_label(p).shape, size, files.frames[step])
    found.size_of(files.sound, lambda _: data.read_sound(files).log_mel.shape)
    return _missing(files) + found.problems

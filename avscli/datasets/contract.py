"""What every kind of data set offers to checking, evaluation and training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, get_args, runtime_checkable

from avscli.config import Split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from avscli.config import DataSelection
    from avscli.datasets.labelled import LabelledClip
    from avscli.datasets.labelled_video import LabelledVideo
    from avscli.datasets.problems import Check, Problem
    from avscli.datatypes import AudioTrack, PatchTrack

SPLITS: tuple[Split, ...] = get_args(Split)


class LabelledSet(Protocol):
    """A numbered set of labelled clips; each is read when asked for."""

    @property
    def kind(self) -> str:
        """Kind of data, as the command line names it."""

    @property
    def facts(self) -> Mapping[str, object]:
        """What it is and where its truth comes from, for reports."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by label, background first; empty for one kind of mask."""

    @property
    def evaluated_steps(self) -> int | None:
        """Steps that clips are padded to when they are scored; None scores them as they are."""

    def __len__(self) -> int:
        """How many clips there are."""

    def read(self, index: int) -> LabelledClip:
        """Return one clip, the same each time.

        Raises:
            DataError: naming the file that is not as its format says.
        """

    def missing(self, index: int) -> list[Problem]:
        """Return the files of a clip that are not there, or that nothing asks for; reads none."""

    def foreign_sounds(self) -> Iterator[AudioTrack | PatchTrack | None]:
        """Yield for every clip in order a sound that nothing visible in it makes.

        None where there is no such sound, or nothing sounds in the clip.
        """


@dataclass(frozen=True, slots=True, eq=False)
class SideBySide:
    """Two pictures in one frame, with the sound of one of them.

    Attributes:
        clip: of one step; its target is the object that sounds.
        other: [H, W] bool, the object that does not.
    """

    clip: LabelledClip
    other: NDArray[np.bool_]


@runtime_checkable
class HasSideBySide(Protocol):
    """A set of pictures of single objects, which can be put side by side."""

    def side_by_side(self, count: int) -> Iterator[SideBySide]:
        """Make two clips each of `count` couples of pictures."""


@runtime_checkable
class VideoSet(Protocol):
    """A numbered set of videos with labels by the second, to be read as any video is.

    It hands out no frames: they come the way those of `avs segment` come.
    """

    @property
    def kind(self) -> str:
        """Kind of data, as the command line names it."""

    @property
    def facts(self) -> Mapping[str, object]:
        """What it is and where its truth comes from, for reports."""

    @property
    def videos(self) -> Sequence[LabelledVideo]:
        """The videos with what is known of their seconds."""

    def problems(self, index: int) -> list[Problem]:
        """Return what headers and masks show to be wrong with a video; decodes one frame."""


class _Checked(Protocol):
    """What the module of every kind has."""

    def checks(self, kind: str, root: Path, split: Split) -> Sequence[Check]:
        """Return a check for every item of a split, each reading all of its files.

        Raises:
            DataError: a table itself cannot be used.
        """


class LabelledKind(_Checked, Protocol):
    """What the module of a kind of labelled clips has."""

    def open_set(self, selection: DataSelection) -> LabelledSet:
        """Open one split of a copy.

        Raises:
            DataError: a table is not as its format says, or nothing is left.
            UsageError: the selection asks for what this kind has not.
        """


class VideoKind(_Checked, Protocol):
    """What the module of a kind of labelled videos has."""

    def open_set(self, selection: DataSelection) -> VideoSet:
        """Open a copy; raises as `LabelledKind.open_set`."""


DataKind = LabelledKind | VideoKind

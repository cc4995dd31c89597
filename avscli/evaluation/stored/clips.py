"""Stored masks as every kind of file gives them: clips of frames, read when asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from avscli.datatypes import VOID
from avscli.errors import DataError
from avscli.masks import decode_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from avscli.masks import LabelMap, SizeHW

_LAST_NUMBER = re.compile(r"(\d+)\D*$")


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """One frame's mask, read when asked for.

    Attributes:
        name: file, or file and place in it, for messages.
        index: number of the frame in its clip, as its name or record says.
        seconds: its time; None when nothing tells.
        score: how sure the prediction is that something sounds; None when it does not say.
        read: returns the [H, W] uint8 label map, 255 void; [0, 0] when nothing is marked and
            nothing says how large the frame is.
    """

    name: str
    index: int
    seconds: float | None
    score: float | None
    read: Callable[[], LabelMap]


@dataclass(frozen=True, slots=True)
class StoredClip:
    """The frames of one clip.

    Attributes:
        clip_id: name of the clip.
        dense: more frames than the other side has are expected.
        frames: lists them in order; called again whenever they are needed.
    """

    clip_id: str
    dense: bool
    frames: Callable[[], list[StoredFrame]]


@dataclass(frozen=True, slots=True)
class RunLengths:
    """A mask as COCO's compressed run lengths.

    Attributes:
        label: its class; None is void.
        size_hw: of the frame.
        counts: see `avscli.masks.decode_mask`.
    """

    label: int | None
    size_hw: SizeHW
    counts: str


def painted(name: str, masks: Sequence[RunLengths], size_hw: SizeHW, num_classes: int) -> LabelMap:
    """Paint the masks of one frame into a label map.

    Args:
        name: of the frame, for messages.
        masks: later classes hide earlier ones, and void all; two classes are marked and not.
        size_hw: of the frame.
        num_classes: including the background.

    Returns:
        [H, W] uint8, 255 void.

    Raises:
        DataError: run lengths that are damaged or of another size, or a class beyond the others.
    """
    if other := {each.size_hw for each in masks} - {size_hw}:
        height, width = min(other)
        told = f"{height}×{width}, its frame {size_hw[0]}×{size_hw[1]}"
        raise DataError(f"{name}: segmentation size {told}")
    labels = np.zeros(size_hw, np.uint8)
    for each in masks:
        try:
            mask = decode_mask(each.size_hw, each.counts)
        except ValueError as err:
            raise DataError(f"{name}: segmentation: {err}") from err
        if each.label is None:
            labels[mask] = VOID
        elif num_classes == 2 or 0 <= each.label < num_classes:
            labels[mask & (labels != VOID)] = 1 if num_classes == 2 else each.label
        else:
            raise DataError(f"{name}: category_id {each.label}, there are {num_classes} classes")
    return labels


def names_of_folders(root: Path, folders: Iterable[Path]) -> dict[Path, str]:
    """Return a name for each folder: its own if no other has it, else its path under the root."""
    own = {folder: folder.name for folder in folders}
    if len(set(own.values())) == len(own):
        return own
    return {folder: folder.relative_to(root).as_posix() for folder in own}


def number_in(stem: str, where: str) -> int:
    """Return the last number in a file's name.

    Raises:
        DataError: there is none.
    """
    found = _LAST_NUMBER.search(stem)
    if found is None:
        raise DataError(f"{where}: its name {stem!r} has no frame number")
    return int(found[1])

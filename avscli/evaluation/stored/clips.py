"""Stored masks as every kind of file gives them: clips of frames, read when asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from avscli.evaluation.stored.shapes import StoredMask
    from avscli.masks import LabelMap


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """One frame's mask, read when asked for.

    Attributes:
        name: file, or file and place in it, for messages.
        index: number of the frame in its clip, as its name or record says; None when that tells
            its time only.
        seconds: its time; None when nothing tells. One of the two is known.
        score: how sure the prediction is that something sounds; None when it does not say.
        read: returns the [H, W] uint8 label map, 255 void; [0, 0] when nothing is marked and
            nothing says how large the frame is.
        masks: what is marked, one by one; None where the file has label maps only.
    """

    name: str
    index: int | None
    seconds: float | None
    score: float | None
    read: Callable[[], LabelMap]
    masks: tuple[StoredMask, ...] | None = None


@dataclass(frozen=True, slots=True)
class StoredClip:
    """The frames of one clip.

    Attributes:
        clip_id: name of the clip.
        dense: more frames than the other side has are expected.
        frames: lists them in order; called again whenever they are needed.
        from_pngs: from pictures, which do not say whether white or black is marked.
        class_names: by label, as far as the file says.
    """

    clip_id: str
    dense: bool
    frames: Callable[[], list[StoredFrame]]
    from_pngs: bool = False
    class_names: Mapping[int, str] = field(default_factory=dict)


def names_of_folders(root: Path, folders: Iterable[Path]) -> dict[Path, str]:
    """Return a name for each folder: its own if no other has it, else its path under the root."""
    own = {folder: folder.name for folder in folders}
    if len(set(own.values())) == len(own):
        return own
    return {folder: folder.relative_to(root).as_posix() for folder in own}

"""Folders of PNGs as stored masks.

DIR/…/CLIP/CLIP_1.png                        AVSBench masks: step 1 of CLIP
DIR/…/CLIP/labels_rgb/0.png                  AVSBench label maps
DIR/…/CLIP/00000.png                         DAVIS and other numbered frames
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from avscli.datasets.label_files import colour_labels_of, index_labels_of, mask_of
from avscli.errors import DataError, MediaError
from avscli.evaluation.clips import VOID
from avscli.evaluation.stored.clips import (
    StoredClip,
    StoredFrame,
    names_of_folders,
    number_in,
)
from avscli.media.stills import read_indices, read_picture

if TYPE_CHECKING:
    from pathlib import Path

    from avscli.masks import LabelMap

SECONDS_INTO_STEP = 0.9375  # AVSBench's frame k was taken that far into second k
_LABEL_FOLDERS = ("labels_rgb", "labels_semantic")
_GREY, _COLOUR, _PALETTE = 0, 2, 3  # PNG colour types
_COLOUR_TYPE_BYTE = 25


def picture_clips(root: Path, num_classes: int) -> list[StoredClip]:
    """Return the folders of PNGs below a folder as clips.

    Args:
        root: the folder.
        num_classes: of the labels, including the background; 2 takes everything above 0 as one.
    """
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in sorted(root.rglob("*.png")):
        folders[path.parent].append(path)
    for folder in [f for f in folders if f.with_name(_LABEL_FOLDERS[0]) in folders]:
        if folder.name in _LABEL_FOLDERS[1:]:  # the same labels once more
            del folders[folder]
    names = names_of_folders(root, {_clip_folder(root, folder) for folder in folders})
    return [
        StoredClip(
            names[_clip_folder(root, folder)],
            dense=False,
            frames=partial(_png_frames, files, num_classes),
        )
        for folder, files in folders.items()
    ]


def _clip_folder(root: Path, folder: Path) -> Path:
    return folder.parent if folder.name in _LABEL_FOLDERS and folder != root else folder


def _png_frames(paths: list[Path], num_classes: int) -> list[StoredFrame]:
    return [_png_frame(path, num_classes) for path in paths]


def _png_frame(path: Path, num_classes: int) -> StoredFrame:
    index = number_in(path.stem, str(path))
    seconds = None
    if path.stem in (f"{path.parent.name}_{index}", f"{path.parent.name}.mp4_{index}"):
        seconds = index - 1 + SECONDS_INTO_STEP
    elif path.parent.name in _LABEL_FOLDERS:
        seconds = index + SECONDS_INTO_STEP
    return StoredFrame(str(path), index, seconds, None, partial(read_png, path, num_classes))


def read_png(path: Path, num_classes: int) -> LabelMap:
    """Read a mask or label map as [H, W] uint8, 255 void.

    Palette PNGs hold indices (255 void). Grey ones are black and white for two classes, else
    indices. Colour ones are marked wherever they are not black, or for more than two classes in
    AVSBench's palette.

    Raises:
        DataError: unreadable, or of values that the classes do not allow.
    """
    colour_type = _colour_type(path)
    if num_classes > 2:
        read = index_labels_of if colour_type in (_GREY, _PALETTE) else colour_labels_of
        return read(path, num_classes)
    if colour_type == _GREY:
        return mask_of(path)
    try:
        if colour_type == _PALETTE:
            indices = read_indices(path)
            labels: LabelMap = (indices > 0).astype(np.uint8)
            labels[indices == VOID] = VOID
            return labels
        marked: LabelMap = (read_picture(path).max(axis=2) > 0).astype(np.uint8)
    except MediaError as err:
        raise DataError(f"mask {path} is damaged or no picture: {err}") from err
    return marked


def _colour_type(path: Path) -> int:
    try:
        with path.open("rb") as file:
            head = file.read(_COLOUR_TYPE_BYTE + 1)
    except OSError as err:
        raise DataError(f"cannot read mask {path}: {err.strerror}") from err
    if len(head) <= _COLOUR_TYPE_BYTE or head[:4] != b"\x89PNG":
        raise DataError(f"mask {path} is damaged or no PNG")
    return head[_COLOUR_TYPE_BYTE]

"""Folders of PNGs as stored masks.

DIR/…/CLIP/CLIP_1.png                        AVSBench masks: step 1 of CLIP
DIR/…/CLIP/labels_rgb/0.png                  AVSBench label maps
DIR/…/CLIP/SegmentationClass/0.png           PASCAL VOC, as annotation tools export it
DIR/…/CLIP/masks_machine/0.png               Supervisely
DIR/…/CLIP/00000.png                         DAVIS, YouTube-VOS and other numbered frames
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from avscli.datasets.label_files import labels_of
from avscli.datasets.mask_pictures import MARKED_HINT, read_marked
from avscli.errors import DataError
from avscli.evaluation.stored.clips import StoredClip, StoredFrame, names_of_folders
from avscli.evaluation.stored.numbering import bare, frame_places

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from avscli.config import Marked
    from avscli.datasets.mask_pictures import Meaning
    from avscli.masks import LabelMap

SECONDS_INTO_STEP = 0.9375  # AVSBench's frame k was taken that far into second k
_AVSBENCH_LABELS = ("labels_rgb", "labels_semantic")
# Folders of one clip that hold the same masks in several ways, the one to read first.
_SAME_MASKS = (
    _AVSBENCH_LABELS,
    ("SegmentationClass", "SegmentationObject"),
    ("masks_machine", "masks_human"),
)
_MASK_FOLDERS = {name for names in _SAME_MASKS for name in names}
_OTHER_PICTURES = {".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".npy", ".npz"}


def picture_clips(root: Path, num_classes: int, marked: Marked) -> list[StoredClip]:
    """Return the folders of PNGs below a folder as clips.

    Args:
        root: the folder.
        num_classes: of the labels, including the background; 2 takes everything marked as one.
        marked: what marks a pixel, for two classes; see `avscli.config.StoredOptions`.

    Raises:
        DataError: the only pictures are of other kinds, or more than one folder has a clip's masks.
    """
    files = sorted(file for file in root.rglob("*") if not file.name.startswith("."))
    folders: dict[Path, list[Path]] = defaultdict(list)
    for file in files:
        if file.suffix.lower() == ".png":
            folders[file.parent].append(file)
    if not folders:
        _refuse_other_pictures(root, files)
    for first, again in _SAME_MASKS:
        for folder in [f for f in folders if f.name == again and f.with_name(first) in folders]:
            del folders[folder]
    names = names_of_folders(root, {_clip_folder(root, folder) for folder in folders})
    return [
        StoredClip(
            names[_clip_folder(root, folder)],
            dense=False,
            frames=partial(_frames, pngs, _Reader(num_classes, marked)),
            from_pngs=True,
        )
        for folder, pngs in folders.items()
    ]


def _refuse_other_pictures(root: Path, files: Sequence[Path]) -> None:
    others = [file for file in files if file.suffix.lower() in _OTHER_PICTURES]
    if others:
        raise DataError(
            f"{root} has no PNG, but {len(others)} other files such as {others[0]}",
            hint="masks must be PNG: convert them without resizing; JPEG has blurred their edges",
        )


def _clip_folder(root: Path, folder: Path) -> Path:
    return folder.parent if folder.name in _MASK_FOLDERS and folder != root else folder


def _frames(paths: Sequence[Path], reader: _Reader) -> list[StoredFrame]:
    places = frame_places([bare(path.stem) for path in paths], str(paths[0].parent))
    return [
        StoredFrame(
            str(path),
            place.number,
            _avsbench_seconds(path, place.number) if place.seconds is None else place.seconds,
            None,
            partial(reader.read, path),
        )
        for path, place in zip(paths, places, strict=True)
    ]


def _avsbench_seconds(path: Path, number: int | None) -> float | None:
    if number is None:
        return None
    if path.stem in (f"{path.parent.name}_{number}", f"{path.parent.name}.mp4_{number}"):
        return number - 1 + SECONDS_INTO_STEP
    return number + SECONDS_INTO_STEP if path.parent.name in _AVSBENCH_LABELS else None


class _Reader:
    """Reads the PNGs of one clip, which must all be meant in one way.

    Args:
        num_classes: see `picture_clips`.
        marked: see `picture_clips`.
    """

    def __init__(self, num_classes: int, marked: Marked) -> None:
        self._num_classes, self._marked = num_classes, marked
        self._understood: dict[Meaning, Path] = {}

    def read(self, path: Path) -> LabelMap:
        """Read a mask or label map as [H, W] uint8, 255 void.

        Raises:
            DataError: unreadable, in doubt, or of values that the classes do not allow.
        """
        if self._num_classes > 2:
            return labels_of(path, self._num_classes)
        labels, meaning = read_marked(path, self._marked)
        if meaning is not None:
            self._understood.setdefault(meaning, path)
        if len(self._understood) == 2:
            white, numbered = self._understood["white"], self._understood["labels"]
            raise DataError(
                f"mask {white} looks black and white, {numbered} numbered", hint=MARKED_HINT
            )
        return labels

"""Stored masks, whoever wrote them: run folders, COCO files, and folders of PNGs.

RUN/frames.jsonl, or folders of such         a clip per run
masks.coco.json                              a clip per video it names
DIR/…/CLIP/CLIP_1.png                        AVSBench masks: step 1 of CLIP
DIR/…/CLIP/labels_rgb/0.png                  AVSBench label maps
DIR/…/CLIP/00000.png                         DAVIS and other numbered frames
"""

from __future__ import annotations

import json
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from avscli.datasets.label_files import colour_labels_of, index_labels_of, mask_of
from avscli.errors import DataError, MediaError
from avscli.evaluation.clips import VOID
from avscli.evaluation.coco_files import coco_clips
from avscli.evaluation.stored import RunLengths, StoredClip, StoredFrame, number_in, painted
from avscli.media.stills import read_indices, read_picture
from avscli.outputs.coco import COCO_NAME
from avscli.outputs.journal import JOURNAL_NAME, read_journal
from avscli.outputs.run_record import RUN_RECORD_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from avscli.masks import LabelMap, SizeHW
    from avscli.outputs.journal import JournalEntry

SECONDS_INTO_STEP = 0.9375  # AVSBench's frame k was taken that far into second k
_LABEL_FOLDERS = ("labels_rgb", "labels_semantic")
_GREY, _COLOUR, _PALETTE = 0, 2, 3  # PNG colour types
_COLOUR_TYPE_BYTE = 25
_UNFINISHED = (".partial", ".replaced")  # what `outputs.run_folder` calls other folders


def open_masks(path: Path, num_classes: int) -> list[StoredClip]:
    """Find the clips of a folder or file of masks.

    Args:
        path: a run folder or a folder of runs, a COCO file, or a folder of PNGs.
        num_classes: of the labels, including the background; 2 takes everything above 0 as one.

    Raises:
        DataError: nothing of that kind is there.
    """
    if path.is_file():
        clips = coco_clips(path, num_classes)
    elif runs := run_folders(path):
        names = _names(path, runs)
        clips = [_run_clip(run, names[run], num_classes) for run in runs]
    elif (path / COCO_NAME).is_file():
        clips = coco_clips(path / COCO_NAME, num_classes)
    else:
        clips = _png_clips(path, num_classes)
    if not clips:
        raise DataError(
            f"no masks in {path}",
            hint=f"expected a run folder ({JOURNAL_NAME}), a COCO .json, or a folder of PNGs",
        )
    return clips


def run_folders(path: Path) -> list[Path]:
    """Return the finished runs in a folder, or that folder if it is one, in order of names."""
    if (path / JOURNAL_NAME).is_file():
        return [path]
    found = {journal.parent for journal in path.rglob(JOURNAL_NAME)}
    return sorted(run for run in found if not run.name.endswith(_UNFINISHED))


def _names(root: Path, folders: Iterable[Path]) -> dict[Path, str]:
    """Return a name for each folder: its own if no other has it, else its path under the root."""
    own = {folder: folder.name for folder in folders}
    if len(set(own.values())) == len(own):
        return own
    return {folder: folder.relative_to(root).as_posix() for folder in own}


def recorded_weights(path: Path) -> list[dict[str, str]]:
    """Return name and hash of the weights that run folders say their masks are from.

    Raises:
        DataError: a run.json is damaged.
    """
    weights: set[tuple[str, str]] = set()
    for record in (run / RUN_RECORD_NAME for run in run_folders(path)):
        if not record.is_file():
            continue
        try:
            checkpoint = json.loads(record.read_text(encoding="utf-8"))["checkpoint"]
            weights.add((checkpoint["name"], checkpoint["sha256"]))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as err:
            raise DataError(f"{record} is damaged: {type(err).__name__} {err}") from err
    return [{"name": name, "sha256": sha256} for name, sha256 in sorted(weights)]


def _run_clip(folder: Path, name: str, num_classes: int) -> StoredClip:
    def frames() -> list[StoredFrame]:
        entries = list(read_journal(folder / JOURNAL_NAME))
        sizes = (mask.size_hw for entry in entries for mask in entry.masks.values())
        size_hw = next(sizes, (0, 0))  # a frame without masks does not say how large it is
        return [_journal_frame(folder, entry, size_hw, num_classes) for entry in entries]

    return StoredClip(name, dense=True, frames=frames)


def _journal_frame(
    folder: Path, entry: JournalEntry, size_hw: SizeHW, num_classes: int
) -> StoredFrame:
    name = f"{folder / JOURNAL_NAME} frame {entry.frame}"
    masks = [RunLengths(label, m.size_hw, m.counts) for label, m in entry.masks.items()]
    score = entry.score if masks else 1.0 - entry.score
    return StoredFrame(
        name,
        entry.frame,
        entry.time_seconds,
        score,
        partial(painted, name, masks, size_hw, num_classes),
    )


def _png_clips(root: Path, num_classes: int) -> list[StoredClip]:
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in sorted(root.rglob("*.png")):
        folders[path.parent].append(path)
    for folder in [f for f in folders if f.with_name(_LABEL_FOLDERS[0]) in folders]:
        if folder.name in _LABEL_FOLDERS[1:]:  # the same labels once more
            del folders[folder]
    names = _names(root, {_clip_folder(root, folder) for folder in folders})
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

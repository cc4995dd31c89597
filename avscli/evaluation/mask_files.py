"""Stored masks, whoever wrote them: run folders, COCO files, and folders of PNGs.

RUN/frames.jsonl, or folders of such         a clip per run
masks.coco.json                              a clip per video it names
DIR/…/CLIP/CLIP_1.png                        AVSBench masks: step 1 of CLIP
DIR/…/CLIP/labels_rgb/0.png                  AVSBench label maps
DIR/…/CLIP/00000.png                         DAVIS and other numbered frames
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from avscli.datasets.label_files import colour_labels_of, index_labels_of, mask_of
from avscli.errors import DataError, MediaError
from avscli.evaluation.clips import VOID
from avscli.masks import decode_mask
from avscli.media.stills import read_indices, read_picture
from avscli.outputs.coco import COCO_NAME
from avscli.outputs.journal import JOURNAL_NAME, read_journal
from avscli.outputs.run_record import RUN_RECORD_NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from avscli.masks import LabelMap
    from avscli.outputs.journal import JournalEntry

SECONDS_INTO_STEP = 0.9375  # AVSBench's frame k was taken that far into second k
_LABEL_FOLDERS = ("labels_rgb", "labels_semantic")
_LAST_NUMBER = re.compile(r"(\d+)\D*$")
_GREY, _COLOUR, _PALETTE = 0, 2, 3  # PNG colour types
_COLOUR_TYPE_BYTE = 25


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """One frame's mask, read when asked for.

    Attributes:
        name: file, or file and place in it, for messages.
        index: number of the frame in its clip, as its name or record says.
        seconds: its time; None when nothing tells.
        score: how sure the prediction is that something sounds; None when it does not say.
        read: returns the [H, W] uint8 label map, 255 void.
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


def open_masks(path: Path, num_classes: int) -> list[StoredClip]:
    """Find the clips of a folder or file of masks.

    Args:
        path: a run folder or a folder of runs, a COCO file, or a folder of PNGs.
        num_classes: of the labels, including the background; 2 takes everything above 0 as one.

    Raises:
        DataError: nothing of that kind is there.
    """
    if path.is_file():
        return _coco_clips(path, num_classes)
    if (path / JOURNAL_NAME).is_file():
        return [_run_clip(path, num_classes)]
    runs = sorted(journal.parent for journal in path.glob(f"*/{JOURNAL_NAME}"))
    if runs:
        return [_run_clip(run, num_classes) for run in runs]
    if (path / COCO_NAME).is_file():
        return _coco_clips(path / COCO_NAME, num_classes)
    clips = _png_clips(path, num_classes)
    if not clips:
        raise DataError(
            f"no masks in {path}",
            hint=f"expected a run folder ({JOURNAL_NAME}), a COCO .json, or a folder of PNGs",
        )
    return clips


def recorded_weights(path: Path) -> list[dict[str, str]]:
    """Return name and hash of the weights that run folders say their masks are from.

    Raises:
        DataError: a run.json is damaged.
    """
    weights: set[tuple[str, str]] = set()
    for record in (path / RUN_RECORD_NAME, *path.glob(f"*/{RUN_RECORD_NAME}")):
        if not record.is_file():
            continue
        try:
            checkpoint = json.loads(record.read_text(encoding="utf-8"))["checkpoint"]
            weights.add((checkpoint["name"], checkpoint["sha256"]))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as err:
            raise DataError(f"{record} is damaged: {type(err).__name__} {err}") from err
    return [{"name": name, "sha256": sha256} for name, sha256 in sorted(weights)]


def _run_clip(folder: Path, num_classes: int) -> StoredClip:
    def frames() -> list[StoredFrame]:
        return [
            _journal_frame(folder, entry, num_classes)
            for entry in read_journal(folder / JOURNAL_NAME)
        ]

    return StoredClip(folder.name, dense=True, frames=frames)


def _journal_frame(folder: Path, entry: JournalEntry, num_classes: int) -> StoredFrame:
    name = f"{folder / JOURNAL_NAME} frame {entry.frame}"
    masks = [(label, m.size_hw, m.counts) for label, m in entry.masks.items()]

    def read() -> LabelMap:
        if not masks:
            return np.zeros((0, 0), np.uint8)  # the journal does not say how large no mask is
        return _painted(name, masks, num_classes)

    score = entry.score if masks else 1.0 - entry.score
    return StoredFrame(name, entry.frame, entry.time_seconds, score, read)


def _painted(
    name: str, masks: list[tuple[int, tuple[int, int], str]], num_classes: int
) -> LabelMap:
    """Paint run lengths of one frame into a label map."""
    labels = np.zeros(masks[0][1], np.uint8)
    for label, size_hw, counts in masks:
        try:
            mask = decode_mask(size_hw, counts)
        except ValueError as err:
            raise DataError(f"{name}: segmentation: {err}") from err
        if mask.shape != labels.shape:
            raise DataError(f"{name}: segmentation size {size_hw} differs from {labels.shape}")
        if label != VOID and num_classes == 2:
            labels[mask & (labels == 0)] = 1
        elif label == VOID or label < num_classes:
            labels[mask] = label
        else:
            raise DataError(f"{name}: category_id {label}, there are {num_classes} classes")
    return labels


def _coco_clips(path: Path, num_classes: int) -> list[StoredClip]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        images, annotations = data["images"], data["annotations"]
        names = {v["id"]: str(v.get("file_name", v["id"])) for v in data.get("videos", [])}
        masks: dict[int, list[tuple[int, tuple[int, int], str]]] = defaultdict(list)
        scores: dict[int, float] = {}
        for number, annotation in enumerate(annotations):
            masks[annotation["image_id"]].append(_segment(path, number, annotation))
            scores[annotation["image_id"]] = annotation.get("score", 1.0)
        clips: dict[str, list[StoredFrame]] = defaultdict(list)
        for image in images:
            clip_id = names.get(image.get("video_id"), path.stem)
            found = masks.pop(image["id"], [])
            clips[clip_id].append(
                _coco_frame(path, image, found, scores.get(image["id"]), num_classes)
            )
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as err:
        raise DataError(f"cannot read {path}: {err}") from err
    except (KeyError, TypeError, AttributeError) as err:
        raise DataError(f"{path} is not a COCO file: {type(err).__name__} {err}") from err
    if masks:
        raise DataError(f"{path}: annotations name image_id {next(iter(masks))}, which it lacks")
    return [
        StoredClip(clip_id, dense="videos" in data, frames=partial(list, found))
        for clip_id, found in clips.items()
    ]


def _segment(
    path: Path, number: int, annotation: dict[str, object]
) -> tuple[int, tuple[int, int], str]:
    """Return class, size and run lengths of one annotation; crowds are void."""
    segmentation, label = annotation["segmentation"], annotation["category_id"]
    counts = segmentation.get("counts") if isinstance(segmentation, dict) else None
    if not isinstance(segmentation, dict) or not isinstance(counts, str):
        raise DataError(
            f"{path}: annotation {number}: segmentation is not compressed run lengths",
            hint="convert polygons and plain lists with pycocotools.mask.frPyObjects",
        )
    if not isinstance(label, int):
        raise DataError(f"{path}: annotation {number}: category_id {label!r} is no number")
    height, width = segmentation["size"]
    return VOID if annotation.get("iscrowd") else label, (height, width), counts


def _coco_frame(
    path: Path,
    image: dict[str, object],
    masks: list[tuple[int, tuple[int, int], str]],
    score: float | None,
    num_classes: int,
) -> StoredFrame:
    name = f"{path} image {image['id']}"
    height, width = image["height"], image["width"]
    if not isinstance(height, int) or not isinstance(width, int):
        raise DataError(f"{name}: height and width must be whole numbers")
    index, seconds = image.get("frame_id"), image.get("time")
    if not isinstance(index, int):
        index = _number(PurePath(str(image["file_name"])).stem, name)

    def read() -> LabelMap:
        if not masks:
            return np.zeros((height, width), np.uint8)
        return _painted(name, masks, num_classes)

    known = float(seconds) if isinstance(seconds, int | float) else None
    return StoredFrame(name, index, known, score, read)


def _png_clips(root: Path, num_classes: int) -> list[StoredClip]:
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in sorted(root.rglob("*.png")):
        folders[path.parent].append(path)
    ids = {folder: _clip_folder(root, folder) for folder in folders}
    names = [clip.name for clip in ids.values()]
    is_unique = len(set(names)) == len(names)
    return [
        StoredClip(
            ids[folder].name if is_unique else ids[folder].relative_to(root).as_posix(),
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
    index = _number(path.stem, str(path))
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


def _number(stem: str, where: str) -> int:
    found = _LAST_NUMBER.search(stem)
    if found is None:
        raise DataError(f"{where}: its name {stem!r} has no frame number")
    return int(found[1])

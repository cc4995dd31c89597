"""COCO files as stored masks: compressed run lengths, frames by video or by folder.

Files come from anywhere, so every field is checked as it is read.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from avscli.errors import DataError
from avscli.evaluation.stored.clips import RunLengths, StoredClip, StoredFrame, number_in, painted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from avscli.masks import SizeHW

_Fields = dict[str, object]
_LONGEST_SIDE = 1 << 15  # a mask of that size is a gibibyte


class _Marked(NamedTuple):
    """The masks of one image, and how sure each of them is."""

    masks: list[RunLengths]
    scores: list[float]


def coco_clips(path: Path, num_classes: int) -> list[StoredClip]:
    """Return the clips of a COCO file: the videos it names, else the folders of its images.

    Args:
        path: the file.
        num_classes: of the labels, including the background; 2 takes every category as one.

    Raises:
        DataError: unreadable, or naming the field that is not as the format says.
    """
    data = _document(path)
    videos = {
        _whole(video, "id", f"{path}: video {k}"): str(video.get("file_name", video["id"]))
        for k, video in enumerate(_list(path, data, "videos"))
    }
    annotations = _list(path, data, "annotations")
    marked: dict[int, _Marked] = defaultdict(lambda: _Marked([], []))
    for number, annotation in enumerate(annotations):
        where = f"{path}: annotation {number}"
        image_id = _whole(annotation, "image_id", where)
        marked[image_id].masks.append(_mask(annotation, where))
        marked[image_id].scores.append(_score(annotation, where))
    has_scores = any("score" in annotation for annotation in annotations)
    clips: dict[str, list[StoredFrame]] = defaultdict(list)
    seen: set[int] = set()
    for k, image in enumerate(_list(path, data, "images")):
        image_id = _whole(image, "id", f"{path}: image {k}")
        if image_id in seen:
            raise DataError(f"{path}: two images have the id {image_id}")
        seen.add(image_id)
        clip_id = _clip_of(path, image, videos)
        masks, scores = marked.get(image_id, _Marked([], []))
        score = max(scores, default=0.0) if has_scores else None
        clips[clip_id].append(_frame(path, image, masks, score, num_classes))
    if unknown := marked.keys() - seen:
        raise DataError(f"{path}: annotations name image_id {min(unknown)}, which it lacks")
    return [
        StoredClip(clip_id, dense="videos" in data, frames=partial(list, found))
        for clip_id, found in clips.items()
    ]


def _document(path: Path) -> _Fields:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as err:
        raise DataError(f"cannot read {path}: {err}") from err
    if not isinstance(data, dict) or not {"images", "annotations"} <= data.keys():
        raise DataError(
            f"{path} is not a COCO file: it lacks 'images' or 'annotations'",
            hint="a list of results alone does not name its images; put it under 'annotations'",
        )
    return data


def _list(path: Path, data: _Fields, name: str) -> list[_Fields]:
    values = data.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise DataError(f"{path} is not a COCO file: {name!r} is not a list of objects")
    return values


def _whole(values: _Fields, name: str, where: str, *, least: int = 0) -> int:
    value = values.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise DataError(f"{where}: {name} is {value!r}, expected a whole number from {least} up")
    return value


def _side(values: _Fields, name: str, where: str) -> int:
    value = _whole(values, name, where, least=1)
    if value > _LONGEST_SIDE:
        raise DataError(f"{where}: {name} is {value}, expected at most {_LONGEST_SIDE} pixels")
    return value


def _mask(annotation: _Fields, where: str) -> RunLengths:
    """Return the run lengths of one annotation; crowds are void."""
    segmentation = annotation.get("segmentation")
    counts = segmentation.get("counts") if isinstance(segmentation, dict) else None
    if not isinstance(segmentation, dict) or not isinstance(counts, str):
        raise DataError(
            f"{where}: segmentation is not compressed run lengths",
            hint="convert polygons and plain lists with pycocotools.mask.frPyObjects",
        )
    size = segmentation.get("size")
    if not isinstance(size, list) or len(size) != 2:
        raise DataError(f"{where}: segmentation size is {size!r}, expected [height, width]")
    label = _whole(annotation, "category_id", where)
    height, width = (_side({"size": value}, "size", where) for value in size)
    return RunLengths(None if annotation.get("iscrowd") else label, (height, width), counts)


def _score(annotation: _Fields, where: str) -> float:
    score = annotation.get("score", 1.0)
    if not isinstance(score, int | float) or not 0.0 <= score <= 1.0:
        raise DataError(f"{where}: score is {score!r}, expected 0 … 1")
    return float(score)


def _clip_of(path: Path, image: _Fields, videos: Mapping[int, str]) -> str:
    """Return the video's name, else the image's folder, else its own name without the number."""
    video_id = image.get("video_id")
    if isinstance(video_id, int) and video_id in videos:
        return videos[video_id]
    file = PurePosixPath(str(image.get("file_name", "")))
    if file.parent.name:
        return file.parent.as_posix()
    return file.stem.rstrip("0123456789").rstrip("_-. ") or path.stem


def _frame(
    path: Path,
    image: _Fields,
    masks: Sequence[RunLengths],
    score: float | None,
    num_classes: int,
) -> StoredFrame:
    name = f"{path} image {image['id']}"
    size_hw: SizeHW = (_side(image, "height", name), _side(image, "width", name))
    index, seconds = image.get("frame_id"), image.get("time")
    if not isinstance(index, int):
        index = number_in(PurePosixPath(str(image.get("file_name", ""))).stem, name)
    return StoredFrame(
        name,
        index,
        float(seconds) if isinstance(seconds, int | float) and math.isfinite(seconds) else None,
        score,
        partial(painted, name, masks, size_hw, num_classes),
    )

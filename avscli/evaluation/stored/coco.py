"""COCO files as stored masks: frames by video or by folder, and YouTube-VIS, a list per thing."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from avscli.errors import DataError
from avscli.evaluation.stored.clips import StoredClip, StoredFrame
from avscli.evaluation.stored.coco_fields import (
    Fields,
    identity,
    is_crowd,
    objects,
    score,
    shape,
    side,
    track,
    whole,
)
from avscli.evaluation.stored.numbering import frame_name, frame_places
from avscli.evaluation.stored.shapes import painted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from avscli.evaluation.stored.shapes import StoredMask
    from avscli.masks import SizeHW

Id = int | str


class CocoReading(NamedTuple):
    """How to read a file.

    Attributes:
        num_classes: of the labels, including the background; 2 takes every category as one.
        crowds_marked: whether a crowd is a thing like others, else void.
        scored: whether scores matter, as those of predictions do.
        images_of: the file that names the images of a bare list of results.
    """

    num_classes: int
    crowds_marked: bool = False
    scored: bool = True
    images_of: Path | None = None


class _Marked(NamedTuple):
    """The masks of one image, and how sure each of them is."""

    masks: list[StoredMask]
    scores: list[float]


class _Image(NamedTuple):
    """An image, its clip and what is marked in it."""

    fields: Fields
    where: str
    stem: str
    marked: _Marked


def coco_clips(path: Path, document: object, reading: CocoReading) -> list[StoredClip]:
    """Return the clips of a COCO file: the videos it names, else the folders of its images.

    Args:
        path: of the file, for messages.
        document: what it holds.
        reading: how.

    Raises:
        DataError: unreadable, or naming the field that is not as the format says.
    """
    data = _checked(path, document, reading)
    annotations = objects(data, "annotations", str(path))
    has_scores = reading.scored and any("score" in annotation for annotation in annotations)
    videos, names = _videos(path, data), _class_names(data)
    marked = _marked(path, annotations, reading)
    clips: dict[str, list[_Image]] = defaultdict(list)
    seen: set[Id] = set()
    for k, image in enumerate(objects(data, "images", str(path))):
        image_id = identity(image, "id", f"{path}: image {k}")
        if image_id in seen:
            raise DataError(f"{path}: two images have the id {image_id}")
        seen.add(image_id)
        clip_id, stem = _place(path, image, videos)
        mine = marked.get(image_id, _Marked([], []))
        clips[clip_id].append(_Image(image, f"{path} image {image_id}", stem, mine))
    if unknown := [image_id for image_id in marked if image_id not in seen]:
        raise DataError(f"{path}: annotations name image_id {unknown[0]}, which it lacks")
    if len(clips) > 1 and not videos and all(len(images) == 1 for images in clips.values()):
        alone = [images[0] for images in clips.values()]
        if not any(frame_name(str(image.fields.get("file_name"))).folder for image in alone):
            clips = defaultdict(list, {path.stem: alone})  # names that differ in more than numbers
    return [
        StoredClip(
            clip_id,
            dense="videos" in data,
            frames=partial(_frames, images, has_scores, reading.num_classes),
            class_names=names,
        )
        for clip_id, images in clips.items()
    ]


def _checked(path: Path, data: object, reading: CocoReading) -> Fields:
    if isinstance(data, list):
        images = None if reading.images_of is None else json_document(reading.images_of)
        if not isinstance(images, dict):
            raise DataError(
                f"{path} is a list of results, which does not name its images",
                hint="give it as --pred beside the COCO file of the truth as --gt, or put the "
                "list under 'annotations' beside 'images'",
            )
        known = ("images", "videos", "categories")
        results = data
        data = {key: images[key] for key in known if key in images}
        data["annotations"] = results
        if not all(isinstance(result, dict) for result in results):
            raise DataError(f"{path} is neither a COCO file nor a list of results")
    if isinstance(data, dict) and "images" not in data and "videos" in data:
        data = _as_images(path, data)
    if not isinstance(data, dict) or not {"images", "annotations"} <= data.keys():
        raise DataError(f"{path} is not a COCO file: it lacks 'images' or 'annotations'")
    return data


def json_document(path: Path) -> object:
    """Parse a file of JSON.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return json.loads(path.read_bytes())  # bytes, so that UTF-16 and byte order marks are read
    except (OSError, ValueError, RecursionError) as err:
        raise DataError(f"cannot read {path}: {err}") from err


def _as_images(path: Path, data: Fields) -> Fields:
    """Return a YouTube-VIS file, whose annotations hold a list of masks per thing, as images."""
    images: list[Fields] = []
    lengths: dict[Id, int] = {}
    for k, video in enumerate(objects(data, "videos", str(path))):
        where = f"{path}: video {k}"
        video_id, names = identity(video, "id", where), video.get("file_names")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DataError(f"{where}: file_names is no list of names, and there are no 'images'")
        lengths[video_id] = len(names)
        sizes = {name: video.get(name) for name in ("height", "width")}
        images += [
            {"id": f"{video_id}/{step}", "file_name": name, **sizes}
            for step, name in enumerate(names)
        ]
    annotations: list[Fields] = []
    for k, thing in enumerate(objects(data, "annotations", str(path))):
        where = f"{path}: annotation {k}"
        video_id, masks = identity(thing, "video_id", where), thing.get("segmentations")
        if not isinstance(masks, list) or len(masks) != lengths.get(video_id):
            raise DataError(f"{where}: segmentations are not one per file name of video {video_id}")
        annotations += [
            {**thing, "image_id": f"{video_id}/{step}", "segmentation": mask}
            for step, mask in enumerate(masks)
            if mask is not None  # out of sight
        ]
    return {
        "images": images,
        "annotations": annotations,
        "categories": data.get("categories"),
    }


def _videos(path: Path, data: Fields) -> dict[Id, str]:
    return {
        identity(video, "id", f"{path}: video {k}"): str(
            video.get("file_name") or video.get("name") or video["id"]
        )
        for k, video in enumerate(objects(data, "videos", str(path)))
    }


def _class_names(data: Fields) -> dict[int, str]:
    """Return the names that there are; masks are read without them too."""
    listed = data.get("categories")
    names = {}
    for category in listed if isinstance(listed, list) else ():
        if isinstance(category, dict) and isinstance(category.get("id"), int):
            names[category["id"]] = str(category.get("name") or category["id"])
    return names


def _marked(path: Path, annotations: Sequence[Fields], reading: CocoReading) -> dict[Id, _Marked]:
    marked: dict[Id, _Marked] = defaultdict(lambda: _Marked([], []))
    for number, annotation in enumerate(annotations):
        where = f"{path}: annotation {number}"
        image_id = identity(annotation, "image_id", where)
        label = whole(annotation, "category_id", where)
        void = is_crowd(annotation, where) and not reading.crowds_marked
        mask = shape(annotation, annotation.get("segmentation"), None if void else label, where)
        marked[image_id].masks.append(replace(mask, track_id=track(annotation)))
        marked[image_id].scores.append(score(annotation, where) if reading.scored else 1.0)
    return marked


def _place(path: Path, image: Fields, videos: Mapping[Id, str]) -> tuple[str, str]:
    """Return clip and stem: the video, else the folder, else the name without the number."""
    folder, stem = frame_name(str(image.get("file_name", "")))
    video_id = image.get("video_id")
    if isinstance(video_id, int | str) and video_id in videos:
        return videos[video_id], stem
    return folder or stem.rstrip("0123456789").rstrip("_-. ") or path.stem, stem


def _frames(images: Sequence[_Image], has_scores: bool, num_classes: int) -> list[StoredFrame]:
    numbered = [image.fields.get("frame_id") for image in images]
    indices: list[int | None] = [
        number if isinstance(number, int) and not isinstance(number, bool) else None
        for number in numbered
    ]
    named = [k for k, index in enumerate(indices) if index is None]
    seconds = [_seconds(image.fields) for image in images]
    if named:
        where = images[named[0]].where if len(named) == 1 else f"{images[named[0]].where} ff."
        places = frame_places([images[k].stem for k in named], where)
        for k, place in zip(named, places, strict=True):
            indices[k] = place.number
            seconds[k] = place.seconds if seconds[k] is None else seconds[k]
    frames = []
    for image, index, time in zip(images, indices, seconds, strict=True):
        size_hw = _size(image)
        frames.append(
            StoredFrame(
                image.where,
                index,
                time,
                max(image.marked.scores, default=0.0) if has_scores else None,
                partial(painted, image.where, image.marked.masks, size_hw, num_classes),
                masks=tuple(image.marked.masks),
            )
        )
    return frames


def _seconds(image: Fields) -> float | None:
    value = image.get("time")
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None  # type: ignore[arg-type]


def _size(image: _Image) -> SizeHW:
    """Return the size of a frame; (0, 0) if nothing tells, and nothing is marked."""
    fields = image.fields
    if fields.get("height") is not None or fields.get("width") is not None:
        return side(fields, "height", image.where), side(fields, "width", image.where)
    stated = [mask.size_hw for mask in image.marked.masks if mask.size_hw is not None]
    if not stated and image.marked.masks:
        side(fields, "height", image.where)  # says that it is missing
    return stated[0] if stated else (0, 0)

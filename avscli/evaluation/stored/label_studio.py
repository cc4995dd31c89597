"""JSON of Label Studio as stored masks: brushed pictures and polygons, a clip per folder.

Tasks without an annotation were not looked at, and are no frames. Predictions do not count.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import numpy as np

from avscli.errors import DataError
from avscli.evaluation.stored.brush import decode_brush
from avscli.evaluation.stored.clips import StoredClip, StoredFrame
from avscli.evaluation.stored.coco_fields import Fields, objects, side
from avscli.evaluation.stored.numbering import frame_name, frame_places
from avscli.evaluation.stored.shapes import StoredMask, filled, painted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from avscli.masks import BoolMask, SizeHW

_UNNAMED = "sounding_object"
_TRACK = "track "


class _Picture:
    """A task that was annotated."""

    def __init__(self, where: str, data: Fields, size_hw: SizeHW) -> None:
        self.where, self.data, self.size_hw = where, data, size_hw
        self.folder, self.stem = frame_name(_name(data, where))
        self.masks: list[StoredMask] = []


def is_label_studio(document: object) -> bool:
    """Say whether a JSON document is a list of tasks."""
    first = document[0] if isinstance(document, list) and document else None
    return isinstance(first, dict) and isinstance(first.get("data"), dict)


def label_studio_clips(path: Path, document: object, num_classes: int) -> list[StoredClip]:
    """Return the pictures of tasks as clips.

    Args:
        path: of the file, for messages.
        document: what it holds.
        num_classes: of the labels, including the background; only 2, since labels have no numbers.

    Raises:
        DataError: naming what is not as the format says.
    """
    if num_classes > 2:
        raise DataError(
            f"{path} has names of classes, and no numbers",
            hint="export from Label Studio as COCO, or leave out --classes",
        )
    labels: dict[str, int] = {}
    clips: dict[str, list[_Picture]] = defaultdict(list)
    tasks = objects({"tasks": document}, "tasks", str(path))
    for number, task in enumerate(tasks):
        picture = _picture(task, f"{path} task {task.get('id', number)}", labels)
        if picture is not None:
            clips[picture.folder or path.stem].append(picture)
    if not clips:
        raise DataError(
            f"{path}: none of its {len(tasks)} tasks has an annotation",
            hint="predictions do not count before somebody has submitted them",
        )
    names = {number: name for name, number in labels.items()}
    return [
        StoredClip(clip_id, dense=True, frames=partial(_frames, pictures), class_names=names)
        for clip_id, pictures in clips.items()
    ]


def _picture(task: Fields, where: str, labels: dict[str, int]) -> _Picture | None:
    submitted = [
        annotation
        for annotation in objects(task, "annotations", where)
        if not annotation.get("was_cancelled")
    ]
    if not submitted:
        return None
    latest = max(submitted, key=lambda annotation: str(annotation.get("updated_at") or ""))
    regions = objects(latest, "result", where)
    shaped = [region for region in regions if _is_shape(region, where)]
    sizes = {
        (side(region, "original_height", where), side(region, "original_width", where))
        for region in shaped
    }
    if len(sizes) > 1:
        raise DataError(f"{where}: its regions are of pictures of several sizes")
    data = task.get("data")
    if not isinstance(data, dict):
        raise DataError(f"{where}: its data is {data!r}, expected an object")
    picture = _Picture(where, data, next(iter(sizes), (0, 0)))
    named = {str(region.get("id")): name for region in regions if (name := _label(region))}
    for region in shaped:
        name = named.get(str(region.get("id")), _UNNAMED)
        label = labels.setdefault(name, len(labels) + 1)
        picture.masks.append(_mask(region, label, where))
    return picture


def _is_shape(region: Fields, where: str) -> bool:
    value = region.get("value")
    if not isinstance(value, dict):
        return False
    if "sequence" in value or {"x", "width"} <= value.keys():
        raise DataError(
            f"{where}: holds a {region.get('type')}, a box and no mask",
            hint="brush masks or draw polygons on pictures of the frames (avs export --to "
            "label-studio: pictures.json)",
        )
    return "rle" in value or "points" in value


def _label(region: Fields) -> str:
    value = region.get("value")
    for key, found in value.items() if isinstance(value, dict) else ():
        if key.endswith("labels") and isinstance(found, list) and found:
            return str(found[0])
    return ""


def _mask(region: Fields, label: int, where: str) -> StoredMask:
    value = region["value"]
    assert isinstance(value, dict), "_is_shape has looked"
    size_hw = (side(region, "original_height", where), side(region, "original_width", where))
    if "rle" not in value:
        outline = _outline(value["points"], size_hw, where)
        return StoredMask(label, size_hw, partial(filled, outlines=[outline]), _track(region))
    try:
        stored = bytes(list(value["rle"]))  # of a number, bytes() would make as many zeros
    except (TypeError, ValueError) as err:
        raise DataError(f"{where}: rle is no list of bytes: {err}") from err
    return StoredMask(label, size_hw, partial(_brushed, stored=stored), _track(region))


def _brushed(size_hw: SizeHW, stored: bytes) -> BoolMask:
    return decode_brush(size_hw, stored)


def _outline(points: object, size_hw: SizeHW, where: str) -> list[float]:
    """Return a polygon in pixels; Label Studio has per cent of the sides."""
    try:
        shares = np.array(points, np.float64)
    except (TypeError, ValueError):
        shares = np.zeros(0)
    if shares.ndim != 2 or shares.shape[1] != 2 or len(shares) < 3 or not np.isfinite(shares).all():
        raise DataError(f"{where}: a polygon needs three points, [[x, y], …] in per cent")
    height, width = size_hw
    outline: list[float] = (shares / 100 * (width, height)).ravel().tolist()
    return outline


def _track(region: Fields) -> int | None:
    meta = region.get("meta")
    texts = meta.get("text") if isinstance(meta, dict) else None
    for text in texts if isinstance(texts, list) else ():
        number = str(text).removeprefix(_TRACK)
        if str(text).startswith(_TRACK) and number.isdecimal():
            return int(number)
    return None


def _name(data: Fields, where: str) -> str:
    """Return the name of a task's picture; its address may hold it in a query."""
    for key in ("name", "image"):
        if isinstance(told := data.get(key), str):
            inner = parse_qs(urlsplit(told).query).get("d")
            return inner[0] if inner else told
    raise DataError(f"{where}: its data has no 'image'")


def _frames(pictures: Sequence[_Picture]) -> list[StoredFrame]:
    places = frame_places([picture.stem for picture in pictures], pictures[0].where)
    size_hw = next((p.size_hw for p in pictures if p.size_hw != (0, 0)), (0, 0))
    return [
        StoredFrame(
            picture.where,
            place.number,
            place.seconds,
            None,
            partial(painted, picture.where, picture.masks, size_hw, 2),
            masks=tuple(picture.masks),
        )
        for picture, place in zip(pictures, places, strict=True)
    ]

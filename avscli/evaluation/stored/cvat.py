"""XML of CVAT 1.1, for images and for videos, as stored masks: a clip per task.

Masks and polygons count, whether they are shapes of an image or of a track. A shape of a track
stands until the track's next one; CVAT itself writes one per frame.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

import numpy as np

from avscli.errors import DataError
from avscli.evaluation.stored.clips import StoredClip, StoredFrame
from avscli.evaluation.stored.coco_fields import LONGEST_SIDE
from avscli.evaluation.stored.numbering import frame_name, frame_places
from avscli.evaluation.stored.shapes import StoredMask, filled, painted
from avscli.masks import BoolMask, SizeHW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

OBJECT = "object"
"""Attribute that keeps the number of a track where CVAT has none."""
_OTHER_SHAPES = {"box", "ellipse", "polyline", "points", "cuboid", "skeleton"}
_MOST_FRAMES = 10_000_000  # of a task; a damaged number would fill the memory
_STEP = re.compile(r"step\s*=\s*(\d+)")


class _Frame(NamedTuple):
    """A frame that the file tells of, with the shapes on it."""

    number: int
    size_hw: SizeHW | None
    masks: list[StoredMask]


class _Shape(NamedTuple):
    """A shape, and how high it lies above others."""

    z_order: int
    mask: StoredMask


def cvat_clips(path: Path, num_classes: int) -> list[StoredClip]:
    """Return the tasks of a file as clips.

    Args:
        path: the XML.
        num_classes: of the labels, including the background; 2 takes every label as one. Labels are
            numbered in the order in which the file lists them, from 1 up.

    Raises:
        DataError: unreadable, or naming what is not as the format says.
    """
    root = _root(path)
    names = [label.text or "" for label in root.findall("meta//label/name")]
    labels = {name: number for number, name in enumerate(dict.fromkeys(names), start=1)}
    tasks = {task.findtext("id"): task for task in root.findall("meta//task")}
    parts: dict[str | None, list[ET.Element]] = defaultdict(list)
    for element in root:
        if element.tag in ("image", "track"):
            parts[element.get("task_id")].append(element)
    if not parts:
        parts[None] = []
    clips = []
    for task_id, elements in parts.items():
        task = tasks.get(task_id) if task_id else next(iter(tasks.values()), None)
        reading = _Reading(path, labels, root.find("meta/job") if task is None else task)
        frames = list(reading.frames(elements))
        clips.append(
            StoredClip(
                reading.name,
                dense=True,
                frames=partial(_stored, path, frames, num_classes),
                class_names={number: name for name, number in labels.items()},
            )
        )
    return clips


class _NoDoctype(ET.TreeBuilder):
    """Refuses what CVAT never writes, and what entities that fill the memory need."""

    def doctype(self, name: str, _public_id: str | None, _system: str | None) -> None:
        raise DataError(f"it declares a type of documents, {name!r}, which CVAT's files do not")


def _root(path: Path) -> ET.Element:
    try:
        parser = ET.XMLParser(target=_NoDoctype())  # noqa: S314 – without a doctype, no entities
        root = ET.parse(path, parser=parser).getroot()  # noqa: S314
    except (OSError, ET.ParseError, DataError, ValueError) as err:
        raise DataError(f"cannot read {path}: {err}") from err
    if root is None or root.tag != "annotations":
        raise DataError(
            f"{path} is no XML of CVAT: its outermost element is not <annotations>",
            hint="export as 'CVAT for video 1.1' or 'CVAT for images 1.1'",
        )
    return root


class _Reading:
    """Reads the elements of one task."""

    def __init__(self, path: Path, labels: Mapping[str, int], meta: ET.Element | None) -> None:
        self._path, self._labels = path, labels
        self._meta = ET.Element("task") if meta is None else meta
        told = self._meta.findtext("source") or self._meta.findtext("name")
        self.name = told or path.stem

    def frames(self, elements: Sequence[ET.Element]) -> Iterator[_Frame]:
        """Yield the frames in order."""
        images = [element for element in elements if element.tag == "image"]
        tracks = [element for element in elements if element.tag == "track"]
        by_index = {frame.number: frame for frame in self._images(images)}
        size_hw = self._size(self._meta.find("original_size"))
        tracked = [self._track(track, size_hw) for track in tracks]
        if tracks or not images:
            known = {index for track in tracked for index in track}
            for index in self._listed() or sorted(known):
                frame = by_index.setdefault(index, _Frame(index, size_hw, []))
                shapes = [shape for track in tracked for shape in _standing(track, index)]
                frame.masks.extend(each.mask for each in sorted(shapes, key=lambda s: s.z_order))
        yield from (by_index[index] for index in sorted(by_index))

    def _images(self, images: Sequence[ET.Element]) -> Iterator[_Frame]:
        if not images:
            return
        stems = [frame_name(image.get("name", "")).stem for image in images]
        for image, place in zip(images, frame_places(stems, str(self._path)), strict=True):
            where = f"{self._path} image {image.get('name')!r}"
            if place.number is None:
                raise DataError(f"{where}: its name has a time, and no frame number")
            size_hw = self._size(image)
            shapes = [
                self._shape(shape, shape, size_hw, where)
                for shape in image
                if self._is_mask(shape, where)
            ]
            ordered = [each.mask for each in sorted(shapes, key=lambda s: s.z_order)]
            yield _Frame(place.number, size_hw, ordered)

    def _track(self, track: ET.Element, size_hw: SizeHW | None) -> dict[int, list[_Shape]]:
        """Return what stands from some frames on; nothing where it is outside."""
        where = f"{self._path} track {track.get('id')}"
        found: dict[int, list[_Shape]] = {}
        for shape in track:
            if not self._is_mask(shape, where):
                continue
            index = self._number(shape, "frame", where)
            is_outside = shape.get("outside") == "1"
            found[index] = [] if is_outside else [self._shape(track, shape, size_hw, where)]
        return dict(sorted(found.items()))

    def _is_mask(self, shape: ET.Element, where: str) -> bool:
        if shape.tag in _OTHER_SHAPES:
            raise DataError(
                f"{where}: holds a <{shape.tag}>, which is no mask",
                hint="draw masks or polygons, or leave such shapes out",
            )
        return shape.tag in ("mask", "polygon")

    def _shape(
        self, owner: ET.Element, shape: ET.Element, size_hw: SizeHW | None, where: str
    ) -> _Shape:
        label = owner.get("label", "")
        if label not in self._labels:
            raise DataError(f"{where}: label {label!r} is not among those of <meta>")
        if shape.tag == "polygon":
            numbers = re.split("[,;]", shape.get("points", ""))
            try:
                outline = [float(number) for number in numbers]
            except ValueError:
                outline = []
            if len(outline) < 6 or len(outline) % 2 or not np.isfinite(outline).all():
                raise DataError(f"{where}: a polygon needs three points, x1,y1;x2,y2;x3,y3")
            decode = partial(filled, outlines=[outline])
        else:
            decode = self._runs(shape, where)
        mask = StoredMask(self._labels[label], size_hw, decode, _track_id(owner, shape))
        return _Shape(self._number(shape, "z_order", where, 0), mask)

    def _runs(self, shape: ET.Element, where: str) -> partial[BoolMask]:
        try:
            runs = np.array([int(run) for run in shape.get("rle", "").split(",")], np.int64)
        except (ValueError, OverflowError) as err:
            raise DataError(f"{where}: rle is no list of run lengths: {err}") from err
        box = [self._number(shape, side, where) for side in ("left", "top", "width", "height")]
        return partial(_placed, runs=runs, box=box)

    def _listed(self) -> range:
        """Return the frames that the task is said to have; none if it does not say."""
        start, stop = (self._meta.findtext(name) for name in ("start_frame", "stop_frame"))
        if start is None or stop is None or not re.fullmatch(r"\d{1,9} \d{1,9}", f"{start} {stop}"):
            return range(0)
        if int(stop) - int(start) >= _MOST_FRAMES:
            raise DataError(f"{self._path}: frames {start} to {stop} are too many to be meant")
        step = _STEP.search(self._meta.findtext("frame_filter") or "")
        return range(int(start), int(stop) + 1, max(1, int(step[1])) if step else 1)

    def _number(
        self, element: ET.Element, name: str, where: str, default: int | None = None
    ) -> int:
        text = element.get(name)
        if text is None and default is not None:
            return default
        if text is None or not re.fullmatch(r"-?\d{1,9}", text):
            raise DataError(f"{where}: {name} is {text!r}, expected a whole number")
        return int(text)

    def _size(self, element: ET.Element | None) -> SizeHW | None:
        if element is None:
            return None
        sides = [element.get(name) or element.findtext(name) for name in ("height", "width")]
        known = [int(side) for side in sides if side is not None and re.fullmatch(r"\d{1,9}", side)]
        if len(known) < 2 or min(known) < 1:
            return None
        if max(known) > LONGEST_SIDE:
            raise DataError(f"{self._path}: frames of {known[0]}×{known[1]} are no frames")
        return known[0], known[1]


def _standing(track: Mapping[int, list[_Shape]], index: int) -> list[_Shape]:
    starts = list(track)
    at = bisect_right(starts, index)
    return track[starts[at - 1]] if at else []


def _track_id(owner: ET.Element, shape: ET.Element) -> int | None:
    """Return the number of an object: its attribute, else its group, else its track."""
    for attribute in shape.iterfind("attribute"):
        if attribute.get("name") == OBJECT and (attribute.text or "").isdecimal():
            return int(attribute.text or "")
    group = owner.get("group_id", "")
    if group.isdecimal() and int(group) > 0:
        return int(group)
    number = owner.get("id", "")
    return int(number) + 1 if owner.tag == "track" and number.isdecimal() else None


def _placed(size_hw: SizeHW, runs: np.ndarray, box: Sequence[int]) -> BoolMask:
    left, top, width, height = box
    mask = np.zeros(size_hw, np.bool_)
    if min(left, top, width, height) < 0 or left + width > size_hw[1] or top + height > size_hw[0]:
        raise ValueError(f"a mask at {box} lies outside of a frame of {size_hw[0]}×{size_hw[1]}")
    if runs.min() < 0 or runs.max() > width * height or runs.sum() != width * height:
        raise ValueError(f"run lengths cover {runs.sum()} pixels of a box of {width}×{height}")
    marked = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    mask[top : top + height, left : left + width] = marked.reshape(height, width)
    return mask


def _stored(path: Path, frames: Sequence[_Frame], num_classes: int) -> list[StoredFrame]:
    stored = []
    for frame in frames:
        where = f"{path} frame {frame.number}"
        if frame.size_hw is None and frame.masks:
            raise DataError(f"{where}: the file does not say how large it is")
        read = partial(painted, where, frame.masks, frame.size_hw or (0, 0), num_classes)
        stored.append(StoredFrame(where, frame.number, None, None, read, masks=tuple(frame.masks)))
    return stored

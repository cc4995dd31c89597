"""Masks that were corrected elsewhere, in place of those of the runs they came from."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from avscli.errors import DataError
from avscli.evaluation.stored.coco import CocoReading
from avscli.evaluation.stored.opening import annotated_clips, annotated_file
from avscli.exports.video import MarkedFrame, MarkedObject, common_categories
from avscli.masks import encode_mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from avscli.evaluation.stored.clips import StoredClip, StoredFrame
    from avscli.evaluation.stored.shapes import StoredMask
    from avscli.exports.video import MarkedVideo
    from avscli.masks import BoolMask

Objects = tuple[MarkedObject, ...]
_VIDEO_SUFFIX = re.compile(r"\.[0-9A-Za-z]{2,4}$")
_SAME_TIME_SECONDS = 0.02
_CERTAIN = 1.0  # a person has said so


def corrected_videos(videos: Sequence[MarkedVideo], path: Path) -> list[MarkedVideo]:
    """Return videos with the masks of a file; frames that it has not hold those of the last one.

    Classes are known by their names; new names get numbers after those of the run. Objects without
    a number become tracks of their own.

    Args:
        videos: of the runs.
        path: a file of COCO, CVAT or Label Studio, or a folder with one.

    Raises:
        DataError: the file is damaged, has no masks one by one, or is about other videos or frames.
    """
    file = annotated_file(path)
    if file is None:
        raise DataError(
            f"{path} is no file that says which mask is which object",
            hint="give a .json of COCO or Label Studio, or an .xml of CVAT",
        )
    # CVAT says of every brushed mask in COCO that it is a crowd.
    clips = annotated_clips(file, CocoReading(2, crowds_marked=True, scored=False))
    names = dict(common_categories(videos))
    return [_corrected(video, clip, names) for video, clip in _paired(videos, clips, path)]


def _paired(
    videos: Sequence[MarkedVideo], clips: Sequence[StoredClip], path: Path
) -> list[tuple[MarkedVideo, StoredClip]]:
    if len(videos) == len(clips) == 1:
        return [(videos[0], clips[0])]
    by_name = {_VIDEO_SUFFIX.sub("", clip.clip_id): clip for clip in clips}
    pairs = []
    for video in videos:
        clip = by_name.pop(_VIDEO_SUFFIX.sub("", video.name), None)
        if clip is None:
            raise DataError(
                f"{path} has no masks of {video.name}",
                hint=f"it has those of {', '.join(clip.clip_id for clip in clips[:5])}",
            )
        pairs.append((video, clip))
    if by_name:
        raise DataError(f"no run was given for {next(iter(by_name.values())).clip_id} of {path}")
    return pairs


def _corrected(video: MarkedVideo, clip: StoredClip, names: dict[int, str]) -> MarkedVideo:
    stored = clip.frames()
    masks = [mask for frame in stored for mask in frame.masks or ()]
    ids, labels = {name: number for number, name in names.items()}, {}
    for label in sorted({mask.label for mask in masks if mask.label is not None}):
        name = clip.class_names.get(label, str(label))
        if name not in ids:
            ids[name] = max(names, default=0) + 1
            names[ids[name]] = name
        labels[label] = ids[name]
    new_ids = count(1 + max((mask.track_id or 0 for mask in masks), default=0))
    by_index = {
        index: _objects(frame, labels, video, new_ids) for index, frame in _placed(video, stored)
    }
    return replace(video, categories=names, frames=partial(_frames, video, by_index))


def _placed(video: MarkedVideo, stored: Sequence[StoredFrame]) -> Iterator[tuple[int, StoredFrame]]:
    """Yield the frames of a file with their numbers in the source."""
    seconds = {frame.index: frame.seconds for frame in video.frames()}
    indices, times = np.array([*seconds]), np.array([*seconds.values()])
    for frame in stored:
        index = frame.index
        if index is None:
            distances = np.abs(times - (frame.seconds or 0.0))
            nearest = int(distances.argmin())
            index = int(indices[nearest]) if distances[nearest] <= _SAME_TIME_SECONDS else -1
        if index not in seconds:
            raise DataError(
                f"{frame.name} is none of the {len(seconds)} frames of {video.name}",
                hint="frames are numbered as in frames.jsonl, from the video's first, which is 0",
            )
        yield index, frame


def _objects(
    frame: StoredFrame, labels: Mapping[int, int], video: MarkedVideo, new_ids: Iterator[int]
) -> Objects:
    """Return the objects of a frame; the masks of one object are one."""
    joined: dict[tuple[int, int], BoolMask] = defaultdict(lambda: np.zeros(video.size_hw, np.bool_))
    for mask in frame.masks or ():
        if mask.label is not None:
            track_id = next(new_ids) if mask.track_id is None else mask.track_id
            joined[track_id, labels[mask.label]] |= _decoded(mask, frame.name, video)
    return tuple(
        MarkedObject(track_id, category_id, _CERTAIN, encode_mask(marked))
        for (track_id, category_id), marked in joined.items()
        if marked.any()
    )


def _decoded(mask: StoredMask, where: str, video: MarkedVideo) -> BoolMask:
    if mask.size_hw is not None and mask.size_hw != video.size_hw:
        of_mask, of_video = (f"{height}×{width}" for height, width in (mask.size_hw, video.size_hw))
        raise DataError(f"{where}: its mask is {of_mask}, {video.name} is {of_video}")
    try:
        return mask.decode(video.size_hw)
    except ValueError as err:
        raise DataError(f"{where}: {err}") from err


def _frames(video: MarkedVideo, by_index: Mapping[int, Objects]) -> Iterator[MarkedFrame]:
    objects: Objects = ()
    for frame in video.frames():
        is_held = frame.index not in by_index
        objects = by_index.get(frame.index, objects)
        yield replace(frame, objects=objects, is_held=is_held)

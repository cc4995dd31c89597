"""CVAT for video 1.1: ``NAME.xml`` with one track of masks per object.

A mask stands until the next one of its track, and ``outside`` says that there is none. CVAT itself
imports only the first mask of such a track: see `cvat`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from avscli.evaluation.stored.cvat import OBJECT
from avscli.exports.cvat import cvat_file, shape_of
from avscli.exports.tracks import classes_of_tracks
from avscli.masks import decode_mask, mask_iou

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from avscli.config import ExportOptions
    from avscli.exports.video import MarkedVideo
    from avscli.masks import EncodedMask

Shape = dict[str, str]


def write(
    videos: Sequence[MarkedVideo],
    folder: Path,
    options: ExportOptions,
    on_note: Callable[[str], None],
) -> None:
    """Write a file per video, the keyframes of one video in memory; see `Writer.write`."""
    on_note("CVAT itself keeps only the first mask of a track; --to cvat is what it reads whole")
    for video in videos:
        classes = classes_of_tracks(video, video.frames(), on_note)
        shapes = _shapes(video, options.tolerance)
        with cvat_file(video, folder) as xml:
            for track_id, category_id in classes.items():
                track = {
                    "id": str(track_id),
                    "label": video.categories[category_id],
                    "source": "auto",
                    "group_id": str(track_id),
                }
                with xml.element("track", track):
                    for shape in shapes[track_id]:
                        with xml.element("mask", shape):
                            xml.text("attribute", str(track_id), {"name": OBJECT})


def _shapes(video: MarkedVideo, tolerance: float) -> dict[int, list[Shape]]:
    """Return the keyframes of each track.

    Args:
        video: all of whose frames are passed through.
        tolerance: IoU with the last keyframe below which a mask is one itself.
    """
    shapes: dict[int, list[Shape]] = defaultdict(list)
    shown: dict[int, EncodedMask] = {}
    for frame in video.frames():
        present = {each.track_id: each.mask for each in frame.objects}
        for track_id in [gone for gone in shown if gone not in present]:
            shapes[track_id].append(_shape(frame.index, shown.pop(track_id), outside=True))
        for track_id, mask in present.items():
            if track_id not in shown or _differs(mask, shown[track_id], tolerance):
                shown[track_id] = mask
                shapes[track_id].append(_shape(frame.index, mask, outside=False))
    return shapes


def _differs(mask: EncodedMask, other: EncodedMask, tolerance: float) -> bool:
    if mask.counts == other.counts:
        return False
    first, second = (decode_mask(each.size_hw, each.counts) for each in (mask, other))
    return mask_iou(first, second) < tolerance


def _shape(index: int, mask: EncodedMask, *, outside: bool) -> Shape:
    state = {"frame": str(index), "keyframe": "1", "outside": str(int(outside)), "occluded": "0"}
    return state | shape_of(mask)

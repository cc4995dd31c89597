"""YouTube-VIS: ``instances.json``, a list of masks per track, one for each analysed frame."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from itertools import count
from typing import TYPE_CHECKING

from avscli.exports.places import picture_name
from avscli.exports.tracks import classes_of_tracks
from avscli.exports.video import common_categories
from avscli.masks import run_lengths
from avscli.outputs.coco import Category, compact_json, write_list
from avscli.outputs.disk import LineFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from avscli.config import ExportOptions
    from avscli.exports.video import MarkedObject, MarkedVideo

Json = dict[str, object]


def write(
    videos: Sequence[MarkedVideo],
    folder: Path,
    _options: ExportOptions,
    on_note: Callable[[str], None],
) -> None:
    """Write one file of all videos; the masks of one video are in memory at a time."""
    classes = [asdict(Category(id_, name)) for id_, name in common_categories(videos).items()]
    with LineFile(folder / "instances.json") as out:
        out.write('{"info":{"description":"Masks of what sounds, by object"},"licenses":[],')
        out.write(f'"categories":{compact_json(classes)},')
        write_list(out, "videos", _videos(videos))
        out.write(",")
        write_list(out, "annotations", _annotations(videos, on_note))
        out.write("}")


def _videos(videos: Sequence[MarkedVideo]) -> Iterator[Json]:
    for number, video in enumerate(videos, start=1):
        names = [f"{video.name}/{picture_name(frame)}" for frame in video.analysed()]
        height, width = video.size_hw
        yield {
            "id": number,
            "width": width,
            "height": height,
            "length": len(names),
            "file_names": names,
        }


def _annotations(videos: Sequence[MarkedVideo], on_note: Callable[[str], None]) -> Iterator[Json]:
    ids = count(1)
    for number, video in enumerate(videos, start=1):
        height, width = video.size_hw
        classes = classes_of_tracks(video, video.analysed(), on_note)
        length, tracks = _tracks(video)
        for track_id, category_id in classes.items():
            shown = [tracks[track_id].get(step) for step in range(length)]
            yield {
                "id": next(ids),
                "video_id": number,
                "track_id": track_id,
                "category_id": category_id,
                "iscrowd": 0,
                "width": width,
                "height": height,
                "score": sum(each.score for each in shown if each) / len(tracks[track_id]),
                "segmentations": [_run_lengths(each) for each in shown],
                "bboxes": [None if each is None else each.mask.bbox for each in shown],
                "areas": [None if each is None else each.mask.area for each in shown],
            }


def _tracks(video: MarkedVideo) -> tuple[int, dict[int, dict[int, MarkedObject]]]:
    """Return the number of analysed frames, and the objects by track and step."""
    tracks: dict[int, dict[int, MarkedObject]] = defaultdict(dict)
    length = 0
    for step, frame in enumerate(video.analysed()):
        length = step + 1
        for each in frame.objects:
            tracks[each.track_id][step] = each
    return length, tracks


def _run_lengths(each: MarkedObject | None) -> Json | None:
    if each is None:
        return None
    # Plain numbers, as in the published files: some programs read nothing else there.
    return {"size": each.mask.size_hw, "counts": run_lengths(each.mask.counts).tolist()}

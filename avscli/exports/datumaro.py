"""Datumaro's own format: ``annotations/default.json``, an item per analysed frame."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from avscli.exports.places import picture_name
from avscli.exports.video import common_categories
from avscli.outputs.coco import compact_json, write_list
from avscli.outputs.disk import LineFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from avscli.config import ExportOptions
    from avscli.exports.video import MarkedObject, MarkedVideo

Json = dict[str, object]
_IMAGE = 2  # MediaType of Datumaro


def write(
    videos: Sequence[MarkedVideo],
    folder: Path,
    _options: ExportOptions,
    _on_note: Callable[[str], None],
) -> None:
    """Write one file of all videos; see `Writer.write`."""
    categories = common_categories(videos)
    places = {category_id: place for place, category_id in enumerate(categories)}
    path = folder / "annotations" / "default.json"
    path.parent.mkdir()
    with LineFile(path) as out:
        out.write(f'{{"dm_format_version":"1.0","media_type":{_IMAGE},"infos":{{}},')
        out.write(f'"categories":{compact_json(_labels(categories))},')
        write_list(out, "items", _items(videos, places))
        out.write("}")


def _labels(categories: Mapping[int, str]) -> Json:
    labels = [{"name": name, "parent": "", "attributes": []} for name in categories.values()]
    return {"label": {"labels": labels, "label_groups": [], "attributes": ["track_id", "score"]}}


def _items(videos: Sequence[MarkedVideo], places: Mapping[int, int]) -> Iterator[Json]:
    ids = count(1)
    for video in videos:
        for frame in video.analysed():
            yield {
                "id": f"{video.name}/{picture_name(frame, '')}",
                "annotations": [
                    _annotation(each, next(ids), places[each.category_id]) for each in frame.objects
                ],
                "attr": {"frame": frame.index, "time": frame.seconds},
                "image": {"path": f"{video.name}/{picture_name(frame)}", "size": video.size_hw},
            }


def _annotation(each: MarkedObject, annotation_id: int, label: int) -> Json:
    return {
        "id": annotation_id,
        "type": "mask",
        "attributes": {"track_id": each.track_id, "score": each.score},
        "group": 0,
        "label_id": label,
        "rle": {"counts": each.mask.counts, "size": each.mask.size_hw},
        "z_order": 0,
    }

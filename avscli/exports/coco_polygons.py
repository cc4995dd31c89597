"""COCO instances with polygons, pixel for pixel: ``masks.coco.json``."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from avscli import __version__
from avscli.exports.places import picture_name
from avscli.exports.polygons import outline_of
from avscli.exports.video import common_categories
from avscli.masks import decode_mask
from avscli.outputs.coco import COCO_NAME, Category, compact_json, write_list
from avscli.outputs.disk import LineFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from avscli.config import ExportOptions
    from avscli.exports.video import MarkedVideo

Json = dict[str, object]


def write(
    videos: Sequence[MarkedVideo],
    folder: Path,
    _options: ExportOptions,
    on_note: Callable[[str], None],
) -> None:
    """Write one file of all videos, an image per analysed frame; see `Writer.write`."""
    classes = [asdict(Category(id_, name)) for id_, name in common_categories(videos).items()]
    with LineFile(folder / COCO_NAME) as out:
        out.write(f'{{"info":{compact_json(_info())},"licenses":[],')
        out.write(f'"categories":{compact_json(classes)},')
        write_list(out, "videos", _videos(videos))
        out.write(",")
        write_list(out, "images", _images(videos))
        out.write(",")
        write_list(out, "annotations", _annotations(videos, on_note))
        out.write("}")


def _videos(videos: Sequence[MarkedVideo]) -> Iterator[Json]:
    for number, video in enumerate(videos, start=1):
        yield {
            "id": number,
            "file_name": video.name,
            "width": video.size_hw[1],
            "height": video.size_hw[0],
            "fps": None if video.frame_rate is None else str(video.frame_rate),
        }


def _images(videos: Sequence[MarkedVideo]) -> Iterator[Json]:
    image_id = 0
    for number, video in enumerate(videos, start=1):
        height, width = video.size_hw
        for frame in video.analysed():
            image_id += 1
            yield {
                "id": image_id,
                "video_id": number,
                "frame_id": frame.index,
                "file_name": f"{video.name}/{picture_name(frame)}",
                "width": width,
                "height": height,
                "pts": frame.pts,
                "time": frame.seconds,
            }


def _annotations(videos: Sequence[MarkedVideo], on_note: Callable[[str], None]) -> Iterator[Json]:
    annotation_id = image_id = num_cut = 0
    for number, video in enumerate(videos, start=1):
        for frame in video.analysed():
            image_id += 1
            for each in frame.objects:
                annotation_id += 1
                outline = outline_of(decode_mask(each.mask.size_hw, each.mask.counts))
                num_cut += outline.had_holes
                yield {
                    "id": annotation_id,
                    "image_id": image_id,
                    "video_id": number,
                    "track_id": each.track_id,
                    "category_id": each.category_id,
                    "segmentation": outline.polygons,
                    "bbox": each.mask.bbox,
                    "area": each.mask.area,
                    "iscrowd": 0,
                    "score": each.score,
                    "attributes": {"track_id": each.track_id},  # where CVAT and Datumaro look
                }
    if num_cut:
        on_note(f"{num_cut} masks have holes, which polygons have not: they are cut into pieces")


def _info() -> Json:
    return {
        "description": "Outlines of what sounds, per analysed frame",
        "date_created": datetime.now(UTC).isoformat(timespec="seconds"),
        "contributor": f"avs {__version__}",
    }

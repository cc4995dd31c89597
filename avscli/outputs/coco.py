"""masks.coco.json: COCO instances with one image per analysed frame.

Streamed from the journal in two passes, images then annotations, so that hours fit in memory.
Ids start at 1, ``iscrowd`` is 0 (pycocotools ignores crowds as ground truth), counts are
compressed text, sizes are those of the display frame. Every analysed frame is among the images:
"nothing sounds" is not "never looked at".
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from avscli.outputs.disk import LineFile
from avscli.outputs.journal import JOURNAL_NAME, count_frames, mask_json, read_journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from avscli.datatypes import MediaInfo, NetworkSpec
    from avscli.outputs.journal import JournalEntry

COCO_NAME = "masks.coco.json"
COCO_VERSION = "avs-coco-1"
VIDEO_ID = 1


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where masks come from.

    Attributes:
        run_id: names the run.
        tool: program and version.
        date_created: ISO 8601 time of the run.
        source_sha256: of the input file.
        checkpoint_sha256: of the weights.
        options_sha256: of the options that shaped the masks.
    """

    run_id: str
    tool: str
    date_created: str
    source_sha256: str
    checkpoint_sha256: str
    options_sha256: str


@dataclass(frozen=True, slots=True)
class Category:
    """A class as COCO names it; the id is the class in the label map."""

    id: int
    name: str
    supercategory: str = "audio-visual"


def categories(spec: NetworkSpec) -> tuple[Category, ...]:
    """Return what annotations may name: one sounding object, or the classes but the background."""
    if spec.task == "binary":
        return (Category(1, "sounding_object"),)
    return tuple(Category(c, name) for c, name in enumerate(spec.class_names) if c > 0)


def write_coco(folder: Path, media: MediaInfo, spec: NetworkSpec, provenance: Provenance) -> Path:
    """Write masks.coco.json beside the finished journal of `folder` and return the file.

    Raises:
        DataError: the journal is missing or damaged.
        OutputError: the disk is full or gone.
    """
    path, journal = folder / COCO_NAME, folder / JOURNAL_NAME
    video = _video(media, count_frames(journal), provenance)
    with LineFile(path) as out:
        out.write(f'{{"info":{_json(_info(provenance))},"licenses":[],')
        out.write(f'"categories":{_json([asdict(c) for c in categories(spec)])},')
        out.write(f'"videos":{_json([video])},')
        _write_list(out, "images", (_image(media, *numbered) for numbered in _analysed(journal)))
        out.write(",")
        _write_list(out, "annotations", _annotations(journal))
        out.write("}")
    return path


def _analysed(journal: Path) -> Iterator[tuple[int, JournalEntry]]:
    """Yield (image id, entry) for every frame the network looked at."""
    return enumerate((e for e in read_journal(journal) if not e.interpolated), start=1)


def _annotations(journal: Path) -> Iterator[dict[str, object]]:
    annotation_id = 0
    for image_id, entry in _analysed(journal):
        for label, mask in entry.masks.items():
            annotation_id += 1
            yield {
                "id": annotation_id,
                "image_id": image_id,
                "video_id": VIDEO_ID,
                "track_id": label,  # one mask per class and frame: a class is a track
                **mask_json(label, mask),
                "iscrowd": 0,
                "score": entry.score,
                "attributes": {"flags": " ".join(entry.flags)},
            }


def _image(media: MediaInfo, image_id: int, entry: JournalEntry) -> dict[str, object]:
    return {
        "id": image_id,
        "video_id": VIDEO_ID,
        "frame_id": entry.frame,
        "file_name": f"frame_{entry.frame:06d}.PNG",
        "width": media.width,
        "height": media.height,
        "pts": entry.pts,
        "time": entry.time_seconds,
        "audio_dbfs": entry.audio_dbfs,
    }


def _video(media: MediaInfo, num_frames: int, provenance: Provenance) -> dict[str, object]:
    return {
        "id": VIDEO_ID,
        "file_name": media.path.name,
        "width": media.width,
        "height": media.height,
        "length": num_frames,
        "fps": None if media.frame_rate is None else str(media.frame_rate),
        "duration": media.duration_seconds,
        "rotation_applied": media.rotation_degrees,
        "sha256": provenance.source_sha256,
    }


def _info(provenance: Provenance) -> dict[str, object]:
    return {
        "description": "Masks of what sounds, per analysed frame",
        "version": COCO_VERSION,
        "date_created": provenance.date_created,
        "contributor": provenance.tool,
        "avs": {
            "run_id": provenance.run_id,
            "tool": provenance.tool,
            "checkpoint_sha256": provenance.checkpoint_sha256,
            "options_sha256": provenance.options_sha256,
        },
    }


def _write_list(out: LineFile, key: str, items: Iterator[dict[str, object]]) -> None:
    separator = f'"{key}":['
    for item in items:
        out.write(separator + _json(item))
        separator = ","
    out.write("]" if separator == "," else separator + "]")


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)

"""masks.coco.json: COCO instances with one image per analysed frame.

Streamed from the journal in two passes, images then annotations, so that hours fit in memory.
Ids start at 1, ``iscrowd`` is 0 (pycocotools ignores crowds as ground truth), counts are
compressed text, sizes are those of the display frame. Every analysed frame is among the images:
"nothing sounds" is not "never looked at".
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from avscli.outputs.disk import LineFile
from avscli.outputs.journal import JOURNAL_NAME, count_frames, object_json, read_journal
from avscli.outputs.tracks import under_one_name
from avscli.results import CARRIED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from avscli.outputs.journal import JournalEntry
    from avscli.results import ObjectSummary, RecordedSource

COCO_NAME = "masks.coco.json"
COCO_VERSION = "avs-coco-2"
VIDEO_ID = 1


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where masks come from.

    Attributes:
        run_id: names the run.
        tool: program and version.
        date_created: ISO 8601 time of the run.
        checkpoint_sha256: of the weights.
        options_sha256: of the options that shaped the masks.
        review_sha256: of the review.json that corrected them; empty where none did.
    """

    run_id: str
    tool: str
    date_created: str
    checkpoint_sha256: str
    options_sha256: str
    review_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Category:
    """A category as COCO names it."""

    id: int
    name: str
    supercategory: str = "audio-visual"


def coco_categories(names: Mapping[int, str]) -> tuple[Category, ...]:
    """Return what annotations may name.

    Args:
        names: of categories, by id.
    """
    return tuple(Category(number, name) for number, name in names.items())


def write_coco(
    folder: Path,
    source: RecordedSource,
    categories: Mapping[int, str],
    objects: Iterable[ObjectSummary],
    provenance: Provenance,
) -> Path:
    """Write masks.coco.json beside the finished journal of `folder` and return the file.

    Args:
        folder: of the run.
        source: of the run.
        categories: names by id.
        objects: of the run, whose categories annotations carry.
        provenance: where the masks come from.

    Raises:
        DataError: the journal is missing or damaged.
        OutputError: the disk is full or gone.
    """
    path, journal = folder / COCO_NAME, folder / JOURNAL_NAME
    video = _video(source, count_frames(journal))
    ids, again = Ids(), Ids()
    size_hw = (source.height, source.width)
    with LineFile(path) as out:
        out.write(f'{{"info":{compact_json(_info(provenance))},"licenses":[],')
        out.write(f'"categories":{compact_json([asdict(c) for c in coco_categories(categories)])},')
        out.write(f'"videos":{compact_json([video])},')
        write_list(out, "images", images_of(read_journal(journal), size_hw, ids))
        out.write(",")
        frames = under_one_name(read_journal(journal), objects)
        write_list(out, "annotations", annotations_of(frames, again))
        out.write("}")
    return path


@dataclass(slots=True)
class Ids:
    """The last ids given out; a file of many videos counts on from one to the next."""

    video: int = VIDEO_ID
    image: int = 0
    annotation: int = 0
    track: int = 0


def images_of(
    frames: Iterable[JournalEntry], size_hw: tuple[int, int], ids: Ids, *, prefix: str = ""
) -> Iterator[dict[str, object]]:
    """Yield an image for every frame the network looked at, counting `ids` on.

    Args:
        frames: of a finished run.
        size_hw: of the display frame.
        ids: the last ones given out before.
        prefix: before the names of the images.
    """
    for entry in _analysed(frames):
        ids.image += 1
        yield _image(entry, size_hw, ids, prefix)


def annotations_of(frames: Iterable[JournalEntry], ids: Ids) -> Iterator[dict[str, object]]:
    """Yield the annotations of the same images in the same order, counting `ids` on."""
    earlier = ids.track
    for entry in _analysed(frames):
        ids.image += 1
        for each in entry.objects:
            ids.annotation += 1
            numbered = each
            if each.track_id is not None:
                numbered = replace(each, track_id=earlier + each.track_id)
                ids.track = max(ids.track, earlier + each.track_id)
            yield {
                "id": ids.annotation,
                "image_id": ids.image,
                "video_id": ids.video,
                **object_json(numbered),
                "iscrowd": 0,
                "attributes": {"flags": " ".join(entry.flags)},
            }


def _analysed(frames: Iterable[JournalEntry]) -> Iterator[JournalEntry]:
    return (entry for entry in frames if not entry.interpolated)


def _image(
    entry: JournalEntry, size_hw: tuple[int, int], ids: Ids, prefix: str
) -> dict[str, object]:
    height, width = size_hw
    return {
        "id": ids.image,
        "video_id": ids.video,
        "frame_id": entry.frame,
        "file_name": f"{prefix}frame_{entry.frame:06d}.PNG",
        "width": width,
        "height": height,
        "pts": entry.pts,
        "time": entry.time_seconds,
        "audio_dbfs": entry.audio_dbfs,
        "heard": [asdict(sound) for sound in entry.heard],
        **({CARRIED: True} if CARRIED in entry.flags else {}),
    }


def _video(source: RecordedSource, num_frames: int) -> dict[str, object]:
    return {
        "id": VIDEO_ID,
        "file_name": Path(source.path).name,
        "width": source.width,
        "height": source.height,
        "length": num_frames,
        "fps": source.frame_rate,
        "duration": source.duration_seconds,
        "rotation_applied": source.rotation_degrees,
        "mirror_applied": source.mirrored,
        "sha256": source.sha256,
    }


def _info(provenance: Provenance) -> dict[str, object]:
    review = {"review_sha256": provenance.review_sha256} if provenance.review_sha256 else {}
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
            **review,
        },
    }


def write_list(out: LineFile, key: str, items: Iterator[dict[str, object]]) -> None:
    """Write a list under a key, an item per line.

    Raises:
        OutputError: the disk is full or gone.
    """
    separator = f'"{key}":['
    for item in items:
        out.write(separator + compact_json(item))
        separator = ","
    out.write("]" if separator == "," else separator + "]")


def compact_json(value: object) -> str:
    """Return JSON without spaces; infinities are refused."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)

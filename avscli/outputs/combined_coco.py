"""One COCO file of many runs, streamed: `write_combined_coco`.

Made from run.json and frames.jsonl of each run like its own masks.coco.json, with ids that count on
from one video to the next. One frame is in memory at a time, however many runs there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from avscli import __version__
from avscli.errors import DataError
from avscli.outputs.coco import (
    COCO_VERSION,
    Category,
    Ids,
    annotations_of,
    coco_categories,
    compact_json,
    images_of,
    write_list,
)
from avscli.outputs.disk import LineFile, output_errors
from avscli.outputs.run import Run


@dataclass(frozen=True, slots=True)
class Part:
    """One run: its folder, and the name its video gets."""

    name: str
    folder: Path


def write_combined_coco(path: Path, parts: Callable[[], Iterable[Part]]) -> Path:
    """Write one COCO file of many finished runs, whole or not at all, and return it.

    Args:
        path: of the file.
        parts: gives the runs, the same ones in the same order each time it is called.

    Raises:
        DataError: a run is damaged, or its classes differ from those of the others.
        OutputError: the disk is full or gone.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        with LineFile(temporary) as out:
            classes = _common_categories(parts())
            out.write(f'{{"info":{compact_json(_info())},"licenses":[],')
            out.write(f'"categories":{compact_json([asdict(c) for c in classes])},')
            write_list(out, "videos", _videos(parts()))
            out.write(",")
            write_list(out, "images", _images(parts()))
            out.write(",")
            write_list(out, "annotations", _annotations(parts()))
            out.write("}")
        with output_errors(path):
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def _common_categories(parts: Iterable[Part]) -> tuple[Category, ...]:
    common: tuple[Category, ...] | None = None
    for part in parts:
        found = coco_categories(Run.open(part.folder).categories)
        if common is not None and found != common:
            raise DataError(
                f"{part.folder} was segmented into other classes than the runs before it",
                hint="combine only runs of one kind of weights; do the others again",
            )
        common = found
    return common or ()


def _videos(parts: Iterable[Part]) -> Iterator[dict[str, object]]:
    for number, part in enumerate(parts, start=1):
        yield {"id": number, "file_name": part.name, **_video(Run.open(part.folder))}


def _images(parts: Iterable[Part]) -> Iterator[dict[str, object]]:
    ids = Ids()
    for ids.video, part in enumerate(parts, start=1):
        run = Run.open(part.folder)
        yield from images_of(run.frames(), run.size_hw, ids, prefix=f"{part.name}/")


def _annotations(parts: Iterable[Part]) -> Iterator[dict[str, object]]:
    ids = Ids()
    for ids.video, part in enumerate(parts, start=1):
        yield from annotations_of(Run.open(part.folder).frames(), ids)


def _video(run: Run) -> dict[str, object]:
    source = run.record.source
    return {
        "width": source.width,
        "height": source.height,
        "length": run.record.num_frames,
        "fps": source.frame_rate,
        "duration": source.duration_seconds,
        "rotation_applied": source.rotation_degrees,
        "mirror_applied": source.mirrored,
        "sha256": source.sha256,
        "run_id": run.record.run_id,
    }


def _info() -> dict[str, object]:
    return {
        "description": "Masks of what sounds, per analysed frame",
        "version": COCO_VERSION,
        "date_created": datetime.now(UTC).isoformat(timespec="seconds"),
        "contributor": f"avs {__version__}",
    }

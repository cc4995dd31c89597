"""supervision: ``NAME.jsonl``, a line per analysed frame that `Detections.from_inference` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.exports.places import file_for
from avscli.outputs.coco import compact_json
from avscli.outputs.disk import LineFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from avscli.config import ExportOptions
    from avscli.exports.video import MarkedFrame, MarkedObject, MarkedVideo


def write(
    videos: Sequence[MarkedVideo],
    folder: Path,
    _options: ExportOptions,
    _on_note: Callable[[str], None],
) -> None:
    """Write a file per video; see `Writer.write`."""
    for video in videos:
        with LineFile(file_for(video, folder, ".jsonl")) as out:
            for frame in video.analysed():
                out.write(compact_json(_line(video, frame)))


def _line(video: MarkedVideo, frame: MarkedFrame) -> dict[str, object]:
    height, width = video.size_hw
    return {
        "frame": frame.index,
        "time": frame.seconds,
        "image": {"width": width, "height": height},
        "predictions": [
            _prediction(each, video.categories[each.category_id]) for each in frame.objects
        ],
    }


def _prediction(each: MarkedObject, name: str) -> dict[str, object]:
    x, y, width, height = each.mask.bbox
    return {
        "x": x + width / 2,  # of the centre
        "y": y + height / 2,
        "width": width,
        "height": height,
        "confidence": each.score,
        "class": name,
        "class_id": each.category_id,
        "tracker_id": each.track_id,
        "rle": {"size": each.mask.size_hw, "counts": each.mask.counts},
    }

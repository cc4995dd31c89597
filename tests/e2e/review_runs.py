"""Runs whose every mask, score and sound is known, over videos that were made for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from avscli.media.probe import probe
from avscli.outputs.journal import read_journal
from avscli.outputs.tracks import summed_objects
from avscli.results import RecordedSource
from avscli.shipped import sha256_of
from tests.builders import make_video
from tests.run_folders import ring, spec_of, write_record

NAMES = ("dog", "person", "cat")
Shown = Callable[[int], bool]
SHOWN: dict[int, Shown] = {
    1: lambda at: at < 12 or at >= 18,  # two intervals
    2: lambda at: 6 <= at < 24,
    3: lambda at: at >= 15,
}
"""Tracks, and at which analysed frames each is there."""


def write_reviewed(
    folder: Path,
    source: Path | None = None,
    *,
    every: int = 2,
    skipped: int = 0,
    names: Sequence[str] = NAMES,
    sound_name: str = "Bark",
    shown: dict[int, Shown] = SHOWN,
    **video: Any,
) -> Path:
    """Write the run of a video, which is made where it is not there; return the run's folder.

    Args:
        folder: of the run.
        source: the video; None is ``clip.mp4`` beside the folder.
        every: which frames are analysed; those between hold the masks.
        skipped: how many frames lie before the range.
        names: of classes, the first that of the first track, and so on.
        sound_name: what is heard.
        shown: as `SHOWN`.
        **video: as for `make_video`.
    """
    source = source or folder.parent / "clip.mp4"
    folder.mkdir(parents=True)
    if not source.exists():
        make_video(source, **{"seconds": 2.0, "fps": 30, "size_hw": (96, 128), **video})
    recorded = RecordedSource.of(probe(source), sha256=sha256_of(source))
    size_hw = recorded.height, recorded.width
    lines = []
    for number, (pts, seconds) in [*enumerate(frame_stamps(source))][skipped:]:
        at = (number - skipped) // every
        tracks = [track for track, is_shown in shown.items() if is_shown(at)]
        entry = {
            "v": 2,
            "frame": number,
            "pts": pts,
            "time": round(float(seconds), 6),
            "state": "sounding" if tracks else "nothing_sounds",
            "interpolated": (number - skipped) % every > 0,
            "score": 0.9,
            "audio_dbfs": -20.0 - at,
            "flags": ["flicker"] if at == 9 else [],
            "heard": [{"name": sound_name, "probability": 0.75}],
            "objects": [_object(track, at, size_hw) for track in tracks],
        }
        lines.append(json.dumps(entry) + "\n")
    (folder / "frames.jsonl").write_text("".join(lines))
    _write_record(folder, recorded, names, len(lines))
    return folder


def mask_of(track: int, at: int, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask of a track at an analysed frame: a ring that moves, at the rim in the end."""
    height, width = size_hw
    centre = (height * (0.2 + 0.3 * (track - 1)), 8 + (at * 4) % width)
    return ring(centre, height / 8, height / 20, size_hw=size_hw)


def frame_stamps(path: Path) -> list[tuple[int, Fraction]]:
    with av.open(str(path)) as container:
        return [(frame.pts, frame.pts * frame.time_base) for frame in container.decode(video=0)]


def _object(track: int, at: int, size_hw: tuple[int, int]) -> dict[str, object]:
    mask = mask_of(track, at, size_hw)
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {
        "track_id": track,
        "category_id": track,
        "category_score": 0.9,
        "score": 0.5 if (track, at) == (2, 10) else 0.75 + 0.05 * track,
        "segmentation": {"size": [*size_hw], "counts": encoded["counts"].decode()},
        "bbox": [int(value) for value in coco_mask.toBbox(encoded)],
        "area": int(mask.sum()),
    }


def _write_record(
    folder: Path, source: RecordedSource, names: Sequence[str], num_frames: int
) -> None:
    """Write run.json with the objects that the journal gives."""
    write_record(folder, source=source, spec=spec_of(names), num_frames=num_frames)
    objects = summed_objects(read_journal(folder / "frames.jsonl"), dict(enumerate(names, start=1)))
    path = folder / "run.json"
    record = json.loads(path.read_text())
    record["objects"] = [asdict(each) for each in objects]
    path.write_text(json.dumps(record))

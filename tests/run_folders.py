"""Folders of finished runs whose every mask is known, written as docs/formats.md says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from avscli.datatypes import CheckpointInfo, NetworkSpec
from avscli.outputs.run_record import SCHEMA_VERSION
from avscli.results import RecordedSource, SegmentationReport
from avscli.shipped import sha256_of

SIZE_HW = (45, 61)
HOSTILE_NAMES = (
    "dog",
    "a \"quoted\" 'one' & <b>bold</b>",
    "</script><script>alert(1)</script>",
    "two\nlines,\tcommas; =1+1",
    "../../etc/passwd",
    "n" * 300,
)
Masks = Mapping[int, NDArray[np.bool_]]
"""By class, [H, W]."""


@dataclass(frozen=True)
class Frame:
    """One line of a journal."""

    index: int
    pts: int
    seconds: float
    masks: Masks
    is_held: bool = False


def ring(
    centre_yx: tuple[float, float],
    radius: float,
    hole: float = 0.0,
    *,
    size_hw: tuple[int, int] = SIZE_HW,
) -> NDArray[np.bool_]:
    """A disk, or one with a hole."""
    y, x = np.ogrid[: size_hw[0], : size_hw[1]]
    distance = np.hypot(y - centre_yx[0], x - centre_yx[1])
    return (distance <= radius) & (distance >= hole)


def scene(
    num_frames: int = 12,
    *,
    every: int = 3,
    times: Sequence[float] | None = None,
    size_hw: tuple[int, int] = SIZE_HW,
) -> list[Frame]:
    """Two objects: a ring that moves, and specks that sound in the second half only.

    Args:
        num_frames: of the source.
        every: which ones are analysed; those between hold the masks.
        times: seconds of the frames; None is 30 a second.
    """
    frames: list[Frame] = []
    for index in range(num_frames):
        if index % every == 0:
            masks = {1: ring((20, 12 + index % 30), 9, 4, size_hw=size_hw)}
            if index == every:
                masks = {}  # nothing sounds
            elif index >= num_frames // 2:
                specks = np.random.default_rng(index).random(size_hw) > 0.7
                masks[2] = specks & ~masks[1]
        seconds = index / 30 if times is None else times[index]
        pts = round(seconds * 90_000)
        frames.append(Frame(index, pts, pts / 90_000, masks, index % every > 0))
    return frames


def write_run(
    folder: Path,
    frames: Sequence[Frame],
    *,
    source: Path = Path("clip.mp4"),
    frame_rate: Fraction | None = Fraction(30),
    names: Sequence[str] = ("dog", "person"),
    size_hw: tuple[int, int] = SIZE_HW,
) -> Path:
    """Write what ``avs segment`` would, and return the folder."""
    folder.mkdir(parents=True)
    lines = [json.dumps(_line(frame)) + "\n" for frame in frames]
    (folder / "frames.jsonl").write_text("".join(lines))
    recorded = recorded_source(source, frame_rate=frame_rate, size_hw=size_hw)
    write_record(folder, source=recorded, spec=spec_of(names), num_frames=len(frames))
    return folder


def recorded_source(
    path: Path, *, frame_rate: Fraction | None = None, size_hw: tuple[int, int] = SIZE_HW
) -> RecordedSource:
    """What a record says of a source of which the name is known, and the bytes if it is there."""
    return RecordedSource(
        path=str(path),
        container="mp4",
        video_codec="h264",
        height=size_hw[0],
        width=size_hw[1],
        frame_rate=None if frame_rate is None else str(frame_rate),
        num_frames=None,
        duration_seconds=None,
        start_seconds=0.0,
        sample_aspect_ratio="1",
        pixel_format="yuv420p",
        interlaced=False,
        audio=None,
        num_audio_tracks=0,
        sha256=sha256_of(path) if path.is_file() else "",
        rotation_degrees=0,
    )


def report_of(
    *,
    source: RecordedSource,
    spec: NetworkSpec,
    num_frames: int,
    checkpoint: tuple[str, str] = ("none", ""),
) -> SegmentationReport:
    """The report of a run with weights of this name and hash."""
    return SegmentationReport(
        schema_version=SCHEMA_VERSION,
        status="done",
        run_id="0123456789abcdef",
        date_created="2026-01-01T00:00:00+00:00",
        tool={"name": "avs", "version": "0.1.0"},
        source=source,
        checkpoint=CheckpointInfo(*checkpoint, 0, spec, (), {}, "none", "none"),
        options={},
        device={"device": "cpu", "precision": "fp32"},
        num_frames=num_frames,
        num_analysed_frames=num_frames,
        sounding_share=0.5,
        mean_score=0.5,
        timings_seconds={"total": 1.0},
        warnings=(),
        output="",
        files=("frames.jsonl", "run.json"),
    )


def write_record(
    folder: Path,
    *,
    source: RecordedSource,
    spec: NetworkSpec,
    num_frames: int,
    checkpoint: tuple[str, str] = ("none", ""),
) -> None:
    """Write run.json."""
    report = report_of(source=source, spec=spec, num_frames=num_frames, checkpoint=checkpoint)
    (folder / "run.json").write_text(json.dumps(asdict(report)))


def spec_of(names: Sequence[str]) -> NetworkSpec:
    """A network with these classes."""
    return NetworkSpec(
        network="none",
        task="semantic",
        clip_length=1,
        seconds_per_step=1.0,
        frame_size_hw=(32, 32),
        pixel_mean=(0, 0, 0),
        pixel_std=(1, 1, 1),
        resize_mode="squash",
        num_classes=len(names) + 1,
        class_names=("background", *names),
        padding="repeat_last",
    )


def _line(frame: Frame) -> dict[str, object]:
    return {
        "v": 1,
        "frame": frame.index,
        "pts": frame.pts,
        "time": frame.seconds,
        "state": "sounding" if frame.masks else "nothing_sounds",
        "interpolated": frame.is_held,
        "score": 0.875,
        "audio_dbfs": -23.1,
        "flags": [],
        "anns": [_annotation(label, mask) for label, mask in frame.masks.items()],
    }


def _annotation(label: int, mask: NDArray[np.bool_]) -> dict[str, object]:
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {
        "category_id": label,
        "segmentation": {"size": list(mask.shape), "counts": encoded["counts"].decode()},
        "bbox": [int(value) for value in coco_mask.toBbox(encoded)],
        "area": int(mask.sum()),
    }

"""A run of a generated clip whose every mask is known, with all its files, and reviews of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avscli.config import ReadOptions, SegmentOptions
from avscli.media.frames import FrameReader
from avscli.media.probe import probe
from avscli.outputs.artifacts import ARTIFACTS, Finished, write_artifacts
from avscli.outputs.coco import Provenance
from avscli.outputs.confidence import ConfidenceSink
from avscli.outputs.journal import JournalSink, read_journal
from avscli.outputs.run_record import write_run_record
from avscli.outputs.tracks import summed_objects
from avscli.results import FrameConfidence, FramePrediction, RecordedSource, SoundingObject
from tests.builders import make_video
from tests.run_folders import report_of, spec_of
from tests.unit.outputs.drawn import make_prediction

SIZE_HW = (48, 64)
FPS = 10
EVERY = 3
NUM_FRAMES = 20
ANALYSED = range(0, NUM_FRAMES, EVERY)
NAMES = {1: "dog", 2: "person"}
# Objects: which category they are, in which analysed frames they sound.
OBJECTS = {1: (1, range(0, 12, 3)), 2: (2, range(6, 15, 3)), 3: (1, range(15, 18, 3))}
MISTAKEN = 3  # the frame that takes object 1 for a person


def mask_of(track_id: int, frame: int) -> NDArray[np.bool_]:
    """An object in an analysed frame, [H, W]: rows of its own, with a corner that says when."""
    mask = np.zeros(SIZE_HW, np.bool_)
    top = 14 * (track_id - 1)
    mask[top : top + 12, 4 + frame : 24 + frame] = True
    mask[top + 2, 6 + frame] = False
    return mask


def shown(frame: int) -> dict[int, NDArray[np.bool_]]:
    """The objects of a source frame: those of the last analysed one."""
    analysed = frame - frame % EVERY
    return {
        track: mask_of(track, analysed)
        for track, (_, frames) in OBJECTS.items()
        if analysed in frames
    }


def write_reviewed_run(root: Path) -> Path:
    """Write a clip and its run with everything but an overlay, and return the run's folder."""
    clip = make_video(root / "clip.mp4", seconds=NUM_FRAMES / FPS, fps=FPS, size_hw=SIZE_HW)
    folder = root / "runs" / "clip.mp4"
    folder.mkdir(parents=True)
    media = probe(clip)
    source = RecordedSource.of(media, sha256(clip))
    options = SegmentOptions(read=ReadOptions(fps=FPS / EVERY))
    stamps = [frame.stamp for frame in FrameReader(media, options.read, print)]
    predictions = _predictions()
    with JournalSink(folder) as journal, ConfidenceSink(folder) as table:
        for stamp, prediction in zip(stamps, predictions, strict=True):
            for sink in (journal, table):
                sink.write(replace(prediction, stamp=stamp))
    entries = [*read_journal(folder / "frames.jsonl")]
    objects = summed_objects(entries, NAMES)
    provenance = Provenance("run", "avs 0.1.0", "2026-01-01", "weights", "options")
    written = {name: each for name, each in ARTIFACTS.items() if each.write is not None}
    write_artifacts(written, Finished(folder, source, NAMES, objects, provenance), _refuse)
    report = report_of(source=source, spec=spec_of([*NAMES.values()]), num_frames=len(entries))
    write_run_record(
        folder,
        replace(
            report,
            objects=objects,
            options=asdict(options),
            num_analysed_frames=len(ANALYSED),
            sounding_share=round(sum(e.state == "sounding" for e in entries) / len(entries), 6),
            mean_score=round(sum(e.score for e in entries) / len(entries), 6),
            files=tuple(sorted({path.name for path in folder.iterdir()} | {"run.json"})),
        ),
    )
    return folder


def review_of(folder: Path, *decisions: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What the page writes about a run."""
    record = json.loads((folder / "run.json").read_text())
    run = {
        "source": Path(record["source"]["path"]).name,
        "source_sha256": record["source"]["sha256"],
        "journal_sha256": sha256(folder / "frames.jsonl"),
    }
    review = {"format": "avs-review", "version": 1, "run": run, "decisions": [*decisions]}
    return review | changes


def do(what: str, **fields: Any) -> dict[str, Any]:
    """A decision."""
    return {"do": what, **fields}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _predictions() -> list[FramePrediction]:
    predictions: list[FramePrediction] = []
    for index in range(NUM_FRAMES):
        if index % EVERY:
            predictions.append(replace(predictions[-1], interpolated=True))
            continue
        object_map = np.zeros(SIZE_HW, np.uint8)
        masks = shown(index)
        for number, mask in enumerate(masks.values(), start=1):
            object_map[mask] = number
        found = tuple(_object(track, index) for track in masks)
        state = "sounding" if masks else "nothing_sounds"
        prediction = make_prediction(index, state=state)
        predictions.append(
            replace(
                prediction,
                object_map=object_map,
                objects=found,
                confidence=_confidence(prediction.confidence, object_map, found),
            )
        )
    return predictions


def _object(track: int, frame: int) -> SoundingObject:
    category = OBJECTS[track][0]
    taken_for = 2 if (track, frame) == (1, MISTAKEN) else category
    return SoundingObject(track, taken_for, 0.75, 0.5 + track / 8, category)


def _confidence(
    given: FrameConfidence, object_map: NDArray[np.uint8], objects: tuple[SoundingObject, ...]
) -> FrameConfidence:
    marked = object_map > 0
    scores = np.array([0.0, *(each.score for each in objects)])[object_map]
    inside = float(scores[marked].mean()) if marked.any() else None
    return replace(
        given,
        score=0.9375 if inside is None else inside,
        mean_probability=inside,
        num_components=len(objects),
        area_share=float(marked.mean()),
    )


def _refuse(name: str, reason: str) -> None:
    raise AssertionError(f"no {name}: {reason}")

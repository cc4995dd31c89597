"""Runs that follow objects: two of one class stay two in every format that knows objects."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from avscli.masks import encode_mask
from avscli.media.stills import read_png
from avscli.outputs.combined_coco import Part, write_combined_coco
from avscli.outputs.journal import read_journal
from avscli.outputs.run import Run
from avscli.outputs.tracks import summed_objects
from tests.conftest import Avs
from tests.run_folders import SIZE_HW, Frame, ring, write_run

TRACKS = {11: ring((20, 12), 8), 12: ring((20, 40), 8)}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two dogs, the second of which is quiet in the middle frame."""
    frames = [Frame(k, k * 3000, k / 30, {}) for k in range(3)]
    folder = write_run(tmp_path / "runs" / "a.mp4", frames)
    lines = [json.loads(line) for line in (folder / "frames.jsonl").read_text().splitlines()]
    for line in lines:
        line |= {"v": 2, "state": "sounding", "heard": [], "objects": []}
        del line["anns"]
        for track_id in (11,) if line["frame"] == 1 else (11, 12):
            line["objects"].append(object_of(track_id))
    (folder / "frames.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def object_of(track_id: int) -> dict[str, object]:
    mask = encode_mask(TRACKS[track_id])
    return {
        "track_id": track_id,
        "category_id": 1,
        "category_score": 0.9,
        "score": 0.75,
        "segmentation": {"size": mask.size_hw, "counts": mask.counts},
        "bbox": mask.bbox,
        "area": mask.area,
    }


def exported(avs: Avs, run: Path, to: str) -> Path:
    output = run.parents[1] / "out"
    done = avs("export", run, "--to", to, "-o", output)
    assert done.code == 0, done.err
    return output


def test_youtube_vis_has_a_list_per_track(avs: Avs, run: Path) -> None:
    told = json.loads((exported(avs, run, "ytvis") / "instances.json").read_text())
    found = {track["track_id"]: track for track in told["annotations"]}
    assert found.keys() == {11, 12}
    assert [mask is None for mask in found[11]["segmentations"]] == [False, False, False]
    assert [mask is None for mask in found[12]["segmentations"]] == [False, True, False]
    assert found[12]["score"] == 0.75
    assert {track["category_id"] for track in found.values()} == {1}


def test_cvat_tracks_are_outside_where_an_object_is_quiet(avs: Avs, run: Path) -> None:
    root = ET.parse(exported(avs, run, "cvat-tracks") / "a.mp4.xml").getroot()
    states = {
        track.attrib["id"]: [(shape.attrib["frame"], shape.attrib["outside"]) for shape in track]
        for track in root.findall("track")
    }
    assert states == {"11": [("0", "0")], "12": [("0", "0"), ("1", "1"), ("2", "0")]}


def test_davis_numbers_objects(avs: Avs, run: Path) -> None:
    folder = exported(avs, run, "davis") / "Annotations" / "480p" / "a.mp4"
    expected = np.zeros(SIZE_HW, np.uint8)
    for track_id, mask in TRACKS.items():
        expected[mask] = track_id
    assert np.array_equal(read_png(folder / "00002.png").samples, expected)


def test_supervision_has_tracker_ids(avs: Avs, run: Path) -> None:
    lines = (exported(avs, run, "supervision") / "a.mp4.jsonl").read_text().splitlines()
    ids = [[each["tracker_id"] for each in json.loads(line)["predictions"]] for line in lines]
    assert ids == [[11, 12], [11], [11, 12]]


def test_an_object_is_called_the_same_in_every_frame_of_every_export(avs: Avs, run: Path) -> None:
    lines = [json.loads(line) for line in (run / "frames.jsonl").read_text().splitlines()]
    lines[1]["objects"][0] |= {"category_id": 2, "category_score": 0.3}
    (run / "frames.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    objects = summed_objects(read_journal(run / "frames.jsonl"), {1: "dog", 2: "person"})
    record = json.loads((run / "run.json").read_text())
    record["objects"] = [asdict(each) for each in objects]
    (run / "run.json").write_text(json.dumps(record))

    assert {row["class"] for row in Run.open(run).rows()} == {"dog"}
    told = (exported(avs, run, "supervision") / "a.mp4.jsonl").read_text().splitlines()
    assert {e["class"] for line in told for e in json.loads(line)["predictions"]} == {"dog"}
    combined = write_combined_coco(run.parents[1] / "all.json", lambda: [Part("a.mp4", run)])
    annotations = json.loads(combined.read_text())["annotations"]
    assert [each["category_id"] for each in annotations] == [1] * 5


def test_tracks_come_back_from_cvat(avs: Avs, run: Path) -> None:
    back = exported(avs, run, "cvat") / "a.mp4.xml"
    output = run.parents[1] / "again"
    assert avs("export", run, "--from", back, "--to", "ytvis", "-o", output).code == 0
    told = json.loads((output / "instances.json").read_text())
    assert [track["track_id"] for track in told["annotations"]] == [11, 12]

"""One COCO file of many runs says the same as the files of the runs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from avscli.errors import DataError
from avscli.masks import encode_mask
from avscli.outputs.combined_coco import Part, write_combined_coco
from avscli.outputs.journal import JournalEntry, JournalObject
from tests.run_folders import recorded_source, spec_of, write_record

MASK = np.ones((4, 6), np.bool_)
RLE = {"size": [4, 6], "counts": "82<0"}


def make_run(folder: Path, frames: list[int], *, class_names: tuple[str, ...] = ("cat",)) -> Part:
    """Write a run by hand: `frames` gives the number of masks of each analysed frame."""
    folder.mkdir(parents=True)
    source = replace(recorded_source(Path(folder.name), size_hw=(4, 6)), sha256=folder.name)
    write_record(folder, source=source, spec=spec_of(class_names), num_frames=2 * len(frames))
    with (folder / "frames.jsonl").open("w") as lines:
        for number, num_masks in enumerate(frames):
            for held in (False, True):
                entry = {
                    "v": 1, "frame": 2 * number + held, "pts": number, "time": number / 10,
                    "state": "sounding", "interpolated": held, "score": 0.5, "audio_dbfs": -20.0,
                    "flags": [],
                    "anns": [
                        {"category_id": c + 1, "segmentation": RLE, "bbox": [0, 0, 2, 2], "area": 4}
                        for c in range(num_masks)
                    ],
                }  # fmt: skip
                lines.write(json.dumps(entry) + "\n")
    return Part(folder.name, folder)


def test_ids_are_unique_and_everything_is_there(tmp_path: Path) -> None:
    parts = [
        make_run(tmp_path / "a.mp4", [1, 0, 1]),
        make_run(tmp_path / "silent.mp4", []),
        make_run(tmp_path / "b.mp4", [1, 1]),
    ]
    path = write_combined_coco(tmp_path / "combined.coco.json", lambda: parts)
    document = json.loads(path.read_text())
    assert [video["id"] for video in document["videos"]] == [1, 2, 3]
    assert [video["file_name"] for video in document["videos"]] == ["a.mp4", "silent.mp4", "b.mp4"]
    assert [image["id"] for image in document["images"]] == [1, 2, 3, 4, 5]
    assert [image["video_id"] for image in document["images"]] == [1, 1, 1, 3, 3]
    assert document["images"][3]["file_name"] == "b.mp4/frame_000000.PNG"
    assert [a["id"] for a in document["annotations"]] == [1, 2, 3, 4]
    assert [a["image_id"] for a in document["annotations"]] == [1, 3, 4, 5]
    assert [a["video_id"] for a in document["annotations"]] == [1, 1, 3, 3]
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []
    coco = COCO(str(path))
    assert len(coco.getAnnIds(imgIds=[4])) == 1


def test_no_runs_give_an_empty_file(tmp_path: Path) -> None:
    document = json.loads(write_combined_coco(tmp_path / "c.json", list).read_text())
    assert (document["videos"], document["images"], document["annotations"]) == ([], [], [])


def test_other_classes_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    parts = [
        make_run(tmp_path / "a.mp4", [1]),
        make_run(tmp_path / "b.mp4", [1], class_names=("dog",)),
    ]
    with pytest.raises(DataError, match="other classes"):
        write_combined_coco(tmp_path / "c.json", lambda: parts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_a_damaged_run_is_named(tmp_path: Path) -> None:
    part = make_run(tmp_path / "a.mp4", [1])
    (part.folder / "run.json").write_text("{}")
    with pytest.raises(DataError, match=r"a\.mp4/run\.json"):
        write_combined_coco(tmp_path / "c.json", lambda: [part])


def test_tracks_of_several_runs_do_not_share_a_number(tmp_path: Path) -> None:
    parts = []
    for name in ("a.mp4", "b.mp4"):
        part = make_run(tmp_path / name, [0])
        objects = [JournalObject(track, 1, 0.5, 0.5, encode_mask(MASK)) for track in (1, 3)]
        entry = JournalEntry(0, 0, 0.0, "sounding", False, 0.5, None, (), (), tuple(objects))
        lines = [entry.to_line(), replace(entry, frame=1, interpolated=True, objects=()).to_line()]
        (part.folder / "frames.jsonl").write_text("\n".join(lines) + "\n")
        parts.append(part)
    path = write_combined_coco(tmp_path / "c.json", lambda: parts)
    found = json.loads(path.read_text())["annotations"]
    assert [(a["video_id"], a["track_id"]) for a in found] == [(1, 1), (1, 3), (2, 4), (2, 6)]

"""Masks that were corrected elsewhere: scored by avs eval, and exported in place of a run's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from avscli.datasets.avsbench import AvsBench
from avscli.media.stills import read_png
from tests.builders import make_video
from tests.conftest import Avs
from tests.run_folders import scene, write_run
from tests.unit.exports.test_pictures import iou_by_eval


@pytest.fixture
def run(tmp_path: Path) -> Path:
    source = make_video(tmp_path / "clip.mp4", seconds=0.4, fps=30, size_hw=(46, 62))
    frames = scene(size_hw=(46, 62))
    return write_run(tmp_path / "runs" / "clip.mp4", frames, source=source, size_hw=(46, 62))


def exported(avs: Avs, run: Path, to: str, *arguments: object) -> Path:
    output = run.parents[1] / to
    done = avs("export", run, "--to", to, "-o", output, "--overwrite", *arguments)
    assert done.code == 0, done.err
    return output


def file_of(avs: Avs, run: Path, to: str) -> Path:
    """Return what a tool would give back, had nobody changed anything."""
    output = exported(avs, run, to)
    if to.startswith("cvat"):
        return output / "clip.mp4.xml"
    if to == "label-studio":
        submitted = output / "export.json"
        tasks = json.loads((output / "pictures.json").read_text())
        submitted.write_text(json.dumps([submit(task) for task in tasks]))
        return submitted
    return output / "masks.coco.json"


def submit(task: dict[str, Any]) -> dict[str, Any]:
    """Turn predictions into an annotation, as Label Studio does when somebody submits a task."""
    (prediction,) = task.pop("predictions")
    old = {"result": [], "updated_at": "2026-01-01T00:00:00Z", "was_cancelled": False}
    new = {"result": prediction["result"], "updated_at": "2026-02-01T00:00:00Z"}
    dropped = {"result": [], "updated_at": "2026-03-01T00:00:00Z", "was_cancelled": True}
    return {**task, "annotations": [new, old, dropped]}


FORMATS = ["cvat", "cvat-tracks", "label-studio", "coco-polygons"]


@pytest.mark.parametrize("to", FORMATS)
def test_what_comes_back_unchanged_scores_1(avs: Avs, run: Path, to: str) -> None:
    back = file_of(avs, run, to)
    assert iou_by_eval(avs, run, back, run.parents[1] / "eval") == 1.0


@pytest.mark.parametrize("to", FORMATS)
def test_what_comes_back_unchanged_is_exported_as_the_run_itself(
    avs: Avs, run: Path, to: str
) -> None:
    back = file_of(avs, run, to)
    for other in ("png", "ytvis"):
        own = contents(exported(avs, run, other))
        again = contents(exported(avs, run, other, "--from", back))
        assert {name: again[name] for name in own} == own


def contents(folder: Path) -> dict[str, object]:
    """Return what the files of an export hold, but for scores, which corrected masks lack."""
    found: dict[str, object] = {}
    for path in folder.rglob("*"):
        if path.suffix == ".png":
            found[path.name] = read_png(path).samples.tolist()
        elif path.name == "instances.json":
            told = json.loads(path.read_text())
            by_frame = {
                (track["track_id"], track["category_id"], name): mask["counts"]
                for track in told["annotations"]
                for name, mask in zip(
                    told["videos"][0]["file_names"], track["segmentations"], strict=True
                )
                if mask is not None
            }
            found |= {str(key): value for key, value in by_frame.items()}
    return found


def test_a_corrected_mask_is_the_one_that_is_exported(avs: Avs, run: Path) -> None:
    back = file_of(avs, run, "cvat")
    tree = ET.parse(back)
    images = tree.getroot().findall("image")
    images[0].remove(images[0][0])
    square = {"label": "person", "points": "10,20;20,20;20,30;10,30", "z_order": "1"}
    ET.SubElement(images[4], "polygon", square)
    tree.write(back)
    output = exported(avs, run, "png", "--from", back)
    assert not read_png(output / "clip.mp4" / "frame_000000.png").samples.any()
    drawn = read_png(output / "clip.mp4" / "frame_000004.png").samples
    assert (drawn[20:30, 10:20] == 2).all()
    assert np.count_nonzero(drawn) == 100


def test_a_new_class_gets_the_next_number_and_a_new_object_a_track(avs: Avs, run: Path) -> None:
    back = file_of(avs, run, "cvat")
    tree = ET.parse(back)
    label = ET.SubElement(tree.getroot().find("meta/task/labels"), "label")
    ET.SubElement(label, "name").text = "cat"
    box = {"label": "cat", "rle": "0, 4", "left": "1", "top": "2", "width": "2", "height": "2"}
    ET.SubElement(tree.getroot().findall("image")[0], "mask", box)
    tree.write(back)
    told = json.loads((exported(avs, run, "ytvis", "--from", back) / "instances.json").read_text())
    assert [each["name"] for each in told["categories"]] == ["dog", "person", "cat"]
    assert [(t["track_id"], t["category_id"]) for t in told["annotations"]] == [
        (1, 1),
        (2, 2),
        (3, 3),
    ]


def test_corrected_masks_become_clips_to_train_on(avs: Avs, tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", seconds=5.0, fps=10, size_hw=(46, 62))
    frames = scene(50, times=[k / 10 for k in range(50)], size_hw=(46, 62))
    run = write_run(tmp_path / "runs" / "clip.mp4", frames, source=source, size_hw=(46, 62))
    back = file_of(avs, run, "cvat")
    tree = ET.parse(back)
    for image in tree.getroot().findall("image"):
        for shape in list(image):
            image.remove(shape)
        points = {"label": "dog", "points": "0,0;31,0;31,46;0,46"}
        ET.SubElement(image, "polygon", points)
    tree.write(back)
    data = AvsBench.open("avsbench-ms3", exported(avs, run, "avsbench", "--from", back))
    (files,) = data.files("train")
    targets = data.read(files).targets
    assert targets[:, :, :31].all()
    assert not targets[:, :, 31:].any()


def test_frames_between_corrected_ones_hold_the_last(avs: Avs, run: Path) -> None:
    back = file_of(avs, run, "label-studio")  # analysed frames only
    output = exported(avs, run, "davis", "--from", back)
    folder = output / "Annotations" / "480p" / "clip.mp4"
    for frame in scene(size_hw=(46, 62)):
        drawn = read_png(folder / f"{frame.index:05d}.png").samples
        assert np.array_equal(drawn > 0, np.any([*frame.masks.values(), np.zeros((46, 62))], 0))


def test_tasks_that_nobody_submitted_are_no_frames(avs: Avs, run: Path) -> None:
    back = file_of(avs, run, "label-studio")
    tasks = json.loads(back.read_text())
    for task in tasks[1:]:
        task["annotations"] = []
    back.write_text(json.dumps(tasks))
    output = exported(avs, run, "png", "--from", back)
    assert [path.name for path in (output / "clip.mp4").iterdir()] == ["frame_000000.png"]
    tasks[0]["annotations"] = []
    back.write_text(json.dumps(tasks))
    done = avs("export", run, "--to", "png", "--from", back, "-o", output, "--overwrite")
    assert done.code == 3
    assert "none of its 4 tasks has an annotation" in done.err


def test_several_videos_are_known_by_their_names(avs: Avs, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_run(tmp_path / "runs" / name, scene(6 if name == "a.mp4" else 3))
    exported(avs, tmp_path / "runs", "coco-polygons")
    back = tmp_path.parent / "coco-polygons" / "masks.coco.json"
    arguments = ("--to", "png", "--from", back, "-o", tmp_path / "out")
    assert avs("export", tmp_path / "runs", *arguments).code == 0
    assert len(list((tmp_path / "out").rglob("*.png"))) == 3
    write_run(tmp_path / "other" / "c.mp4", scene(3))
    for folder, says in (
        (tmp_path / "runs" / "a.mp4", "no run was given for b.mp4"),
        (tmp_path / "other", "has no masks of c.mp4"),
    ):
        refused = avs("export", folder, *arguments, "--overwrite")
        assert refused.code == 3
        assert says in refused.err


def test_masks_of_other_frames_are_refused(avs: Avs, run: Path, tmp_path: Path) -> None:
    back = file_of(avs, run, "coco-polygons")
    told = json.loads(back.read_text())
    told["images"][1]["frame_id"] = 99
    back.write_text(json.dumps(told))
    done = avs("export", run, "--to", "png", "--from", back, "-o", tmp_path / "out")
    assert done.code == 3
    assert "is none of the 12 frames of clip.mp4" in done.err


def test_label_maps_do_not_say_which_mask_is_which_object(avs: Avs, run: Path) -> None:
    back = exported(avs, run, "davis")
    done = avs("export", run, "--to", "png", "--from", back, "-o", run.parents[1] / "out")
    assert done.code == 3
    assert "is no file that says which mask is which object" in done.err


def test_masks_of_another_size_are_refused(avs: Avs, run: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "other" / "clip.mp4", scene())
    for to in ("cvat", "cvat-tracks"):
        back = file_of(avs, tmp_path / "other" / "clip.mp4", to)
        done = avs("export", run, "--to", "png", "--from", back, "-o", tmp_path / "out")
        assert done.code == 3
        assert "its mask is 45×61, clip.mp4 is 46×62" in done.err


def test_brushed_masks_in_the_coco_of_cvat_count_though_it_calls_them_crowds(
    avs: Avs, run: Path
) -> None:
    back = file_of(avs, run, "coco-polygons")
    told = json.loads(back.read_text())
    for annotation in told["annotations"]:
        annotation["iscrowd"] = 1
    back.write_text(json.dumps(told))
    own = contents(exported(avs, run, "ytvis"))
    assert contents(exported(avs, run, "ytvis", "--from", back)) == own


def with_a_polygon(back: Path, **attributes: str) -> None:
    """Draw a square into the first frame of a file of CVAT, on top of what is there."""
    tree = ET.parse(back)
    square = {"points": "0,0;40,0;40,40;0,40", "z_order": "1", **attributes}
    ET.SubElement(tree.getroot().findall("image")[0], "polygon", square)
    tree.write(back)


def test_two_masks_on_a_pixel_are_told_where_one_must_win(avs: Avs, run: Path) -> None:
    back = file_of(avs, run, "cvat")
    with_a_polygon(back, label="person")
    arguments = ("--to", "png", "--from", back, "-o", run.parents[1] / "out")
    done = avs("export", run, *arguments)
    assert "masks lie on one another in 1 frames; a label map shows the last one" in done.err
    drawn = read_png(run.parents[1] / "out" / "clip.mp4" / "frame_000000.png").samples
    assert (drawn[:40, :40] == 2).all()
    told = json.loads((run.parents[1] / "out" / "avs-export.json").read_text())
    assert told["corrected"] == str(back)
    assert len(told["notes"]) == 1


def test_a_track_of_two_classes_gets_the_more_frequent_one(avs: Avs, run: Path) -> None:
    back = file_of(avs, run, "cvat")
    with_a_polygon(back, label="person", group_id="7")
    tree = ET.parse(back)
    for image in tree.getroot().findall("image")[1:4]:
        square = {"label": "dog", "group_id": "7", "points": "0,0;9,0;9,9"}
        ET.SubElement(image, "polygon", square)
    tree.write(back)
    arguments = ("--to", "ytvis", "--from", back, "-o", run.parents[1] / "out")
    done = avs("export", run, *arguments)
    assert "1 tracks change their class, track 7 for one" in done.err
    tracks = json.loads((run.parents[1] / "out" / "instances.json").read_text())["annotations"]
    assert {track["track_id"]: track["category_id"] for track in tracks} == {1: 1, 2: 2, 7: 1}

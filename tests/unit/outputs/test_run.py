"""`Run.open` reads run folders, of the first version too, and says what is wrong with others."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from avscli.batch.adoption import existing_result
from avscli.batch.jobs import Job, options_from_json
from avscli.errors import DataError
from avscli.outputs.combined_coco import Part, write_combined_coco
from avscli.outputs.run import Run, run_folders
from tests.conftest import Avs
from tests.e2e.results import decoded
from tests.run_folders import scene, write_run

DATA = Path(__file__).parents[2] / "data"
FOLDER = DATA / "version1" / "clip.mp4"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "clip.mp4", scene(4))


def test_a_run_tells_its_source_classes_and_frames(folder: Path) -> None:
    run = Run.open(folder)
    assert (run.source, run.size_hw, run.frame_rate) == (Path("clip.mp4"), (45, 61), Fraction(30))
    assert run.categories == {1: "dog", 2: "person"}
    assert [entry.frame for entry in run.frames()] == [0, 1, 2, 3]
    assert run.record.num_frames == 4


def test_a_source_may_not_tell_its_frame_rate(tmp_path: Path) -> None:
    run = Run.open(write_run(tmp_path / "clip.mp4", scene(1), frame_rate=None))
    assert run.frame_rate is None


@pytest.mark.parametrize("missing", ["run.json", "frames.jsonl", "."])
def test_a_folder_that_is_none_of_a_run_is_refused(folder: Path, missing: str) -> None:
    shutil.rmtree(folder) if missing == "." else (folder / missing).unlink()
    with pytest.raises(DataError, match=r"clip\.mp4 is not the folder of a run"):
        Run.open(folder)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("[]", "expected an object"),
        ("{}", "it lacks"),
        ('{"a": ' * 100_000, "nested too deeply"),
    ],
)
def test_a_record_that_is_no_record_is_named(folder: Path, text: str, says: str) -> None:
    (folder / "run.json").write_text(text)
    with pytest.raises(DataError, match=rf"run\.json is not the record of a run: .*{says}"):
        Run.open(folder)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("num_frames", "9"),
        ("run_id", 3),
        ("status", "failed"),
        ("source", []),
        ("source.frame_rate", "1/0"),
        ("source.frame_rate", "fast"),
        ("checkpoint", "mini"),
        ("checkpoint.name", 3),
        ("checkpoint.spec", {}),
        ("files", "run.json"),
    ],
)
def test_a_damaged_value_is_refused(folder: Path, place: str, value: object) -> None:
    record = json.loads((folder / "run.json").read_text())
    *above, name = place.split(".")
    (record[above[0]] if above else record)[name] = value
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match=r"run\.json is not the record of a run"):
        Run.open(folder)


def test_a_run_of_a_newer_version_asks_for_a_newer_program(folder: Path) -> None:
    (folder / "run.json").write_text('{"schema_version": 99}')
    with pytest.raises(DataError, match=r"run\.json is of version 99") as caught:
        Run.open(folder)
    assert "update" in caught.value.hint


def test_what_newer_records_of_this_version_add_is_left_out(folder: Path) -> None:
    record = json.loads((folder / "run.json").read_text())
    record["source"]["colour"] = record["mood"] = "blue"
    (folder / "run.json").write_text(json.dumps(record))
    assert Run.open(folder).record.num_frames == 4


def test_unfinished_runs_are_not_found(folder: Path) -> None:
    shutil.copytree(folder, folder.with_name("b.mp4.partial"))
    assert run_folders(folder.parent) == [folder]
    assert run_folders(folder) == [folder]


# --- a run of the first version ---------------------------------------------------------------


def first_version_masks() -> list[np.ndarray]:
    """Return what its COCO file says, by pycocotools, [H, W] bool per frame."""
    annotations = json.loads((FOLDER / "masks.coco.json").read_text())["annotations"]
    return [decoded(each["segmentation"]) for each in annotations]


def test_the_first_version_is_opened() -> None:
    run = Run.open(FOLDER)
    assert run.record.schema_version == 1
    assert (run.size_hw, run.categories) == ((64, 96), {1: "sounding_object"})
    assert [entry.time_seconds for entry in run.frames()] == [0.0, 0.1, 0.2, 0.3, 0.4]


def test_the_first_version_is_scored(avs: Avs, tmp_path: Path) -> None:
    done = avs("eval", "--pred", FOLDER, "--gt", FOLDER / "masks.coco.json", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "out" / "eval.json").read_text())
    assert report["data"]["predicted_by"][0]["name"] == "tiny"
    assert report["protocols"]["avs"]["scores"]["mean_iou"]["value"] == 1.0


def test_the_first_version_is_adopted_by_a_batch() -> None:
    run = Run.open(FOLDER)
    job = Job(
        key="clip.mp4",
        source=str(DATA / "clip.mp4"),
        folder=str(FOLDER.parent),
        size_bytes=0,
        seconds=0.5,
        overwrite=False,
        fingerprint={"weights": run.record.checkpoint.sha256},
        marked_source="",
    )
    result = existing_result(job, options_from_json(run.record.options))
    assert result is not None
    assert (result.status, result.frames, result.media_seconds) == ("done", 5, 0.5)
    assert result.num_bytes == sum(path.stat().st_size for path in FOLDER.iterdir())


def test_the_first_version_is_combined(tmp_path: Path) -> None:
    path = write_combined_coco(tmp_path / "all.json", lambda: [Part("clip.mp4", FOLDER)])
    combined, own = COCO(str(path)), COCO(str(FOLDER / "masks.coco.json"))
    assert [a["segmentation"] for a in combined.anns.values()] == [
        a["segmentation"] for a in own.anns.values()
    ]


def test_the_first_version_is_exported(avs: Avs, tmp_path: Path) -> None:
    import cv2

    done = avs("export", FOLDER, "--to", "png", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    pngs = sorted((tmp_path / "out" / "clip.mp4").glob("*.png"))
    masks = first_version_masks()
    assert len(pngs) == len(masks) == 5
    for png, mask in zip(pngs, masks, strict=True):
        picture = cv2.imread(str(png), cv2.IMREAD_UNCHANGED)
        shown = picture.any(axis=2) if picture.ndim == 3 else picture > 0
        np.testing.assert_array_equal(shown, mask)

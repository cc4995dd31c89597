"""masks.coco.json as pycocotools reads it, against masks counted by numpy."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from avscli.datatypes import NetworkSpec
from avscli.outputs.coco import Category, Provenance, coco_categories, write_coco
from avscli.outputs.journal import JOURNAL_NAME, JournalSink, read_journal
from avscli.outputs.tracks import summed_objects
from avscli.results import FramePrediction, RecordedSource
from tests.unit.outputs.drawn import SIZE_HW, blob, make_media, make_prediction

PROVENANCE = Provenance(
    run_id="run-1",
    tool="avs 0.1.0",
    date_created="2026-01-02T03:04:05+00:00",
    checkpoint_sha256="bb",
    options_sha256="cc",
)


def make_spec(*class_names: str) -> NetworkSpec:
    return NetworkSpec(
        network="any",
        task="binary" if len(class_names) == 1 else "semantic",
        clip_length=1,
        seconds_per_step=1.0,
        frame_size_hw=(32, 32),
        pixel_mean=(0.0, 0.0, 0.0),
        pixel_std=(1.0, 1.0, 1.0),
        resize_mode="squash",
        num_classes=len(class_names),
        class_names=class_names,
        padding="repeat_last",
    )


def written(folder: Path, *predictions: FramePrediction, spec: NetworkSpec | None = None) -> Path:
    with JournalSink(folder) as sink:
        for prediction in predictions:
            sink.write(prediction)
    spec = spec or make_spec("sounding_object")
    objects = summed_objects(read_journal(folder / JOURNAL_NAME), spec.categories)
    source = RecordedSource.of(make_media(), "aa")
    return write_coco(folder, source, spec.categories, objects, PROVENANCE)


# pycocotools 2.0 decodes through an array protocol that numpy 2 has deprecated.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("label", [1, 2])
def test_pycocotools_reads_every_mask_area_and_box_exactly(
    tmp_path: Path, label: int, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = {index: blob(index, label=label) for index in (0, 1, 4, 5)}
    spec = make_spec("background", "bell", "dog")
    predictions = [make_prediction(index, labels) for index, labels in drawn.items()]
    coco = COCO(str(written(tmp_path, *predictions, spec=spec)))
    assert sorted(coco.anns) == [1, 2, 3, 4]
    for annotation in coco.anns.values():
        frame = coco.imgs[annotation["image_id"]]["frame_id"]
        mask = drawn[frame] == label
        rows, columns = np.nonzero(mask)
        np.testing.assert_array_equal(coco.annToMask(annotation), mask)
        assert annotation["area"] == mask.sum()
        assert annotation["bbox"] == [
            columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1
        ]  # fmt: skip
        assert annotation["category_id"] == label
        assert annotation["iscrowd"] == 0
        assert annotation["segmentation"]["size"] == list(SIZE_HW)
        assert isinstance(annotation["segmentation"]["counts"], str)


def test_every_analysed_frame_is_an_image_and_held_frames_are_not(tmp_path: Path) -> None:
    labels = blob(0)
    path = written(
        tmp_path,
        make_prediction(10, labels),
        make_prediction(11, labels, interpolated=True),
        make_prediction(12, state="silent", audio_dbfs=-math.inf),
        make_prediction(13, state="silent", interpolated=True),
        make_prediction(14, labels, flags=("flicker", "low_agreement")),
    )
    document = json.loads(path.read_text())
    assert [(i["id"], i["frame_id"], i["file_name"]) for i in document["images"]] == [
        (1, 10, "frame_000010.PNG"),
        (2, 12, "frame_000012.PNG"),
        (3, 14, "frame_000014.PNG"),
    ]
    assert [i["audio_dbfs"] for i in document["images"]] == [-23.12, None, -23.12]
    assert [(a["id"], a["image_id"]) for a in document["annotations"]] == [(1, 1), (2, 3)]
    assert document["annotations"][1]["attributes"] == {"flags": "flicker low_agreement"}
    assert document["annotations"][1]["score"] == 0.875


def test_the_head_says_which_run_and_which_video(tmp_path: Path) -> None:
    document = json.loads(written(tmp_path, make_prediction(0), make_prediction(1)).read_text())
    assert list(document) == [
        "info", "licenses", "categories", "videos", "images", "annotations"
    ]  # fmt: skip
    assert document["info"]["version"] == "avs-coco-2"
    assert document["info"]["avs"]["checkpoint_sha256"] == "bb"
    assert document["licenses"] == []
    assert document["videos"] == [
        {
            "id": 1,
            "file_name": "clip.mp4",
            "width": SIZE_HW[1],
            "height": SIZE_HW[0],
            "length": 2,
            "fps": "30000/1001",
            "duration": 1.5,
            "rotation_applied": 90,
            "mirror_applied": False,
            "sha256": "aa",
        }
    ]


def test_a_run_without_any_mask_is_still_a_whole_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coco = COCO(str(written(tmp_path, make_prediction(0), make_prediction(1))))
    assert len(coco.imgs) == 2
    assert coco.anns == {}
    assert [c["name"] for c in coco.cats.values()] == ["sounding_object"]


def test_a_journal_without_frames_is_still_a_whole_document(tmp_path: Path) -> None:
    document = json.loads(written(tmp_path).read_text())
    assert document["images"] == document["annotations"] == []


def test_several_classes_of_a_frame_are_several_annotations(tmp_path: Path) -> None:
    labels = blob(0, label=1)
    labels[40:, 50:] = 2
    spec = make_spec("background", "bell", "dog")
    document = json.loads(written(tmp_path, make_prediction(0, labels), spec=spec).read_text())
    found = [(a["category_id"], a["track_id"], a["image_id"]) for a in document["annotations"]]
    assert found == [(1, 1, 1), (2, 2, 1)]


def test_annotations_of_an_object_carry_one_category_whatever_a_frame_took_it_for(
    tmp_path: Path,
) -> None:
    frames = [make_prediction(index, blob(0)) for index in range(3)]
    (each,) = frames[1].objects
    frames[1] = replace(frames[1], objects=(replace(each, category_id=2, category_score=0.5),))
    document = json.loads(
        written(tmp_path, *frames, spec=make_spec("background", "bell", "dog")).read_text()
    )
    found = [(a["category_id"], a["category_score"]) for a in document["annotations"]]
    assert found == [(1, 1.0), (1, 0.0), (1, 1.0)]
    journal = read_journal(tmp_path / JOURNAL_NAME)
    assert [entry.objects[0].category_id for entry in journal] == [1, 2, 1]


def test_categories_are_the_classes_without_the_background() -> None:
    names = [make_spec(*each).categories for each in (["any name"], ["background", "bell", "dog"])]
    assert coco_categories(names[0]) == (Category(1, "sounding_object"),)
    assert coco_categories(names[1]) == (
        Category(1, "bell"),
        Category(2, "dog"),
    )

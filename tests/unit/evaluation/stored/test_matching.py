"""Truth that is numbered from 1, at another rate or not at all: matched right, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from avscli.config import EvalOptions, StoredOptions
from avscli.errors import DataError, UsageError
from avscli.evaluation.report.report import EvaluationReport
from avscli.evaluation.run import evaluate_masks
from avscli.masks import encode_mask
from tests.pngs import write_png

SIZE_HW = (24, 120)
FPS, NUM_FRAMES = 10, 20


def drawn(frame: int) -> np.ndarray:
    """A block that moves four pixels a frame, so that only the right frame agrees."""
    mask = np.zeros(SIZE_HW, np.bool_)
    mask[4:16, 4 * frame : 4 * frame + 20] = True
    return mask


def write_predictions(path: Path, start: float = 0.0) -> Path:
    """A dense COCO file with times, as avs writes it."""
    frames = range(NUM_FRAMES)
    size = {"height": SIZE_HW[0], "width": SIZE_HW[1]}
    images = [
        {"id": k, "video_id": 1, "frame_id": k, "time": start + k / FPS, **size} for k in frames
    ]
    annotations = [
        {
            "image_id": k,
            "category_id": 1,
            "segmentation": {"size": SIZE_HW, "counts": encode_mask(drawn(k)).counts},
        }
        for k in frames
    ]
    videos = [{"id": 1, "file_name": "clip.mp4"}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "videos": videos}))
    return path


def write_truth(root: Path, names: dict[str, int]) -> Path:
    for name, frame in names.items():
        write_png(root / "clip" / f"{name}.png", drawn(frame) * 255)
    return root


def evaluate(predicted_masks: Path, true_masks: Path, **options: StoredOptions) -> EvaluationReport:
    return evaluate_masks(predicted_masks, true_masks, EvalOptions(**options), lambda _done: None)


def iou(report: EvaluationReport) -> float:
    return report.scores["scores"]["mean_iou"]["value"]  # type: ignore[index]


EVERY_TENTH = {
    "DAVIS": {"00000": 0, "00010": 10},
    "with hashes": {"f-0000_jpg.rf.9c2b7f18ae1": 0, "f-0010_jpg.rf.3fa9c1d07be24": 10},
    "hash after the number": {"f_0000_9c2b1": 0, "f_0010_3fa27": 10},
    "hash before the number": {"1a2b3c4d-f_0000": 0, "9f8e7d6c-f_0010": 10},
    "digits around the number": {"take2_0000_v3": 0, "take2_0010_v3": 10},
    "seconds": {"clip_0.00s": 0, "clip_1.00s": 10},
    "milliseconds": {"at 0ms": 0, "at 1000ms": 10},
}


@pytest.mark.parametrize("names", EVERY_TENTH.values(), ids=EVERY_TENTH.keys())
def test_the_right_frames_are_found_by_their_names(tmp_path: Path, names: dict[str, int]):
    report = evaluate(write_predictions(tmp_path / "p.json"), write_truth(tmp_path / "gt", names))
    assert iou(report) == 1.0
    by = "time" if next(iter(names)).endswith("s") else "index"
    matched = report.data["matched"]
    assert matched["told"] == f"2 of 2 frames of the truth, 2 of 20 predicted, by {by} (1 clip)"
    assert matched["last"][1].endswith(f"{max(names, key=names.__getitem__)}.png")


OTHERWISE = {
    "from 1": ({f"{k + 1:05d}": k for k in range(19)}, StoredOptions(first=1), "--gt-first 1"),
    "from 1 to the end": (
        {f"{k + 1:05d}": k for k in range(20)}, StoredOptions(first=1), "--gt-first 1",
    ),
    "from 1 at 1 fps": (
        {"00001": 0, "00002": 10}, StoredOptions(first=1, fps=1), "--gt-first 1",
    ),
    "from 0 at 1 fps": ({"00000": 0, "00001": 10}, StoredOptions(fps=1), "--gt-fps"),
    "from 0 at 5 fps": ({f"{k}": 2 * k for k in range(10)}, StoredOptions(fps=5), "--gt-fps"),
    "from 100": ({f"{100 + k}": k for k in range(20)}, StoredOptions(first=100), "--gt-fps"),
    "at 20 fps, every tenth": (
        {f"{20 * k}": 10 * k for k in range(2)}, StoredOptions(fps=20), "--gt-fps",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("names", "told", "hint"), OTHERWISE.values(), ids=OTHERWISE.keys())
@pytest.mark.parametrize("start", [0.0, 36_000.0])
def test_other_numbers_are_refused_until_they_are_explained(
    tmp_path: Path, names: dict[str, int], told: StoredOptions, hint: str, start: float
):
    predicted = write_predictions(tmp_path / "p.json", start)
    true = write_truth(tmp_path / "gt", names)
    with pytest.raises(DataError) as caught:
        evaluate(predicted, true)
    assert hint in caught.value.hint
    assert iou(evaluate(predicted, true, true=told)) == 1.0


def test_the_start_alone_does_not_hide_another_rate(tmp_path: Path):
    true = write_truth(tmp_path / "gt", {"1": 0, "2": 10})
    with pytest.raises(DataError, match=r"numbered 0 … 1, the predictions have 20|1 … 2"):
        evaluate(write_predictions(tmp_path / "p.json"), true, true=StoredOptions(first=1))


def test_predictions_can_be_the_ones_that_count_from_1_at_a_rate(tmp_path: Path):
    predicted = write_truth(tmp_path / "p", {f"{k + 1}": k for k in range(20)})
    true = write_truth(tmp_path / "gt", {"0": 0, "1": 10})
    with pytest.raises(DataError) as caught:
        evaluate(predicted, true)
    assert "--pred-first 1" in caught.value.hint
    explained = {"predicted": StoredOptions(first=1, fps=10), "true": StoredOptions(fps=1)}
    assert iou(evaluate(predicted, true, **explained)) == 1.0


def test_more_predicted_pngs_than_truth_with_gaps_are_expected(tmp_path: Path):
    predicted = write_truth(tmp_path / "p", {f"{k}": k for k in range(20)})
    report = evaluate(predicted, write_truth(tmp_path / "gt", {"0": 0, "10": 10}))
    assert iou(report) == 1.0
    assert report.data["matched"]["num_predicted_used"] == 2


@pytest.mark.parametrize("negative", ["predicted", "true"])
def test_a_negative_is_refused_until_it_is_explained(tmp_path: Path, negative: str):
    folders = {side: tmp_path / side for side in ("predicted", "true")}
    for side, folder in folders.items():
        for k in range(3):
            mask = ~drawn(k) if side == negative else drawn(k)
            write_png(folder / "clip" / f"{k}.png", mask * 255)
    with pytest.raises(DataError, match="inverted") as caught:
        evaluate(*folders.values())
    option = "--gt-marked" if negative == "true" else "--pred-marked"
    assert f"{option} black" in caught.value.hint
    explained = {negative: StoredOptions(marked="black")}
    assert iou(evaluate(*folders.values(), **explained)) == 1.0


@pytest.mark.parametrize("values", [(0, 0), (255, 0), (255, 255)])
def test_what_looks_strange_and_can_be_is_a_warning(tmp_path: Path, values: tuple[int, int]):
    told: list[str] = []
    for side, value in zip(("p", "gt"), values, strict=True):
        write_png(tmp_path / side / "clip" / "0.png", np.full(SIZE_HW, value))
    evaluate_masks(tmp_path / "p", tmp_path / "gt", EvalOptions(), lambda _done: None, told.append)
    expected = {0: "nothing in any frame is marked", 255: "100% of the"}
    assert len(told) == 2
    for line, value in zip(told, values, strict=True):
        assert expected[value] in line


def test_nothing_but_void_is_no_score(tmp_path: Path):
    predicted = write_predictions(tmp_path / "p.json")
    data = json.loads(predicted.read_text())
    for annotation in data["annotations"]:
        annotation["iscrowd"] = 1
    (tmp_path / "gt.json").write_text(json.dumps(data))
    with pytest.raises(DataError, match="nothing was scored: 4800 of 57600") as caught:
        evaluate(predicted, tmp_path / "gt.json")
    assert "--gt-marked crowds" in caught.value.hint
    crowds = StoredOptions(marked="crowds")
    assert iou(evaluate(predicted, tmp_path / "gt.json", true=crowds)) == 1.0


def test_a_truth_without_frames_is_no_score(tmp_path: Path):
    predicted = write_predictions(tmp_path / "p.json")
    (tmp_path / "gt.json").write_text('{"images": [], "annotations": []}')
    with pytest.raises(DataError, match="no masks in"):
        evaluate(predicted, tmp_path / "gt.json")


@pytest.mark.parametrize("marked", ["white", "black", "labels", "alpha"])
def test_how_pictures_are_marked_is_no_question_of_coco_files(tmp_path: Path, marked: str):
    predicted = write_predictions(tmp_path / "p.json")
    with pytest.raises(UsageError, match="may be auto, crowds"):
        evaluate(predicted, predicted, predicted=StoredOptions(marked=marked))  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"first": -1}, {"fps": 0}, {"fps": float("nan")}])
def test_numbers_that_cannot_be_are_refused(options: dict):
    with pytest.raises(UsageError):
        StoredOptions(**options)

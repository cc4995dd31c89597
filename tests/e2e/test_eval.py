"""``avs eval`` as it is typed."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.avsbench_copies import write_ms3
from tests.builders import make_video
from tests.conftest import SHARED, Avs
from tests.e2e.browser import visit
from tests.e2e.conftest import Segment
from tests.miniatures import write_avsmix, write_picture
from tests.networks_for_tests import TINY_SPEC

SIZE_HW = (24, 32)


@pytest.fixture
def masks(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and truth of three clips; in the last one nothing sounds."""
    predicted, true = tmp_path / "predicted", tmp_path / "true"
    for k in range(3):
        for step in (1, 2):
            mask = np.zeros(SIZE_HW, np.uint8)
            mask[4:16, 4:20] = 255 if k < 2 else 0
            write_picture(true / f"clip{k}" / f"clip{k}_{step}.png", mask)
            write_picture(predicted / f"clip{k}" / f"clip{k}_{step}.png", np.roll(mask, k, axis=1))
    return predicted, true


def test_masks_are_scored_against_masks(avs: Avs, masks: tuple[Path, Path], tmp_path: Path):
    done = avs(
        "eval", "--pred", masks[0], "--gt", masks[1], "-o", tmp_path / "out",
        "--protocol", "avs,avsbench",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "avsbench" in done.out
    report = json.loads((tmp_path / "out" / "eval.json").read_text())
    ious = [1.0, 15 / 17]
    scores = report["protocols"]["avs"]["scores"]
    assert scores["mean_iou"]["value"] == pytest.approx(np.mean(ious))
    assert report["protocols"]["avsbench"]["j"] == pytest.approx(np.mean([*ious, 1.0]))
    assert scores["kept_empty"]["value"] == 1.0
    with (tmp_path / "out" / "eval.csv").open(newline="") as file:
        assert [row["clip_id"] for row in csv.DictReader(file)] == ["clip0", "clip1", "clip2"]


def test_the_json_on_stdout_is_the_file(avs: Avs, masks: tuple[Path, Path], tmp_path: Path):
    done = avs("eval", "--pred", masks[0], "--gt", masks[1], "-o", tmp_path / "out", "--json")
    assert json.loads(done.out) == json.loads((tmp_path / "out" / "eval.json").read_text())


@pytest.mark.parametrize(
    ("gate", "code"),
    [
        (("--min-miou", 0.9), 0),
        (("--min-miou", 0.95), 9),
        (("--min-f", 0.99), 9),
        (("--min-boundary-f", 0.5), 0),
        (("--min-kept-empty", 1.0), 0),
    ],
)
def test_a_missed_gate_ends_with_nine_after_writing(avs: Avs, masks, tmp_path: Path, gate, code):
    done = avs("eval", "--pred", masks[0], "--gt", masks[1], "-o", tmp_path / "out", *gate)
    assert done.code == code, done.err
    assert (tmp_path / "out" / "eval.html").is_file()
    if code:
        assert "asked for at least" in done.err


def test_two_runs_are_compared(avs: Avs, masks: tuple[Path, Path], tmp_path: Path):
    avs("eval", "--pred", masks[0], "--gt", masks[1], "-o", tmp_path / "a")
    avs("eval", "--pred", masks[1], "--gt", masks[1], "-o", tmp_path / "b")
    files = tmp_path / "a" / "eval.json", tmp_path / "b" / "eval.json"
    done = avs("eval", "--compare", *files, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)["scores"]["mean_iou"]
    assert told["difference"] == pytest.approx(1 - np.mean([1.0, 15 / 17]))
    shown = avs("eval", "--compare", *files)
    assert "3 clips" in shown.out
    assert "warning" not in shown.err
    files[0].write_text(files[0].read_text().replace('"kept_empty": ', '"kept_quiet": '))
    shown = avs("eval", "--compare", *files)
    assert shown.code == 0, shown.err
    assert "not compared, not in the file of another version: kept_empty" in shown.err


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ((), 2, "nothing to score"),
        (("--pred", "a", "--gt", "b", "--root", "c"), 2, "belong to --data"),
        (("--compare", "a.json", "b.json", "--min-miou", "0.9"), 2, "score anew"),
        (("--pred", "a"), 2, "--pred and --gt"),
        (("--pred", "a", "--gt", "b", "--data", "scenes"), 2, "choose"),
        (("--data", "scenes", "--gt-marked", "black"), 2, "choose"),
        (("--pred", "a", "--gt", "b", "--protocol", "map"), 2, "avsbench"),
        (("--pred", "a", "--gt", "b", "--counterfactual"), 2, "needs a network"),
        (("--pred", "nowhere", "--gt", "nowhere"), 3, "no masks in nowhere"),
        (("--data", "avsmix"), 2, "--root"),
        (("--data", "avsmix", "--root", "nowhere"), 3, "classes.csv"),
        (("--data", "avsbench-s4", "--root", "nowhere"), 3, "s4_meta_data.csv"),
        (("--compare", "a.json", "b.json"), 3, "a.json"),
    ],
)
def test_what_cannot_be_scored_is_told(avs: Avs, tmp_path: Path, options, code, told):
    done = avs("eval", "-o", tmp_path / "out", *options)
    assert done.code == code, done.err
    assert told in " ".join(done.err.split())
    assert not (tmp_path / "out").exists()


def test_results_are_not_overwritten_unasked(avs: Avs, masks: tuple[Path, Path], tmp_path: Path):
    call = ("eval", "--pred", masks[0], "--gt", masks[1], "-o", tmp_path / "out")
    assert avs(*call).code == 0
    assert avs(*call).code == 7
    assert avs(*call, "--overwrite").code == 0


def test_a_run_agrees_with_its_own_coco_file_at_every_analysed_time(
    segment: Segment, avs: Avs, weights: Path, tmp_path: Path
):
    clip = make_video(tmp_path / "clip.mp4", seconds=2, fps=10, size_hw=(64, 96))
    segment(clip)  # a line for every frame; four frames a second are analysed
    run = tmp_path / "out" / clip.name
    done = avs("eval", "--pred", run, "--gt", run / "masks.coco.json", "-o", tmp_path / "eval")
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "eval" / "eval.json").read_text())
    assert report["data"]["predicted_by"][0]["name"] == weights.stem
    ours = report["protocols"]["avs"]
    assert ours["num_frames"] == len(json.loads((run / "masks.coco.json").read_text())["images"])
    assert ours["num_sounding_frames"] > 0
    assert ours["scores"]["mean_iou"]["value"] == ours["scores"]["boundary_f"]["value"] == 1.0


def test_a_folder_that_cannot_be_written_is_told_before_any_work(avs: Avs, tmp_path: Path):
    (tmp_path / "file").write_text("here already")
    done = avs("eval", "--pred", "nowhere", "--gt", "nowhere", "-o", tmp_path / "file" / "out")
    assert done.code == 7
    assert "is not a folder" in done.err


def test_runs_of_videos_belong_to_masks_without_the_suffix(
    segment: Segment, avs: Avs, tmp_path: Path
):
    for name in ("one", "two"):
        segment(make_video(tmp_path / f"{name}.mp4", seconds=1, fps=4, size_hw=(64, 96)))
        for step in range(4):
            mask = np.zeros((64, 96), np.uint8)
            write_picture(tmp_path / "gt" / name / f"{step:05d}.png", mask)
    done = avs(
        "eval",
        "--pred",
        tmp_path / "out",
        "--gt",
        tmp_path / "gt",
        "-o",
        tmp_path / "eval",
        "--json",
    )
    assert done.code == 0, done.err
    assert [row["clip_id"] for row in json.loads(done.out)["clips"]] == ["one", "two"]


def test_help_names_every_option_with_its_default(avs: Avs, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = avs("eval", "--help").out
    for option in (
        *("--pred", "--gt", "--data", "--root", "--split", "--pairs", "--limit", "--weights"),
        *(
            "--device",
            "--precision",
            "--prefer",
            "--threshold",
            "--protocol",
            "--protocol-batch",
            "--classes",
        ),
        *("--pred-first", "--gt-first", "--pred-fps", "--gt-fps", "--pred-marked", "--gt-marked"),
        *("--tolerance", "--counterfactual", "--compare"),
        *("--output", "--min-miou", "--min-f"),
        *("--min-boundary-f", "--min-kept-empty", "--overwrite", "--json", "--quiet"),
    ):
        assert f"{option} " in text
    for line in text.splitlines():
        if line.startswith("│ --") and not line.startswith("│ --help"):
            assert "[default: " in line, line


def test_a_network_is_scored_with_all_that_makes_its_numbers_comparable(
    avs: Avs, weights: Path, tmp_path: Path
):
    root = write_ms3(tmp_path / "ms3", clips={"test": 3})
    done = avs(
        "eval", "--data", "avsbench-ms3", "--root", root, "-w", weights, "-o", tmp_path / "out",
        "--protocol", "avs,avsbench", "--protocol-batch", 2, "--counterfactual", "--limit", 2,
    )  # fmt: skip
    assert done.code == 0, done.err
    for told in ("source: Zhou et al.", "clips per batch", "muted", "swapped", "shifted"):
        assert told in done.out
    report = json.loads((tmp_path / "out" / "eval.json").read_text())
    assert report["data"] == {
        "kind": "avsbench-ms3",
        "split": "test",
        "truth": "gt_masks",
        "limit": 2,
        "sizes_hw": [[64, 64]],
    }
    assert report["checkpoint"] == {
        "name": weights.stem,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "clip_length": TINY_SPEC.clip_length,
        "frame_size_hw": list(TINY_SPEC.frame_size_hw),
    }
    assert report["options"]["protocol_batch"] == 2
    assert report["protocols"]["avsbench"]["num_batches"] == 1
    assert [row["num_sounding"] + row["num_quiet"] for row in report["clips"]] == [5, 5]
    shifted = report["counterfactual"]["shifted"]
    assert shifted["num_clips"] == 2
    assert shifted["mean_iou_change"] == pytest.approx(
        shifted["mean_iou_after"] - shifted["mean_iou_before"]
    )


@pytest.fixture
def page(avs: Avs, weights: Path, tmp_path: Path) -> Path:
    """eval.html of a network over a miniature of avsmix."""
    root = write_avsmix(tmp_path / "avsmix", num_pictures=4)
    done = avs("eval", "--data", "avsmix", "--root", root, "-w", weights, "-o", tmp_path / "out")
    assert done.code == 0, done.err
    return tmp_path / "out" / "eval.html"


def test_the_page_shows_its_plots_and_asks_for_nothing(page: Path, tmp_path: Path):
    seen = visit(
        page,
        """({
            dots: document.querySelectorAll('#plot-reliability circle').length,
            curve: document.querySelector('#plot-f-curve .line').getTotalLength(),
            bars: document.querySelectorAll('#plot-classes rect').length,
            strips: [...document.querySelectorAll('#worst img')].map(i => i.naturalWidth),
            rows: document.querySelectorAll('td').length,
        })""",
        tmp_path / "profile",
    )
    assert seen.complaints == []
    assert [url for url in seen.requests if not url.startswith(("file:", "data:"))] == []
    assert sum(url.startswith("file:") for url in seen.requests) == 1
    assert isinstance(seen.value, dict)
    assert seen.value["dots"] > 1
    assert seen.value["curve"] > 100
    assert seen.value["bars"] >= 1
    assert len(seen.value["strips"]) == 4
    assert all(width == 160 for width in seen.value["strips"])
    assert seen.value["rows"] > 60


@pytest.mark.weights
@pytest.mark.shared
def test_the_shipped_weights_are_scored_on_real_pairs(avs: Avs, tmp_path: Path):
    done = avs(
        "eval", "--data", "avsmix", "--root", SHARED / "data" / "avsmix",
        "--pairs", "pairs_test.csv", "--limit", 20, "-o", tmp_path / "out", "--min-miou", 0.5,
    )  # fmt: skip
    assert done.code == 0, done.err


def test_inverted_masks_are_scored_when_told(avs: Avs, masks: tuple[Path, Path], tmp_path: Path):
    for file in masks[1].rglob("*.png"):
        write_picture(file, 255 - cv2.imread(str(file), cv2.IMREAD_UNCHANGED))
    done = avs("eval", "--pred", masks[0], "--gt", masks[1], "-o", tmp_path / "out",
               "--gt-marked", "black", "--json")  # fmt: skip
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["protocols"]["avs"]["scores"]["mean_iou"]["value"] == pytest.approx(
        (1 + 15 / 17) / 2
    )
    assert told["options"]["true"]["marked"] == "black"


def test_what_was_matched_is_told_on_the_terminal_in_the_file_and_on_the_page(
    avs: Avs, tmp_path: Path
):
    for k in range(20):
        mask = np.zeros(SIZE_HW, np.uint8)
        mask[4:16, k : k + 8] = 255
        write_picture(tmp_path / "pred" / "clip" / f"{k:05d}.png", mask)
        if k % 10 == 0:
            write_picture(tmp_path / "gt" / "clip" / f"{k // 10 + 1:05d}.png", mask)
    call = ("eval", "--pred", tmp_path / "pred", "--gt", tmp_path / "gt", "-o", tmp_path / "out")
    refused = avs(*call)
    assert refused.code == 3
    assert "--gt-first 1" in refused.err
    assert "--gt-fps" in refused.err
    done = avs(*call, "--gt-first", 1, "--gt-fps", 1, "--pred-fps", 10)
    assert done.code == 0, done.err
    told = "2 of 2 frames of the truth, 2 of 20 predicted, by time"
    report = json.loads((tmp_path / "out" / "eval.json").read_text())
    assert report["data"]["matched"]["told"].startswith(told)
    assert report["protocols"]["avs"]["scores"]["mean_iou"]["value"] == 1.0
    assert "matched: 2 of 2 frames" in done.out
    assert told in (tmp_path / "out" / "eval.html").read_text(encoding="utf-8")

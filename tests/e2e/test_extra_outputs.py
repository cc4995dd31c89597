"""Masks are delivered though an overlay or a table beside them could not be made: exit code 11."""

from __future__ import annotations

import csv
import json
import threading
from pathlib import Path

import pytest

from avscli.media import video_writer
from avscli.outputs import coco, confidence
from tests.builders import make_video
from tests.conftest import Avs, Outcome
from tests.e2e.batches import make_clips, manifest_lines, result_folders, statuses
from tests.e2e.results import ALL_FILES, Run, read_run

WIDEST_H264 = 16_384  # pixels; the encoder refuses more, and other codecs do not


def too_wide(path: Path) -> Path:
    """Write a video that every part of the program can take but the overlay's encoder."""
    wide = (16, WIDEST_H264 + 16)
    return make_video(path, size_hw=wide, codec="ffv1", seconds=0.4, fps=10)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "clip.mp4", seconds=1.2, fps=10, size_hw=(64, 96))


def require_incomplete(outcome: Outcome, folder: Path, missing: dict[str, str]) -> Run:
    """Check that all is there but `missing`, {name: file}, and that it is said everywhere."""
    assert outcome.code == 11, outcome.err
    assert outcome.out == f"{folder}\n"
    run = read_run(folder, outcome)
    files = sorted(set(ALL_FILES) - set(missing.values()))
    assert sorted(path.name for path in folder.iterdir()) == files == run.record["files"]
    assert run.record["status"] == "done"
    assert run.record["failed_outputs"].keys() == missing.keys()
    warned = [line for line in outcome.err.splitlines() if line.startswith("warning: ")]
    assert len(warned) == len(missing)
    for line, (name, reason) in zip(warned, run.record["failed_outputs"].items(), strict=True):
        assert line == f"warning: {folder.name}: no {name}, the rest is whole: {reason}"
        assert line.removeprefix("warning: ") in run.record["warnings"]
    assert "free space" not in outcome.err
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    return run


def segment(avs: Avs, weights: Path, source: Path, *options: object) -> tuple[Outcome, Path]:
    out = source.parent / "out"
    outcome = avs("segment", source, "-o", out, "-w", weights, "--fps", 4, "-q", *options)
    return outcome, out / source.name


def test_a_picture_that_no_overlay_can_hold_still_gives_its_masks(
    avs: Avs, weights: Path, tmp_path: Path
) -> None:
    outcome, folder = segment(avs, weights, too_wide(tmp_path / "wide.mkv"))
    run = require_incomplete(outcome, folder, {"overlay": "overlay.mp4"})
    assert len(run.entries) == 4
    assert run.mask(0).shape == (16, WIDEST_H264 + 16)
    assert run.mask(0).any()
    assert len(run.rows) == 4


def test_an_overlay_that_breaks_off_in_the_middle_leaves_nothing_of_itself(
    avs: Avs, weights: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = video_writer._Encoder.encode

    def breaks_at_five(self: video_writer._Encoder, frame: video_writer.OverlayFrame) -> None:
        if frame.stamp.index == 5:
            raise ZeroDivisionError("deep in the encoder")
        encode(self, frame)

    monkeypatch.setattr(video_writer._Encoder, "encode", breaks_at_five)
    outcome, folder = segment(avs, weights, clip)
    run = require_incomplete(outcome, folder, {"overlay": "overlay.mp4"})
    assert run.record["failed_outputs"] == {"overlay": "deep in the encoder"}
    assert len(run.entries) == 12
    assert not [t.name for t in threading.enumerate() if t.name.startswith("avs-overlay")]


def test_an_overlay_that_fails_its_last_check_is_left_out(
    avs: Avs, weights: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = video_writer.verify_video

    def after_a_cut(path: Path, expected: video_writer.WrittenVideo) -> None:
        path.write_bytes(path.read_bytes()[:2000])
        check(path, expected)

    monkeypatch.setattr(video_writer, "verify_video", after_a_cut)
    outcome, folder = segment(avs, weights, clip)
    run = require_incomplete(outcome, folder, {"overlay": "overlay.mp4"})
    assert "not as it should be" in run.record["failed_outputs"]["overlay"]


def test_a_table_that_cannot_be_made_costs_neither_overlay_nor_masks(
    avs: Avs, weights: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confidence, "_share", lambda value: f"{value:.6q}")
    outcome, folder = segment(avs, weights, clip)
    run = require_incomplete(outcome, folder, {"csv": "confidence.csv"})
    assert len(run.entries) == len(run.coco["images"]) + 7


def test_several_outputs_can_fail_each_for_its_own_reason(
    avs: Avs, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco, "_info", lambda _provenance: {"description": float("nan")})
    outcome, folder = segment(avs, weights, too_wide(tmp_path / "wide.mkv"))
    missing = {"overlay": "overlay.mp4", "coco": "masks.coco.json"}
    run = require_incomplete(outcome, folder, missing)
    assert "refused" in run.record["failed_outputs"]["overlay"]
    assert "not JSON compliant" in run.record["failed_outputs"]["coco"]


def test_what_was_not_asked_for_is_not_missing(avs: Avs, weights: Path, tmp_path: Path) -> None:
    wide = too_wide(tmp_path / "wide.mkv")
    outcome, folder = segment(avs, weights, wide, "--write", "coco,csv")
    assert outcome.code == 0
    assert read_run(folder, outcome).record["failed_outputs"] == {}


def test_the_json_report_says_it_too(avs: Avs, weights: Path, tmp_path: Path) -> None:
    outcome, folder = segment(avs, weights, too_wide(tmp_path / "wide.mkv"), "--json")
    assert outcome.code == 11
    assert json.loads(outcome.out) == json.loads((folder / "run.json").read_text())


# --- many files -----------------------------------------------------------------------------


def test_a_batch_with_a_missing_overlay_is_done_and_says_so_every_time(
    avs: Avs, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    make_clips(tmp_path / "clips", ["a.mp4"])
    too_wide(tmp_path / "clips" / "wide.mkv")
    out = tmp_path / "out"
    command = ["batch", tmp_path / "clips", "-o", out, "-w", weights, "--fps", 4]

    first = avs(*command)
    assert first.code == 11, first.err
    assert statuses(out) == {"a.mp4": "done", "wide.mkv": "done"}
    assert result_folders(out) == {"a.mp4", "wide.mkv"}
    results = {line["key"]: line["result"] for line in manifest_lines(out)}
    assert results["a.mp4"]["failed_outputs"] == {}
    assert results["wide.mkv"]["failed_outputs"].keys() == {"overlay"}
    assert "overlay.mp4" not in results["wide.mkv"]["files"]
    rows = list(csv.DictReader((out / "summary.csv").read_text().splitlines()))
    notes = {row["file"]: (row["status"], row["note"]) for row in rows}
    assert notes["wide.mkv"][0] == "done"
    assert notes["wide.mkv"][1].startswith("no overlay: ")
    assert not (out / "failures.txt").exists()
    assert "warning: wide.mkv: no overlay: " in first.err
    assert "2 done · 0 up to date · 0 failed · 1 without an output" in first.err
    assert "no overlay" in first.out

    again = avs(*command)
    assert again.code == 11
    assert "0 done · 2 up to date · 0 failed · 1 without an output" in again.err
    assert len(manifest_lines(out)) == 2

    masks = avs(*command, "--write", "coco,csv")
    assert masks.code == 0
    assert "2 done · 0 up to date · 0 failed →" in masks.err


def test_files_that_failed_count_more_than_a_missing_overlay(
    avs: Avs, weights: Path, tmp_path: Path
) -> None:
    too_wide(tmp_path / "clips.mkv")
    (tmp_path / "text.mp4").write_text("no video")
    files = [tmp_path / "clips.mkv", tmp_path / "text.mp4"]
    outcome = avs("batch", *files, "-o", tmp_path / "out", "-w", weights, "--json")
    assert outcome.code == 8
    last = json.loads(outcome.out.splitlines()[-1])
    assert (last["exit_code"], last["num_incomplete"]) == (8, 1)


def test_a_result_that_a_killed_batch_did_not_note_keeps_its_gap(
    avs: Avs, weights: Path, tmp_path: Path
) -> None:
    wide, out = too_wide(tmp_path / "wide.mkv"), tmp_path / "out"
    assert segment(avs, weights, wide)[0].code == 11
    outcome = avs("batch", wide, "-o", out, "-w", weights, "--fps", 4)
    assert outcome.code == 11
    assert [line["result"]["failed_outputs"].keys() for line in manifest_lines(out)] == [
        {"overlay"}
    ]

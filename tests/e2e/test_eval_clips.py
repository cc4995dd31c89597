"""``avs eval --data clips``: real video by the second, as ``avs segment`` marks it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.builders import make_video
from tests.clip_folders import FPS, MASKS, ROWS, SIZE_HW, change_row, write_clips
from tests.conftest import Avs
from tests.e2e.browser import visit
from tests.e2e.conftest import Segment
from tests.e2e.results import Run

BOTH = ("--protocol", "clips,network")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_clips(tmp_path / "clips")


def evaluated(avs: Avs, root: Path, weights: Path, out: Path, *options: object) -> dict:
    done = avs("eval", "--data", "clips", "--root", root, "-w", weights, "-o", out, *options)
    assert done.code == 0, done.err
    return json.loads((out / "eval.json").read_text())


def by_second(report: dict, protocol: str = "clips") -> dict[tuple[str, int], dict]:
    seconds = report["protocols"][protocol]["per_second"]
    return {(each["clip_id"], each["second"]): each for each in seconds}


def marked_shares(run: Run, second: int, *, middle: bool = False) -> list[float]:
    """Return the marked share of the frames of a second, or of its middle half."""
    low, high = (second + 0.25, second + 0.75) if middle else (second, second + 0.999)
    return [
        float(run.mask(index).mean())
        for index, entry in enumerate(run.entries)
        if not entry["interpolated"] and low <= entry["time"] <= high
    ]


@pytest.mark.parametrize("rate", [(), ("--fps", 4)])
def test_what_is_scored_is_what_segment_writes(
    avs: Avs, segment: Segment, weights: Path, root: Path, tmp_path: Path, rate: tuple
) -> None:
    seconds = by_second(evaluated(avs, root, weights, tmp_path / "eval", *rate))
    options = rate or ("--fps", "native")
    runs = {
        name: segment(root / name, *options, into=f"runs_{name[-5]}")
        for name in ("videos/a.mp4", "videos/b.mp4")
    }
    for video, second, _state, _classes, mask, _heard in ROWS:
        told, run = seconds[video, second], runs[video]
        shares = marked_shares(run, second)
        assert told["num_frames"] == len(shares) == (4 if rate else FPS)
        assert told["marked_share"] == pytest.approx(np.mean(shares))
        assert told["marked_frames"] == sum(share >= 0.01 for share in shares)
        middle = [share >= 0.01 for share in marked_shares(run, second, middle=True)]
        assert told["is_marked"] == (sum(middle) * 2 >= len(middle))
        if mask:
            truth = cv2.imread(str(root / mask), cv2.IMREAD_GRAYSCALE) > 0
            at_half = next(i for i, e in enumerate(run.entries) if e["time"] == second + 0.5)
            found = run.mask(at_half)
            assert told["iou"] == pytest.approx((found & truth).sum() / (found | truth).sum())
    assert seconds["videos/a.mp4", 0]["is_marked"]
    assert not seconds["videos/a.mp4", 1]["is_marked"]  # the silence gate


def test_the_network_alone_knows_no_silence_gate(
    avs: Avs, weights: Path, root: Path, tmp_path: Path
) -> None:
    report = evaluated(avs, root, weights, tmp_path / "eval", *BOTH, "--threshold", 0.02)
    shipped, alone = (by_second(report, name) for name in ("clips", "network"))
    silent = ("videos/a.mp4", 1)
    assert shipped[silent]["marked_share"] < alone[silent]["marked_share"]
    assert (shipped[silent]["is_marked"], alone[silent]["is_marked"]) == (False, True)
    assert shipped["videos/b.mp4", 1]["iou"] == alone["videos/b.mp4", 1]["iou"]
    only = evaluated(avs, root, weights, tmp_path / "only", "--protocol", "network")
    assert only["protocols"].keys() == {"network"}


def test_table_rows_and_gates_speak_of_seconds(
    avs: Avs, weights: Path, root: Path, tmp_path: Path
) -> None:
    out = tmp_path / "eval"
    call = ("eval", "--data", "clips", "--root", root, "-w", weights, "-o", out, "--overwrite")
    done = avs(*call, "--min-kept-empty", 0.4, "--min-miou", 0.01)
    assert done.code == 0, done.err
    assert "quiet seconds kept empty" in done.out
    assert "marked at all, cat" in done.out
    report = json.loads((out / "eval.json").read_text())
    assert (report["scored"], report["data"]["kind"]) == ("seconds", "clips")
    assert report["protocols"]["clips"]["num_seconds"] == 4  # one of five is unclear
    with (out / "eval.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["clip_id"], r["num_seconds"]) for r in rows] == [
        ("videos/a.mp4", "3"), ("videos/b.mp4", "1"),
    ]  # fmt: skip
    missed = avs(*call, "--min-miou", 0.99)
    assert missed.code == 9
    assert "mean_iou is 0." in missed.err


def test_the_page_shows_the_worst_seconds(
    avs: Avs, weights: Path, root: Path, tmp_path: Path
) -> None:
    evaluated(avs, root, weights, tmp_path / "eval")
    seen = visit(
        tmp_path / "eval" / "eval.html",
        """({
            strips: [...document.querySelectorAll('#worst img')].map(i => i.naturalWidth),
            captions: [...document.querySelectorAll('#worst figcaption')].map(c => c.innerText),
            bars: document.querySelectorAll('#plot-classes rect').length,
        })""",
        tmp_path / "profile",
    )
    assert seen.complaints == []
    assert isinstance(seen.value, dict)
    assert seen.value["strips"] == [160] * len(seen.value["captions"])
    captions = " ".join(seen.value["captions"])
    assert "videos/a.mp4, second 0: IoU" in captions
    assert "second 2, off_screen:" in captions
    assert seen.value["bars"] == 3  # cat, dog, person


def test_runs_are_compared_by_the_second_and_only_with_their_like(
    avs: Avs, weights: Path, root: Path, tmp_path: Path
) -> None:
    for name, options in (("a", ("--threshold", 0.9)), ("b", ("--fps", 4))):
        evaluated(avs, root, weights, tmp_path / name, *options)
    files = {name: tmp_path / name / "eval.json" for name in ("a", "b")}
    done = avs("eval", "--compare", files["a"], files["b"], "--json")
    told = json.loads(done.out)["scores"]
    reports = [by_second(json.loads(files[name].read_text())) for name in ("a", "b")]
    ious = [np.mean([s["iou"] for s in r.values() if s["iou"] is not None]) for r in reports]
    assert told["mean_iou"]["difference"] == pytest.approx(ious[1] - ious[0])
    assert "quiet seconds kept empty" in avs("eval", "--compare", files["a"], files["b"]).out

    change_row(root, 2, state="unclear")
    evaluated(avs, root, weights, tmp_path / "relabelled")
    truth = avs("eval", "--compare", files["a"], tmp_path / "relabelled" / "eval.json")
    assert truth.code == 3
    assert "the truth of 'videos/a.mp4' differs" in truth.err


def test_frames_and_seconds_are_not_compared(
    avs: Avs, weights: Path, root: Path, tmp_path: Path
) -> None:
    evaluated(avs, root, weights, tmp_path / "video", "--limit", 1)
    done = avs("eval", "--data", "scenes", "--limit", 1, "-w", weights, "-o", tmp_path / "scenes")
    assert done.code == 0, done.err
    both = (tmp_path / "scenes" / "eval.json", tmp_path / "video" / "eval.json")
    refused = avs("eval", "--compare", *both)
    told = json.loads(both[0].read_text())
    told["clips"][0]["clip_id"] = "videos/a.mp4"
    assert (refused.code, "counts frames" in refused.err) == (3, True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--protocol", "avs"), "real video is scored by the second"),
        (("--protocol", "clips,avsbench"), "--protocol avsbench"),
        (("--counterfactual",), "--counterfactual"),
        (("--fps", 1), "at least 2 frames a second"),
        (("--split", "train"), "no --split train"),
        (("--pairs", "pairs.csv"), "--pairs belongs to"),
    ],
)
def test_options_that_do_not_fit_real_video_are_refused(
    avs: Avs, weights: Path, root: Path, tmp_path: Path, options: tuple, told: str
) -> None:
    done = avs(
        "eval", "--data", "clips", "--root", root, "-w", weights, "-o", tmp_path / "o", *options
    )
    assert done.code == 2
    assert told in " ".join(done.err.split())
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    "options", [("--protocol", "clips"), ("--fps", 4), ("--no-audio", "empty")]
)
def test_options_of_real_video_are_refused_elsewhere(
    avs: Avs, weights: Path, tmp_path: Path, options: tuple
) -> None:
    scenes = ("eval", "--data", "scenes", "--limit", 1, "-w", weights, "-o", tmp_path / "o")
    done = avs(*scenes, *options)
    assert done.code == 2
    assert f"{options[0]}" in done.err
    assert "real video" in done.err


def break_the_end(root: Path) -> None:
    """Cut the picture of the last second off, and keep a header that says three seconds."""
    whole = make_video(root / "whole.mp4", seconds=3, fps=FPS, size_hw=SIZE_HW, faststart=True)
    (root / "videos" / "a.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])


@pytest.mark.parametrize(
    ("breaks", "told"),
    [
        (lambda r: (r / "videos/b.mp4").unlink(), "b.mp4 is missing"),
        (lambda r: (r / "videos/b.mp4").write_bytes(b"no video"), "b.mp4"),
        (lambda r: (r / "masks/b_1.png").unlink(), "b_1.png is missing"),
        (break_the_end, "a.mp4 has no frame in the labelled second"),
    ],
)
def test_a_broken_file_is_named_and_nothing_is_written(
    avs: Avs, weights: Path, root: Path, tmp_path: Path, breaks, told: str
) -> None:
    breaks(root)
    done = avs("eval", "--data", "clips", "--root", root, "-w", weights, "-o", tmp_path / "o")
    assert done.code == 3
    assert told in " ".join(done.err.split())
    assert not (tmp_path / "o").exists()


def test_a_video_without_sound_follows_the_policy_of_segment(
    avs: Avs, weights: Path, root: Path, tmp_path: Path
) -> None:
    make_video(root / "videos/b.mp4", seconds=2, fps=FPS, size_hw=SIZE_HW, audio=None)
    change_row(root, 4, state="silent", classes="", mask="")
    (root / "masks/b_1.png").unlink()
    call = ("eval", "--data", "clips", "--root", root, "-w", weights, "-o", tmp_path / "o")
    refused = avs(*call)
    assert refused.code == 4
    assert "b.mp4 has no audio track" in refused.err
    assert avs(*call, "--no-audio", "empty").code == 0
    seconds = by_second(json.loads((tmp_path / "o" / "eval.json").read_text()))
    assert not seconds["videos/b.mp4", 1]["is_marked"]


def test_data_check_names_what_is_wrong_and_says_when_all_is_well(avs: Avs, root: Path) -> None:
    done = avs("data", "check", "clips", root)
    assert (done.code, done.out) == (0, "clips: all is well (2 test)\n")
    change_row(root, 1, state="loud")
    done = avs("data", "check", "clips", root)
    assert done.code == 3
    assert "seconds.csv, line 3: the state is 'loud'" in done.out


def test_the_builder_of_these_tests_writes_what_it_says(root: Path) -> None:
    with av.open(str(root / "videos/a.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3 * FPS
    for name, box in MASKS.items():
        mask = cv2.imread(str(root / name), cv2.IMREAD_GRAYSCALE)
        assert mask.shape == SIZE_HW
        assert (mask[box] == 255).all()

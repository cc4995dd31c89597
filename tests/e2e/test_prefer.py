"""``--prefer``: weights with operating points, and weights without."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import avscli
from avscli.config import ReadOptions, SegmentOptions
from avscli.datatypes import OperatingPoint
from tests.builders import make_video
from tests.conftest import Avs
from tests.e2e.results import read_run
from tests.networks_for_tests import TINY_SPEC, make_network, save_marking, save_tiny

POINTS = {
    "recall": OperatingPoint(0.2, 0.0),
    "balanced": OperatingPoint(TINY_SPEC.threshold, TINY_SPEC.region_threshold),
    "precision": OperatingPoint(0.8, 0.9),
}


@pytest.fixture(scope="module")
def pointed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny random checkpoint with operating points."""
    spec = dataclasses.replace(TINY_SPEC, operating_points=POINTS)
    return save_marking(tmp_path_factory.mktemp("weights") / "pointed.safetensors", spec)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "clip.mp4", seconds=1.0, fps=4, size_hw=(64, 96))


def test_recall_marks_more_and_precision_less_than_what_holds_without_a_preference(
    avs: Avs, pointed: Path, clip: Path, tmp_path: Path
) -> None:
    masks = {}
    for name, options in {
        **{name: ("--prefer", name) for name in POINTS},
        "unasked": (),
    }.items():
        outcome = avs("segment", clip, "-w", pointed, "-o", tmp_path / name, *options)
        assert outcome.code == 0, outcome.err
        run = read_run(tmp_path / name / clip.name, outcome)
        assert run.record["options"]["prefer"] == ("balanced" if name == "unasked" else name)
        masks[name] = np.stack([run.mask(index) for index in range(len(run.entries))])
    np.testing.assert_array_equal(masks["unasked"], masks["balanced"])
    for fewer, more in (("precision", "balanced"), ("balanced", "recall")):
        assert not (masks[fewer] & ~masks[more]).any()
        assert masks[fewer].sum() < masks[more].sum()

    options = SegmentOptions(read=ReadOptions(), prefer="recall")
    by_python = avscli.segment(clip, weights=str(pointed), options=options)
    np.testing.assert_array_equal(np.stack([f.mask for f in by_python]), masks["recall"])


def test_a_batch_does_again_what_was_done_with_another_preference(
    avs: Avs, pointed: Path, clip: Path, tmp_path: Path
) -> None:
    call = ("batch", clip, "-w", pointed, "-o", tmp_path / "out", "--write", "csv")
    planned = (*call, "--dry-run", "--json")
    assert avs(*call, "--prefer", "recall").code == 0
    first = {
        name: json.loads(avs(*planned, "--prefer", name).out.splitlines()[0]) for name in POINTS
    }
    assert first == {
        "recall": {"event": "up_to_date", "file": clip.name},
        "balanced": {"event": "would_run", "file": clip.name, "why": "options changed"},
        "precision": {"event": "would_run", "file": clip.name, "why": "options changed"},
    }
    record = json.loads((tmp_path / "out" / clip.name / "run.json").read_text())
    assert record["options"]["prefer"] == "recall"


def test_an_evaluation_cuts_where_it_is_asked_to_and_says_where(
    avs: Avs, pointed: Path, tmp_path: Path
) -> None:
    marked = {}
    for name, point in POINTS.items():
        out = tmp_path / name
        done = avs(
            "eval", "--data", "scenes", "--limit", 3, "-w", pointed, "-o", out, "--prefer", name
        )
        assert done.code == 0, done.err
        report = json.loads((out / "eval.json").read_text())
        assert report["options"]["prefer"] == name
        assert report["options"]["threshold"] == point.threshold
        marked[name] = sum(row["hit"] + row["false"] for row in report["clips"])
    assert marked["recall"] > marked["balanced"] > marked["precision"]


def test_what_is_known_of_weights_has_their_operating_points(avs: Avs, pointed: Path) -> None:
    told = json.loads(avs("models", "info", pointed, "--json").out)
    points = told["spec"]["operating_points"]
    assert points == {name: dataclasses.asdict(point) for name, point in POINTS.items()}
    assert "operating_points" in avs("models", "info", pointed).out


@pytest.mark.parametrize("prefer", ["recall", "precision"])
@pytest.mark.parametrize("command", ["segment", "batch", "eval"])
def test_weights_without_such_a_point_refuse_to_guess(
    avs: Avs, weights: Path, clip: Path, tmp_path: Path, command: str, prefer: str
) -> None:
    what = ["--data", "scenes", "--limit", 1] if command == "eval" else [clip]
    call = (command, *what, "-w", weights, "-o", tmp_path / "out", "--prefer", prefer)
    outcome = avs(*call)
    assert outcome.code == 2
    told = f"these weights have no operating point for --prefer {prefer}, only: balanced\n"
    assert told in outcome.err
    assert "hint: leave --prefer out" in outcome.err
    assert not (tmp_path / "out" / clip.name).exists()


def test_a_network_that_names_classes_has_no_thresholds_to_choose(
    avs: Avs, clip: Path, tmp_path: Path
) -> None:
    named = dataclasses.replace(
        TINY_SPEC, task="semantic", num_classes=3, class_names=("background", "dog", "cat")
    )
    path = save_tiny(tmp_path / "named.safetensors", make_network(named))
    outcome = avs("segment", clip, "-w", path, "-o", tmp_path / "out", "--prefer", "recall")
    assert outcome.code == 2
    assert "--prefer has no meaning" in outcome.err


def test_stored_masks_are_cut_already(avs: Avs, tmp_path: Path) -> None:
    outcome = avs("eval", "--pred", tmp_path, "--gt", tmp_path, "--prefer", "recall")
    assert outcome.code == 2
    assert "--prefer" in outcome.err

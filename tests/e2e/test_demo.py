"""``avs demo`` with the shipped weights: generate, segment, score, and say where to look."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.conftest import Avs
from tests.e2e.results import read_run, require_refusal, require_whole

pytestmark = pytest.mark.weights


def test_the_demo_scores_its_clip_and_says_where_to_look(avs: Avs, tmp_path: Path) -> None:
    outcome = avs("demo", "-o", tmp_path / "demo", "--seconds", 2)
    assert outcome.code == 0, outcome.err
    score = re.search(r"^mean IoU (\d\.\d{3}) over (\d+) frames", outcome.out, re.MULTILINE)
    watch = re.search(r"^watch (.+/overlay\.mp4)$", outcome.out, re.MULTILINE)
    assert score
    assert watch
    assert 0.0 <= float(score[1]) <= 1.0
    assert Path(watch[1]).is_file()
    run = read_run(tmp_path / "demo" / "avs_out" / "scene.mp4", outcome)
    require_whole(run, tmp_path / "demo" / "scene.mp4", (360, 640))
    assert run.record["num_frames"] == 50
    assert run.record["warnings"] == []


def test_the_demo_does_not_overwrite_unless_told(avs: Avs, tmp_path: Path) -> None:
    (tmp_path / "scene.mp4").write_text("mine")
    assert "scene.mp4 exists" in require_refusal(avs("demo", "-o", tmp_path, "--seconds", 1), 7)
    outcome = avs("demo", "-o", tmp_path, "--seconds", 1, "--overwrite", "--json", "--quiet")
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    report = json.loads(outcome.out)
    assert report["num_sounding_frames"] + report["num_silent_frames"] == 25
    assert Path(report["output"]).is_dir()

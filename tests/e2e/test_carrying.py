"""``--fps auto``: masks as near to those of every frame analysed as promised, told as carried."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import avscli
from avscli.config import ReadOptions, SegmentOptions
from avscli.datatypes import SAMPLE_RATE_HZ
from avscli.media.fallback import probed
from avscli.media.ffmpeg_jobs import mux
from avscli.media.reader import read_clips
from avscli.pipeline import open_runtime, predict_frames
from benchmarks.carried_clips import Nearness, make_clips, nearness
from tests.builders import drawn_frame
from tests.conftest import Avs
from tests.e2e.conftest import Segment
from tests.e2e.results import frame_times, read_run, require_refusal
from tests.networks_for_tests import TINY_SPEC, save_marking

NAMES = ("scene", "other scene", "fast", "very fast", "cuts", "flicker", "silence", "still")
CLIP_FRAMES = 75


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Nearness, float]]:
    """Return how near each clip comes to every frame analysed, and its share of looks."""
    folder = tmp_path_factory.mktemp("clips")
    runtime = open_runtime("pcmanet-mini", SegmentOptions(precision="fp32"), pytest.fail)
    found = {}
    for name, path in make_clips(folder, num_frames=CLIP_FRAMES, size_hw=(180, 320)).items():
        ways = []
        for fps in (None, "auto"):
            options = SegmentOptions(read=ReadOptions(fps=fps))
            with probed(path) as media:
                reader = read_clips(media, runtime.spec, options.read, pytest.fail)
                ways.append([*predict_frames(reader, runtime, options)])
        every, carried = ways
        assert [each.stamp for each in carried] == [each.stamp for each in every]
        near = nearness([each.mask for each in carried], [each.mask for each in every])
        found[name] = near, np.mean([each.is_looked_at for each in carried])
    return found


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_masks_are_those_of_every_frame_analysed(compared, name):
    near, looked = compared[name]
    assert near.iou >= 0.95
    assert near.shown_iou >= 0.9
    assert near.change_frames <= 2
    assert looked < 0.9


@pytest.mark.weights
@pytest.mark.slow
def test_a_scene_at_ease_is_seldom_looked_at(compared):
    assert compared["scene"][1] <= 0.35
    assert compared["still"][1] <= 0.35


@pytest.fixture(scope="session")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny random checkpoint that sees one frame at a time."""
    spec = dataclasses.replace(TINY_SPEC, clip_length=1)
    return save_marking(tmp_path_factory.mktemp("weights") / "single.safetensors", spec)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Return two seconds of one picture and one tone."""
    path = tmp_path / "clip.mp4"
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)
    pictures = [drawn_frame(5, (64, 96))] * 40
    mux(pictures, tone.astype(np.float32), path, fps=Fraction(20), sample_rate_hz=SAMPLE_RATE_HZ)
    return path


def test_carried_frames_are_told_from_those_that_were_looked_at(
    segment: Segment, single: Path, clip: Path
) -> None:
    run = segment(clip, "--fps", "auto", "-w", single)
    times = frame_times(clip)
    assert [entry["frame"] for entry in run.entries] == list(range(len(times)))
    assert not any(entry["interpolated"] for entry in run.entries)
    carried = ["carried" in entry["flags"] for entry in run.entries]
    assert 0 < sum(carried) < len(carried)
    assert run.record["num_frames"] == len(times)
    assert run.record["num_analysed_frames"] == carried.count(False)
    assert run.record["options"]["read"]["fps"] == "auto"
    assert ["carried" in row["flags"].split(";") for row in run.rows] == carried
    assert [image.get("carried", False) for image in run.coco["images"]] == carried
    assert not any("carried" in each["flags"] for each in run.record["objects"])
    assert frame_times(run.overlay) == times
    assert f"({carried.count(False)} analysed)" in run.outcome.err


def test_python_gives_what_the_command_line_writes(
    segment: Segment, single: Path, clip: Path
) -> None:
    run = segment(clip, "--fps", "auto", "-w", single)
    options = SegmentOptions(read=ReadOptions(fps="auto"), device="cpu")
    found = [*avscli.segment(clip, weights=str(single), options=options)]
    for index, each in enumerate(found):
        np.testing.assert_array_equal(run.mask(index), each.mask)
        assert each.is_looked_at == ("carried" not in run.entries[index]["flags"])


def test_a_range_is_carried_as_a_whole_file_is(segment: Segment, single: Path, clip: Path) -> None:
    run = segment(clip, "--fps", "auto", "-w", single, "--start", "0.5", "--end", "1.5")
    expected = [i for i, time in enumerate(frame_times(clip)) if 0.5 <= time < 1.5]
    assert [entry["frame"] for entry in run.entries] == expected


def test_a_batch_carries_and_does_it_again_for_another_rate(
    avs: Avs, single: Path, clip: Path, tmp_path: Path
) -> None:
    def planned(fps: str) -> tuple[int, int]:
        outcome = avs("batch", clip, "-o", tmp_path / "out", "-w", single, "--fps", fps, "--json")
        assert outcome.code == 0, outcome.err
        plan = json.loads(outcome.out.splitlines()[0])
        return plan["num_jobs"], plan["num_up_to_date"]

    assert planned("auto") == (1, 0)
    run = read_run(tmp_path / "out" / clip.name, avs("--version"))
    assert any("carried" in entry["flags"] for entry in run.entries)
    assert planned("auto") == (0, 1)
    assert planned("native") == (1, 0)


def test_a_network_that_sees_several_frames_together_refuses(
    avs: Avs, weights: Path, clip: Path, tmp_path: Path
) -> None:
    outcome = avs("segment", clip, "-o", tmp_path / "out", "-w", weights, "--fps", "auto")
    assert "it sees 3 frames together" in require_refusal(outcome, 2)
    assert not (tmp_path / "out").exists()

"""What stands in the files of a run, read by other programs than the one that wrote them."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from pycocotools.coco import COCO

from avscli.config import SegmentOptions
from avscli.console import bars
from avscli.pipeline import segment as segment_by_python
from tests.builders import make_video
from tests.conftest import Avs
from tests.e2e.conftest import Segment
from tests.e2e.results import (
    ALL_FILES,
    Run,
    decoded,
    frame_times,
    read_run,
    require_whole,
    sound_packets,
)

SIZE_HW = (64, 96)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "clip.mp4", seconds=1.5, fps=10, size_hw=SIZE_HW)


@pytest.fixture
def run(segment: Segment, clip: Path) -> Run:
    return segment(clip)


# --- masks.coco.json ------------------------------------------------------------------------


@pytest.mark.parametrize("rotation", [0, 90])
def test_pycocotools_reads_the_masks_at_display_size(
    segment: Segment, tmp_path: Path, rotation: int
) -> None:
    source = make_video(tmp_path / "a.mp4", seconds=1.5, fps=10, size_hw=SIZE_HW, rotation=rotation)
    run = segment(source)
    coco = COCO(str(run.folder / "masks.coco.json"))
    assert len(coco.imgs) == len(run.analysed) == 6
    assert len(coco.anns) == 6
    for image, entry in zip(coco.imgs.values(), run.analysed, strict=True):
        assert (image["height"], image["width"]) == SIZE_HW
        assert (image["frame_id"], image["pts"]) == (entry["frame"], entry["pts"])
        (annotation,) = coco.imgToAnns[image["id"]]
        mask = decoded(annotation["segmentation"])
        assert mask.shape == SIZE_HW
        assert annotation["area"] == mask.sum()
        rows, columns = np.nonzero(mask)
        left, top, width, height = annotation["bbox"]
        assert (left, top) == (columns.min(), rows.min())
        assert (width, height) == (np.ptp(columns) + 1, np.ptp(rows) + 1)
        assert np.array_equal(mask, run.mask(entry["frame"]))
        [told] = entry["objects"]
        assert {key: annotation[key] for key in told} == told


def test_frames_without_a_mask_are_images_all_the_same(segment: Segment, clip: Path) -> None:
    run = segment(clip, "--threshold", "0.999999")
    document = run.coco
    marked = {annotation["image_id"] for annotation in document["annotations"]}
    assert len(document["images"]) == len(run.analysed)
    assert marked == {
        image["id"]
        for image, entry in zip(document["images"], run.analysed, strict=True)
        if entry["objects"]
    }
    assert len(marked) < len(document["images"])


def test_the_masks_name_the_run_they_come_from(run: Run, clip: Path, weights: Path) -> None:
    info, video = run.coco["info"]["avs"], run.coco["videos"][0]
    assert info["run_id"] == run.record["run_id"]
    assert info["checkpoint_sha256"] == sha256(weights)
    assert video["sha256"] == sha256(clip)
    assert video["file_name"] == "clip.mp4"
    assert video["length"] == 15


# --- overlay.mp4 ----------------------------------------------------------------------------


def top_level_boxes(path: Path) -> list[str]:
    """Return the names of an MP4's outermost boxes in file order."""
    data, names, at = path.read_bytes(), [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        names.append(data[at + 4 : at + 8].decode())
        at += int.from_bytes(data[at + 8 : at + 16], "big") if size == 1 else size or len(data)
    return names


def test_the_overlay_plays_while_it_loads_in_a_browser(run: Run) -> None:
    boxes = top_level_boxes(run.overlay)
    assert boxes.index("moov") < boxes.index("mdat")
    with av.open(str(run.overlay)) as container:
        (video,) = container.streams.video
        (audio,) = container.streams.audio
        assert video.codec_context.name == "h264"
        assert video.codec_context.pix_fmt == "yuv420p"
        assert video.profile in {"Constrained Baseline", "Main", "High"}
        assert audio.codec_context.name == "aac"


def test_sound_that_mp4_players_cannot_read_is_encoded_as_aac(
    segment: Segment, tmp_path: Path
) -> None:
    source = make_video(tmp_path / "a.mkv", seconds=1.5, fps=10, size_hw=SIZE_HW)
    run = segment(source)
    with av.open(str(source)) as given, av.open(str(run.overlay)) as made:
        assert given.streams.audio[0].codec_context.name == "pcm_s16le"
        assert made.streams.audio[0].codec_context.name == "aac"
        seconds = float(made.streams.audio[0].duration * made.streams.audio[0].time_base)
    assert seconds == pytest.approx(1.5, abs=0.05)


# --- ranges, rates and choices --------------------------------------------------------------


def test_a_range_takes_its_frames_their_times_and_their_sound(segment: Segment, clip: Path) -> None:
    run = segment(clip, "--start", "0.5", "--end", "0:01", "--fps", "native")
    times = frame_times(clip)[5:10]
    assert [entry["frame"] for entry in run.entries] == [5, 6, 7, 8, 9]
    assert [entry["time"] for entry in run.entries] == [float(time) for time in times]
    assert frame_times(run.overlay) == times
    inside = sound_packets(run.overlay)
    everything = sound_packets(clip)
    assert inside
    first = everything.index(inside[0])
    assert everything[first : first + len(inside)] == inside
    assert len(inside) == pytest.approx(0.5 * 44_100 / 1024, abs=1.5)


def test_frames_between_analysed_ones_hold_the_mask(segment: Segment, clip: Path) -> None:
    run = segment(clip, "--fps", 2)
    assert [entry["frame"] for entry in run.analysed] == [0, 5, 10]
    for entry in run.entries:
        source = run.entries[entry["frame"] // 5 * 5]
        assert entry["interpolated"] == (entry is not source)
        assert entry["objects"] == source["objects"]
        assert entry["state"] == source["state"]
    assert [row["interpolated"] for row in run.rows] == [
        "true" if entry["interpolated"] else "false" for entry in run.entries
    ]


@pytest.mark.parametrize("options", [[], ["--fps", "native"]], ids=["default", "native"])
def test_every_frame_is_analysed_unless_told_otherwise(
    avs: Avs, weights: Path, clip: Path, tmp_path: Path, options: list[str]
) -> None:
    outcome = avs("segment", clip, "-o", tmp_path / "out", "-w", weights, *options)
    run = read_run(tmp_path / "out" / "clip.mp4", outcome)
    require_whole(run, clip, SIZE_HW)
    assert len(run.analysed) == 15


def test_a_higher_threshold_marks_less_and_of_the_same(segment: Segment, clip: Path) -> None:
    low = segment(clip, "--threshold", "0.3", into="low")
    high = segment(clip, "--threshold", "0.7", into="high")
    for index in range(15):
        assert not (high.mask(index) & ~low.mask(index)).any()
    assert sum(high.mask(i).sum() for i in range(15)) < sum(low.mask(i).sum() for i in range(15))


def test_a_least_area_drops_small_regions(segment: Segment, clip: Path) -> None:
    run = segment(clip, "--min-area", "0.99")
    assert not any(entry["objects"] for entry in run.entries)
    assert {entry["state"] for entry in run.entries} == {"nothing_sounds"}


@pytest.mark.parametrize(
    ("write", "files"),
    [
        ("coco", ["masks.coco.json"]),
        ("csv", ["confidence.csv"]),
        ("overlay", ["overlay.mp4"]),
        ("csv, coco", ["confidence.csv", "masks.coco.json"]),
        ("", []),
    ],
)
def test_only_what_was_asked_for_is_written(
    segment: Segment, clip: Path, write: str, files: list[str]
) -> None:
    run = segment(clip, "--write", write)
    always = ["events.vtt", "frames.jsonl", "objects.csv", "run.json"]
    assert sorted(path.name for path in run.folder.iterdir()) == sorted([*always, *files])
    assert run.record["files"] == sorted([*always, *files])


# --- confidence.csv and run.json ------------------------------------------------------------


def test_the_confidence_table_says_what_the_journal_says(run: Run) -> None:
    with (run.folder / "confidence.csv").open(newline="") as file:
        header = next(csv.reader(file))
    assert header == [
        "frame",
        "time",
        "interpolated",
        "state",
        "score",
        "area_share",
        "num_components",
        "mean_probability",
        "entropy",
        "stage_agreement",
        "temporal_iou",
        "audio_dbfs",
        "selected",
        "flags",
    ]
    for index, (row, entry) in enumerate(zip(run.rows, run.entries, strict=True)):
        assert int(row["frame"]) == entry["frame"]
        assert float(row["time"]) == entry["time"]
        assert row["state"] == entry["state"]
        assert float(row["score"]) == entry["score"]
        assert float(row["area_share"]) == pytest.approx(run.mask(index).mean(), abs=1e-6)
        assert float(row["audio_dbfs"]) == pytest.approx(entry["audio_dbfs"], abs=0.01)
        assert [flag for flag in row["flags"].split(";") if flag] == entry["flags"]
        for share in ("score", "mean_probability", "entropy", "stage_agreement"):
            assert 0.0 <= float(row[share]) <= 1.0
    assert run.rows[0]["temporal_iou"] == ""


def test_the_level_of_a_sine_wave_is_known(run: Run) -> None:
    middle = run.entries[7]  # its window lies wholly inside the sound
    assert middle["audio_dbfs"] == pytest.approx(20 * math.log10(0.5 / math.sqrt(2)), abs=0.2)


def test_the_record_says_what_was_done_to_what_and_how(run: Run, clip: Path, weights: Path) -> None:
    record = run.record
    assert set(record) == {
        "schema_version",
        "status",
        "run_id",
        "date_created",
        "tool",
        "source",
        "checkpoint",
        "options",
        "device",
        "num_frames",
        "num_analysed_frames",
        "sounding_share",
        "mean_score",
        "timings_seconds",
        "warnings",
        "output",
        "files",
        "failed_outputs",
        "overlay_offset_seconds",
        "objects",
        "review",
    }
    assert (record["failed_outputs"], record["overlay_offset_seconds"]) == ({}, 0.0)
    assert record["source"]["path"] == str(clip)
    assert record["source"]["sha256"] == sha256(clip)
    assert record["source"]["frame_rate"] == "10"
    assert record["checkpoint"]["sha256"] == sha256(weights)
    assert record["options"]["read"]["fps"] == 4.0
    assert record["options"]["write"] == ["coco", "overlay", "csv"]
    assert record["device"]["device"] in {"cpu", "cuda", "mps"}
    assert record["warnings"] == []
    assert record["output"] == str(run.folder)
    timings = dict(record["timings_seconds"])
    total = timings.pop("total")
    assert 0.0 < sum(timings.values()) <= total + 0.01
    sounding = [entry["state"] == "sounding" for entry in run.entries]
    assert record["sounding_share"] == pytest.approx(np.mean(sounding), abs=1e-6)
    scores = [entry["score"] for entry in run.entries]
    assert record["mean_score"] == pytest.approx(np.mean(scores), abs=1e-6)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_run_has_the_same_name_and_masks(segment: Segment, clip: Path) -> None:
    first, second = segment(clip, into="first"), segment(clip, into="second")
    assert first.record["run_id"] == second.record["run_id"]
    assert first.entries == second.entries
    other = segment(clip, "--threshold", "0.6", into="other")
    assert other.record["run_id"] != first.record["run_id"]


# --- what the person sees -------------------------------------------------------------------


def test_json_on_stdout_is_the_record_and_nothing_else(segment: Segment, clip: Path) -> None:
    run = segment(clip, "--json")
    assert run.outcome.out == (run.folder / "run.json").read_text()


def test_stdout_holds_the_folder_and_stderr_how_it_went(run: Run) -> None:
    assert run.outcome.out == f"{run.folder}\n"
    line, sounding = [x for x in run.outcome.err.splitlines() if "× real time" not in x]
    assert sounding.startswith("sounding_object ")
    assert line.startswith("15 frames (6 analysed) in ")
    assert "something sounds in 100%" in line


def test_quiet_says_nothing_but_the_result(segment: Segment, clip: Path) -> None:
    run = segment(clip, "--quiet")
    assert run.outcome.err == ""
    assert run.outcome.out == f"{run.folder}\n"


def test_progress_comes_in_plain_lines_where_there_is_no_terminal(
    segment: Segment, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "PLAIN_LINE_SECONDS", 0.0)
    lines = segment(clip).outcome.err.splitlines()
    progress = [line for line in lines if line.startswith("clip.mp4: ")]
    assert len(progress) == 15
    assert progress[0].startswith("clip.mp4: 1/15 frames, ")
    assert progress[-1].startswith("clip.mp4: 15/15 frames, ")
    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize(
    "name",
    ["a [red]b 100%d :smile:.mp4", "é😀 ü.mp4", "-.mp4", "10:30.mp4", "a'b\"c.mp4", "no suffix"],
)
def test_any_file_name_will_do(avs: Avs, weights: Path, tmp_path: Path, name: str) -> None:
    source = make_video(tmp_path / "x.mp4", seconds=0.5, fps=10, size_hw=SIZE_HW)
    source = source.rename(tmp_path / name)
    outcome = avs("segment", "-w", weights, "-o", tmp_path / "out", "--", source)
    assert outcome.code == 0, outcome.err
    require_whole(read_run(tmp_path / "out" / name, outcome), source, SIZE_HW)
    assert outcome.out == f"{tmp_path / 'out' / name}\n"


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode elsewhere")
@pytest.mark.parametrize("as_json", [False, True])
def test_a_file_name_that_is_no_unicode_comes_back_as_it_was(
    avs: Avs, weights: Path, tmp_path: Path, as_json: bool
) -> None:
    clip = make_video(tmp_path / "x.mp4", seconds=0.5, fps=10, size_hw=SIZE_HW)
    source = clip.rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    options = ["--json"] if as_json else []
    outcome = avs("segment", source, "-w", weights, "-o", tmp_path / "out", *options)
    assert outcome.code == 0, outcome.err
    record = json.loads((tmp_path / "out" / source.name / "run.json").read_text())
    assert record["source"]["path"] == str(source)
    assert record["files"] == ALL_FILES


def test_a_link_is_followed_and_names_the_output(segment: Segment, clip: Path) -> None:
    link = clip.with_name("link.mp4")
    link.symlink_to(clip)
    run = segment(link)
    require_whole(run, clip, SIZE_HW)
    assert run.folder.name == "link.mp4"


# --- by Python ------------------------------------------------------------------------------


def test_python_gives_the_masks_of_the_command(run: Run, clip: Path, weights: Path) -> None:
    from dataclasses import replace

    from avscli.config import ReadOptions

    options = replace(SegmentOptions(), read=ReadOptions(fps=4.0))
    frames = list(segment_by_python(clip, weights=str(weights), options=options))
    assert [frame.stamp.index for frame in frames] == list(range(15))
    for index, frame in enumerate(frames):
        assert np.array_equal(frame.mask, run.mask(index))
        assert Fraction(frame.stamp.pts, 10_240) == frame_times(clip)[index]

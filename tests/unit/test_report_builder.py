"""The report counts what happened and says it once."""

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from avscli import report_builder
from avscli.config import ReadOptions, SegmentOptions
from avscli.datatypes import CheckpointInfo, MediaInfo
from avscli.report_builder import ReportBuilder
from tests.networks_for_tests import TINY_SPEC
from tests.unit.outputs.drawn import SIZE_HW, make_media, make_prediction

WHOLE = ReadOptions()
MARKED = np.ones(SIZE_HW, np.uint8)
CHECKPOINT = CheckpointInfo(
    name="tiny",
    sha256="c" * 64,
    num_parameters=7,
    spec=TINY_SPEC,
    trained_on=("nothing",),
    scores={},
    licence="none",
    source="random weights",
)


def make_builder(
    *,
    media: MediaInfo | None = None,
    read: ReadOptions = WHOLE,
    said: list[str] | None = None,
    **options: object,
) -> ReportBuilder:
    chosen = replace(SegmentOptions(), read=read, **options)
    tell = [].append if said is None else said.append
    return ReportBuilder(media or make_media(), CHECKPOINT, chosen, tell, source_sha256="a" * 64)


def test_frames_are_counted_by_kind() -> None:
    builder = make_builder()
    builder.count(make_prediction(0, MARKED))
    builder.count(make_prediction(1, MARKED, interpolated=True))
    builder.count(make_prediction(2, state="silent"))
    builder.count(make_prediction(3, state="nothing_sounds"))
    report = builder.report(
        Path("out/clip.mp4"),
        files=("a",),
        objects=(),
        device={},
        device_warnings=(),
        is_truncated=False,
    )
    assert (report.num_frames, report.num_analysed_frames) == (4, 3)
    assert report.sounding_share == 0.5
    assert report.mean_score == 0.875
    assert (report.status, report.output, report.files) == ("done", "out/clip.mp4", ("a",))


def test_a_report_without_frames_divides_by_nothing() -> None:
    report = make_builder().report(
        Path("out"), files=(), objects=(), device={}, device_warnings=(), is_truncated=True
    )
    assert (report.num_frames, report.sounding_share, report.mean_score) == (0, 0.0, 0.0)
    assert report.status == "truncated"


def test_a_warning_is_said_once_and_kept_once() -> None:
    said: list[str] = []
    builder = make_builder(said=said)
    for message in ("first", "second", "first"):
        builder.warn(message)
    report = builder.report(
        Path("out"), files=(), objects=(), device={}, device_warnings=(), is_truncated=False
    )
    assert said == ["first", "second"]
    assert report.warnings == ("first", "second")


def test_phases_share_out_the_time_that_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = replace(make_builder(), _started=100.0)
    clock = iter([103.0, 104.5, 106.0])
    monkeypatch.setattr(report_builder.time, "monotonic", lambda: next(clock))
    builder.mark("frames")
    builder.mark("closing")
    report = builder.report(
        Path("out"), files=(), objects=(), device={}, device_warnings=(), is_truncated=False
    )
    assert report.timings_seconds == {"frames": 3.0, "closing": 1.5, "total": 6.0}


def test_progress_is_measured_against_the_range() -> None:
    media = replace(make_media(), frame_rate=Fraction(10), duration_seconds=20.0)
    builder = make_builder(media=media, read=ReadOptions(start_seconds=5.0, end_seconds=15.0))
    builder.count(make_prediction(60))
    builder.count(make_prediction(90))
    progress = builder.progress()
    assert (progress.frames_done, progress.frames_total) == (2, 100)
    assert progress.media_seconds_done == pytest.approx(1.0)
    assert progress.media_seconds_total == 10.0


@pytest.mark.parametrize(
    ("changes", "frames_total", "seconds_total"),
    [
        ({"duration_seconds": None}, None, None),
        ({"frame_rate": None}, None, 1.5),
        ({}, 45, 1.5),
    ],
)
def test_what_a_container_does_not_say_is_none(
    changes: dict[str, None], frames_total: int | None, seconds_total: float | None
) -> None:
    progress = make_builder(media=replace(make_media(), **changes)).progress()
    assert (progress.frames_total, progress.media_seconds_total) == (frames_total, seconds_total)


def test_a_range_beyond_the_end_promises_no_less_than_one_frame() -> None:
    progress = make_builder(read=ReadOptions(start_seconds=99.0)).progress()
    assert (progress.frames_total, progress.media_seconds_total) == (1, 0.0)


def test_a_run_is_named_by_source_weights_and_options() -> None:
    names = {
        make_builder().run_id,
        make_builder(threshold=0.4).run_id,
        make_builder(read=ReadOptions(fps=2.0)).run_id,
        replace_checkpoint(make_builder()).run_id,
        replace_source(make_builder()).run_id,
    }
    assert len(names) == 5
    assert make_builder().run_id == make_builder().run_id
    assert re.fullmatch("[0-9a-f]{16}", make_builder().run_id)


def replace_checkpoint(builder: ReportBuilder) -> ReportBuilder:
    return replace(builder, checkpoint=replace(CHECKPOINT, sha256="d" * 64))


def replace_source(builder: ReportBuilder) -> ReportBuilder:
    return replace(builder, source_sha256="b" * 64)


def test_the_source_is_described_in_plain_json_values() -> None:
    report = make_builder().report(
        Path("out"), files=(), objects=(), device={}, device_warnings=(), is_truncated=False
    )
    assert report.source.frame_rate == "30000/1001"
    assert report.source.sample_aspect_ratio == "1"
    assert report.source.path == "clip.mp4"
    assert report.source.sha256 == "a" * 64
    assert report.options["read"]["no_audio"] == "error"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", report.date_created)

"""The time left follows from seconds of video, not from the number of files."""

import time
from pathlib import Path

import pytest

from avscli.batch.events import (
    BatchReport,
    JobAdvanced,
    JobEnded,
    JobRepeated,
    JobStarted,
    Planned,
)
from avscli.batch.jobs import Job, JobResult
from avscli.batch.tally import MAX_ROWS, Tally
from avscli.errors import ExitCode


def job(key: str, seconds: float) -> Job:
    return Job(key, key, "out", 1, seconds, False, {}, key)


def ended(key: str, seconds: float, status: str = "done") -> JobEnded:
    return JobEnded(0, job(key, seconds), JobResult(status), seconds)


@pytest.fixture
def tally(monkeypatch: pytest.MonkeyPatch) -> Tally:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    tally = Tally()
    tally.count(Planned(3, 5, 2, media_seconds=100.0, num_bytes=0, wall_seconds=None))
    monkeypatch.setattr(time, "monotonic", lambda: now + 10.0)
    return tally


def test_before_anything_is_done_no_time_is_promised(tally: Tally) -> None:
    assert (tally.times_real_time, tally.seconds_left) == (None, None)


def test_media_seconds_decide(tally: Tally) -> None:
    tally.count(JobStarted(0, job("short.mp4", 5.0)))
    tally.count(JobStarted(1, job("long.mp4", 90.0)))
    tally.count(ended("short.mp4", 5.0))
    tally.count(JobAdvanced(1, 15.0))
    assert tally.media_done == pytest.approx(20.0)
    assert tally.times_real_time == pytest.approx(2.0)
    assert tally.seconds_left == pytest.approx(40.0)
    assert (tally.num_ended, tally.num_files) == (1, 3)
    assert list(tally.in_work) == [1]


def test_a_file_that_begins_again_loses_its_progress(tally: Tally) -> None:
    tally.count(JobStarted(0, job("a.mp4", 50.0)))
    tally.count(JobAdvanced(0, 25.0))
    tally.count(JobRepeated(0, job("a.mp4", 50.0), "its worker died"))
    assert tally.media_done == 0.0
    assert tally.num_ended == 0


def test_the_table_has_failures_first_and_ends_somewhere(tally: Tally) -> None:
    for i in range(2 * MAX_ROWS):
        tally.count(ended(f"{i}.mp4", 0.1))
    tally.count(ended("bad.mp4", 0.1, "failed"))
    assert len(tally.rows) == MAX_ROWS
    assert [row.job.key for row in tally.rows[:2]] == ["bad.mp4", "0.mp4"]
    assert (tally.num_ended, tally.num_failed) == (2 * MAX_ROWS + 1, 1)


@pytest.mark.parametrize(
    ("counts", "num_incomplete", "was_interrupted", "code"),
    [
        ({}, 0, False, ExitCode.OK),
        ({"done": 2, "truncated": 1}, 0, False, ExitCode.OK),
        ({"done": 2, "failed": 1}, 0, False, ExitCode.PARTIAL),
        ({"no_audio": 1}, 0, False, ExitCode.PARTIAL),
        ({"crashed": 1, "timed_out": 1}, 0, False, ExitCode.PARTIAL),
        ({"done": 2}, 1, False, ExitCode.INCOMPLETE),
        ({}, 1, False, ExitCode.INCOMPLETE),
        ({"done": 2, "failed": 1}, 1, False, ExitCode.PARTIAL),
        ({"done": 1, "failed": 1}, 1, True, ExitCode.INTERRUPTED),
    ],
)
def test_the_exit_code_says_how_it_went(
    counts: dict[str, int], num_incomplete: int, was_interrupted: bool, code: ExitCode
) -> None:
    report = BatchReport(
        Path("out"), num_incomplete=num_incomplete, was_interrupted=was_interrupted
    )
    report.counts.update(counts)
    assert report.exit_code is code

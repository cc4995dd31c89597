"""What a person sees of a batch: a line that changes at a terminal, plain lines elsewhere."""

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress, ProgressColumn

from avscli import console
from avscli.batch.events import (
    BatchEvent,
    BatchReport,
    JobAdvanced,
    JobEnded,
    JobRepeated,
    JobStarted,
    Looked,
    Planned,
    Stopping,
    Ticked,
)
from avscli.batch.jobs import Job, JobResult
from avscli.console import bars, messages
from avscli.console.batch import batch_progress, show_batch

Captured = pytest.CaptureFixture[str]


def job(key: str) -> Job:
    return Job(key, f"in/{key}", "out", 1, 60.0, False, {}, key)


def ended(key: str, result: JobResult) -> JobEnded:
    return JobEnded(0, job(key), result, 60.0)


DONE = JobResult("done", frames=1500, media_seconds=60.0, wall_seconds=30.0, mean_score=0.5)
FAILED = JobResult("failed", message="in/b [1].mp4 is empty (0 bytes)")
EVENTS: list[BatchEvent] = [
    Planned(3, 2, 1, 180.0, 10, None),
    JobStarted(0, job("a.mp4")),
    JobAdvanced(0, 30.0),
    ended("a.mp4", DONE),
    JobStarted(0, job("b [1].mp4")),
    ended("b [1].mp4", FAILED),
    JobStarted(0, job("c.mp4")),
    JobRepeated(0, job("c.mp4"), "its process was ended by SIGKILL"),
    Stopping(1, "interrupted"),
]


def play(*, as_json: bool = False, quiet: bool = False) -> None:
    with batch_progress(as_json=as_json, quiet=quiet) as watch:
        for event in EVENTS:
            watch(event)


def test_failures_are_told_at_once_and_a_table_ends_it(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    play()
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "failed: b [1].mp4: in/b [1].mp4 is empty (0 bytes)",
        "warning: c.mp4 will be done again: its process was ended by SIGKILL",
        "interrupted: finishing 1 in work, beginning no more; Ctrl-C again to drop them",
    ]
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines()]
    assert [row for row in rows if row] == [
        ["b [1].mp4", "failed", "", "", "", "it is empty (0 bytes)"],
        ["a.mp4", "done", "1500", "2.00", "0.50", ""],
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_name_that_cannot_be_written_does_not_cost_the_table(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding, errors="strict"))
    with (
        console.standard_streams(),
        batch_progress(as_json=False, quiet=False) as watch,
    ):
        watch(ended("bad\udcff.mp4", DONE))
    assert b"bad\\udcff.mp4" in written.getvalue()


def test_plain_lines_come_every_ten_seconds(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 5))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    play()
    lines = [line for line in capsys.readouterr().err.splitlines() if "files" in line]
    assert lines
    assert lines[-1].startswith("2/3 files, 1 failed, ")
    assert "× real time" in lines[-1]
    assert lines[-1].endswith(" left")


def test_plain_lines_come_while_workers_say_nothing(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with batch_progress(as_json=True, quiet=False) as watch:
        for now in (9.0, 11.0):
            watch(Looked(int(now) % 9))
        watch(Planned(3, 2, 1, 180.0, 10, None))
        for now in (20.9, 21.0, 21.5, 31.0):  # noqa: B007 – the clock reads it
            watch(Ticked())
    out, err = capsys.readouterr()
    assert err.splitlines() == ["looked at 2 files", "0/3 files", "0/3 files"]
    assert len(out.splitlines()) == 1, "those are no events for programs"


class DrawnAtOnce(Progress):
    """Bars that are drawn when something changes, and not when a clock says so."""

    def __init__(self, *columns: ProgressColumn | str, **options: Any) -> None:
        super().__init__(*columns, auto_refresh=False, **options)

    def update(self, *args: Any, **changes: Any) -> None:
        super().update(*args, **changes)
        self.refresh()


def test_a_terminal_gets_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=100, highlight=False)
    monkeypatch.setattr(messages, "err", terminal)
    monkeypatch.setattr(bars, "Progress", DrawnAtOnce)
    with batch_progress(as_json=True, quiet=False) as watch:
        for event in EVENTS[:3]:
            watch(event)
        text = screen.getvalue()
        watch(EVENTS[3])
        screen.truncate(0)
        watch(Ticked())
        later = screen.getvalue()
    assert "a.mp4" in text
    assert "worker 1" in text
    assert "0/3 files" in text
    assert "1/3 files" in later
    assert "worker 1" in later
    assert "a.mp4" not in later, "that worker has nothing to do"


def test_with_json_every_event_is_a_line(capsys: Captured) -> None:
    play(as_json=True)
    values = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [value["event"] for value in values] == [
        *("planned", "started", "advanced", "ended", "started", "ended", "started"),
        *("repeated", "stopping"),
    ]
    assert values[3]["frames"] == 1500
    assert values[5]["message"] == FAILED.message


def test_quiet_tells_problems_only(capsys: Captured) -> None:
    play(quiet=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 3
    show_batch(BatchReport(Path("out")), as_json=False, quiet=True)
    assert capsys.readouterr() == ("", "")


def test_the_end_says_how_to_go_on(capsys: Captured) -> None:
    report = BatchReport(
        Path("out"), num_up_to_date=2, num_left=4, files=(Path("out/failures.txt"),)
    )
    report.counts.update({"done": 3, "failed": 1})
    show_batch(report, as_json=False, quiet=False)
    assert capsys.readouterr().err.splitlines() == [
        "3 done · 2 up to date · 1 failed · 4 left; the same command carries on → out",
        "again, only what failed: avs batch @out/failures.txt -o out",
    ]
    show_batch(report, as_json=True, quiet=False)
    last = json.loads(capsys.readouterr().out)
    assert (last["event"], last["exit_code"], last["num_left"]) == ("end", 8, 4)

"""What the person at the terminal sees: progress and messages on stderr, results on stdout."""

from __future__ import annotations

import io
import json
import sys
import time
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from avscli.batch.events import JobEnded, JobRepeated, Looked, Stopping, Ticked, event_json
from avscli.batch.tally import InWork, Tally
from avscli.errors import ExitCode, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from avscli import datatypes
    from avscli.batch.events import BatchEvent, BatchReport, Planned, Watch
    from avscli.batch.plan import Plan
    from avscli.demo import DemoReport
    from avscli.errors import AvscliError

PLAIN_LINE_SECONDS = 10.0  # how often progress speaks when stderr is not a terminal
_IDLE = InWork("", length=1.0)

_err = Console(stderr=True, highlight=False, emoji=False)


def error(err: AvscliError) -> None:
    """Say what went wrong in one line, and what to do in another."""
    _err.print(f"[bold red]error:[/] {escape(_one_line(str(err)))}", soft_wrap=True)
    if err.hint:
        _err.print(f"[bold]hint:[/] {escape(_one_line(err.hint))}", soft_wrap=True)


def bug(err: BaseException) -> None:
    """Say that something failed which is not the user's doing."""
    _err.print(
        f"[bold red]internal error:[/] {escape(_one_line(f'{type(err).__name__}: {err}'))}",
        soft_wrap=True,
    )
    _err.print("[bold]hint:[/] run again with: avs --traceback …, and report it", soft_wrap=True)


def warn(message: str) -> None:
    """Say something once that the user should know."""
    _err.print(f"[yellow]warning:[/] {escape(_one_line(message))}", soft_wrap=True)


def note(message: str) -> None:
    """Say how things went."""
    _err.print(escape(message), soft_wrap=True)


def interrupted() -> None:
    """Say that the run was stopped and left nothing half-written."""
    _err.print("interrupted; nothing half-written was left behind", soft_wrap=True)


def result(text: str) -> None:
    """Print a result on stdout, where a pipe can take it."""
    _write(text, sys.stdout)


def _write(text: str, stdout: TextIO) -> None:
    if isinstance(stdout, io.TextIOWrapper):
        # File names are bytes on most systems: give them back as they came.
        stdout.reconfigure(errors="surrogateescape")
    try:
        stdout.write(text + "\n")
        stdout.flush()
    except BrokenPipeError:
        raise  # whoever read it has seen enough; Typer ends quietly
    except OSError as err:
        raise OutputError(f"cannot write to standard output: {err.strerror}") from err


def result_json(values: object) -> None:
    """Print a result as one JSON document on stdout."""
    result(json.dumps(values, indent=2, allow_nan=False))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on stdout."""
    grid = Table(title=title, title_justify="left")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(escape(cell) for cell in row))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names are bytes on most systems
    Console(highlight=False, emoji=False).print(grid)


def show_report(report: datatypes.SegmentationReport, *, as_json: bool, quiet: bool) -> None:
    """Tell how a file went on stderr, and give its folder (or the whole report) on stdout."""
    if not quiet:
        seconds = report.timings_seconds["total"]
        note(
            f"{report.num_frames} frames ({report.num_analysed_frames} analysed) in "
            f"{seconds:.1f} s on {report.device['device']} {report.device['precision']}; "
            f"something sounds in {report.sounding_share:.0%}, "
            f"mean score {report.mean_score:.2f}"
        )
    if as_json:
        result_json(asdict(report))
    else:
        result(report.output)


def show_demo(report: DemoReport) -> None:
    """Tell on stdout how the demo went and where to look."""
    if report.mean_iou is not None:
        result(
            f"mean IoU {report.mean_iou:.3f} over {report.num_sounding_frames} frames "
            "in which something visible sounds"
        )
    if report.empty_share is not None:
        result(
            f"no mask in {report.empty_share:.1%} of {report.num_silent_frames} frames "
            "in which nothing visible sounds"
        )
    if report.exit_code is ExitCode.OK:
        result(f"watch {report.output}/overlay.mp4")


@contextmanager
def progress(title: str, *, quiet: bool) -> Iterator[Callable[[datatypes.Progress], None]]:
    """Show how far a file has come, with the time left and × real time.

    A terminal gets a live bar; anything else gets a plain line every ten seconds.
    """
    if quiet:
        yield _ignore
    elif _err.is_terminal:
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=_err,
            transient=True,
        ) as bar:
            task = bar.add_task(title, total=None, speed="")
            started = time.monotonic()

            def update(state: datatypes.Progress) -> None:
                bar.update(
                    task,
                    completed=state.frames_done,
                    total=state.frames_total,
                    speed=_speed(state, started),
                )

            yield update
    else:
        yield _plain_lines(title)


@contextmanager
def counter(title: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show how many of a known number are done; a plain line every ten seconds off a terminal."""
    if quiet:
        yield lambda _done, _total: None
    elif _err.is_terminal:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=_err,
            transient=True,
        ) as bar:
            task = bar.add_task(title, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
    else:
        spoke = time.monotonic()

        def tell(done: int, total: int) -> None:
            nonlocal spoke
            if time.monotonic() - spoke >= PLAIN_LINE_SECONDS:
                spoke = time.monotonic()
                note(f"{title}: {done}/{total}")

        yield tell


@contextmanager
def batch_progress(*, as_json: bool, quiet: bool) -> Iterator[Watch]:
    """Show how far a batch has come, and at its end what became of the files.

    A terminal gets a bar for all and one per worker; anything else a plain line every ten seconds.
    """
    tally, stdout = Tally(), sys.stdout
    # Ray prints what it thinks of dead workers: not among the results.
    with _batch_bars(tally, quiet=quiet) as draw, redirect_stdout(sys.stderr):

        def watch(event: BatchEvent | Looked | Ticked) -> None:
            if not isinstance(event, Ticked):
                tally.count(event)
            if not isinstance(event, Looked | Ticked):
                if as_json:
                    _write(json.dumps(event_json(event), allow_nan=False), stdout)
                _tell_of(event)
            draw()

        yield watch
    if tally.num_ended and not as_json and not quiet:
        _show_files(tally)


def show_plan(plan: Plan, sums: Planned, *, as_json: bool) -> None:
    """Say on stdout what a batch would do with each file, and why."""
    if as_json:
        for job, why in plan.jobs:
            result(json.dumps({"event": "would_run", "file": job.key, "why": why}))
        for key in plan.up_to_date:
            result(json.dumps({"event": "up_to_date", "file": key}))
        for job, _result in plan.adopted:
            result(json.dumps({"event": "finished", "file": job.key}))
        result(json.dumps(event_json(sums)))
        return
    for job, why in plan.jobs:
        result(f"run   {_one_line(job.key)}  ({why})")
    for key in plan.up_to_date:
        result(f"skip  {_one_line(key)}  (up to date)")
    for job, _result in plan.adopted:
        result(f"skip  {_one_line(job.key)}  (finished, but not noted)")
    seconds = "unknown" if sums.wall_seconds is None else f"about {_duration(sums.wall_seconds)}"
    note(
        f"{sums.num_jobs} to run, {sums.num_up_to_date} up to date; "
        f"{_duration(sums.media_seconds)} of video, time {seconds}, "
        f"disk about {sums.num_bytes / 1e6:.0f} MB"
    )


def show_batch(report: BatchReport, *, as_json: bool, quiet: bool) -> None:
    """Tell how a batch went in one line on stderr, and as the last event on stdout with JSON."""
    if as_json:
        result(json.dumps(report.to_json()))
    if quiet and not report.num_failed and not report.num_incomplete:
        return
    parts = [
        f"{report.num_finished} done",
        f"{report.num_up_to_date} up to date",
        f"{report.num_failed} failed",
    ]
    if report.num_incomplete:
        parts.append(f"{report.num_incomplete} without an output that could not be made")
    if report.num_left:
        parts.append(f"{report.num_left} left; the same command carries on")
    note(" · ".join(parts) + f" → {report.output}")
    failures = next((path for path in report.files if path.name.startswith("failures")), None)
    if failures is not None:
        note(f"again, only what failed: avs batch @{failures} -o {report.output}")


def _tell_of(event: BatchEvent) -> None:
    """Say at once what a person may want to act on."""
    match event:
        case JobEnded(_, job, outcome, _) if not outcome.is_finished:
            _err.print(
                f"[red]{outcome.status}:[/] {escape(_one_line(f'{job.key}: {outcome.note}'))}",
                soft_wrap=True,
            )
        case JobEnded(_, job, outcome, _) if outcome.failed_outputs:
            warn(f"{job.key}: {outcome.note}; the rest is whole")
        case JobRepeated(_, job, why):
            warn(f"{job.key} will be done again: {why}")
        case Stopping(num_in_work, why):
            again = "; Ctrl-C again to drop them" if num_in_work else ""
            note(f"{why}: finishing {num_in_work} in work, beginning no more{again}")


@contextmanager
def _batch_bars(tally: Tally, *, quiet: bool) -> Iterator[Callable[[], None]]:
    if quiet:
        yield lambda: None
        return
    if not _err.is_terminal:
        yield _plain_batch_lines(tally)
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        console=_err,
        transient=True,
    ) as bars:
        overall = bars.add_task("all", total=None, state="")
        workers: dict[int, TaskID] = {}

        def draw() -> None:
            bars.update(
                overall, completed=tally.media_done, total=tally.media_total, state=_state(tally)
            )
            for worker in sorted(tally.in_work.keys() - workers.keys()):
                workers[worker] = bars.add_task("", total=None, state=f"worker {worker + 1}")
            for worker, task in workers.items():
                work = tally.in_work.get(worker, _IDLE)
                bars.update(
                    task,
                    description=_one_line(work.key),
                    completed=work.media_seconds,
                    total=work.length or None,
                )

        yield draw


def _plain_batch_lines(tally: Tally) -> Callable[[], None]:
    spoke = time.monotonic()

    def draw() -> None:
        nonlocal spoke
        if time.monotonic() - spoke >= PLAIN_LINE_SECONDS:
            spoke = time.monotonic()
            note(_state(tally))

    return draw


def _state(tally: Tally) -> str:
    if not tally.num_files:
        return f"looked at {tally.num_looked} files"
    parts = [f"{tally.num_ended}/{tally.num_files} files"]
    if tally.num_failed:
        parts.append(f"{tally.num_failed} failed")
    if tally.times_real_time is not None and tally.seconds_left is not None:
        parts.append(f"{tally.times_real_time:.2f}× real time")
        parts.append(f"{_duration(tally.seconds_left)} left")
    return ", ".join(parts)


def _show_files(tally: Tally) -> None:
    rows = [
        (
            _one_line(ended.job.key),
            ended.result.status,
            str(ended.result.frames or ""),
            "" if ended.result.speed is None else f"{ended.result.speed:.2f}",
            "" if ended.result.mean_score is None else f"{ended.result.mean_score:.2f}",
            _one_line(ended.result.note.replace(ended.job.source, "it")),
        )
        for ended in tally.rows
    ]
    more = tally.num_ended - len(rows)
    title = f"{len(rows)} of {tally.num_ended} files; summary.csv has all" if more else ""
    table(title, ("file", "status", "frames", "× real time", "mean score", "note"), rows)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def counting(
    title: str, *, quiet: bool, total: int | None = None
) -> Iterator[Callable[[int], None]]:
    """Show how many of some items are done.

    A terminal gets a live bar; anything else gets a plain line every ten seconds.
    """
    if quiet:
        yield lambda _done: None
    elif _err.is_terminal:
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=_err,
            transient=True,
        ) as bar:
            task = bar.add_task(title, total=total)
            yield lambda done: bar.update(task, completed=done)
    else:
        spoke = time.monotonic()

        def tell(done: int) -> None:
            nonlocal spoke
            if time.monotonic() - spoke >= PLAIN_LINE_SECONDS:
                spoke = time.monotonic()
                note(f"{title}: {done}{'' if total is None else f'/{total}'} done")

        yield tell


def _plain_lines(title: str) -> Callable[[datatypes.Progress], None]:
    started = spoke = time.monotonic()

    def update(state: datatypes.Progress) -> None:
        nonlocal spoke
        if time.monotonic() - spoke >= PLAIN_LINE_SECONDS:
            spoke = time.monotonic()
            total = "" if state.frames_total is None else f"/{state.frames_total}"
            note(f"{title}: {state.frames_done}{total} frames, {_speed(state, started)}")

    return update


def _speed(state: datatypes.Progress, started: float) -> str:
    elapsed = time.monotonic() - started
    return f"{state.media_seconds_done / elapsed:.2f}× real time" if elapsed > 0 else ""


def _ignore(_state: datatypes.Progress) -> None:
    return


def _one_line(text: str) -> str:
    return " ".join(text.split())

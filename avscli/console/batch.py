"""What a person sees of a batch: bars while it runs, a table at its end; with JSON, events."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn

from avscli.batch.events import JobEnded, JobRepeated, Looked, Stopping, Ticked, event_json
from avscli.batch.names import write_name
from avscli.batch.tally import InWork, Tally
from avscli.console import messages
from avscli.console.bars import Pace, live_bars
from avscli.console.messages import note, one_line, result, table, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from avscli.batch.events import BatchEvent, BatchReport, Planned, Watch
    from avscli.batch.plan import Plan

_IDLE = InWork("", length=1.0)


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
                    result(json.dumps(event_json(event), allow_nan=False), stdout)
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
        result(f"run   {write_name(job.key)}  ({why})")
    for key in plan.up_to_date:
        result(f"skip  {write_name(key)}  (up to date)")
    for job, _result in plan.adopted:
        result(f"skip  {write_name(job.key)}  (finished, but not noted)")
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
        again = shlex.join(["avs", "batch", f"@{failures}", "-o", str(report.output)])
        note(f"again, only what failed: {again}")


def _tell_of(event: BatchEvent) -> None:
    """Say at once what a person may want to act on."""
    match event:
        case JobEnded(_, job, outcome, _) if not outcome.is_finished:
            text = escape(one_line(f"{write_name(job.key)}: {outcome.note}"))
            messages.err.print(f"[red]{outcome.status}:[/] {text}", soft_wrap=True)
        case JobEnded(_, job, outcome, _) if outcome.failed_outputs:
            warn(f"{write_name(job.key)}: {outcome.note}; the rest is whole")
        case JobRepeated(_, job, why):
            warn(f"{write_name(job.key)} will be done again: {why}")
        case Stopping(num_in_work, why):
            again = "; Ctrl-C again to drop them" if num_in_work else ""
            note(f"{why}: finishing {num_in_work} in work, beginning no more{again}")


@contextmanager
def _batch_bars(tally: Tally, *, quiet: bool) -> Iterator[Callable[[], None]]:
    if quiet:
        yield lambda: None
    elif messages.err.is_terminal:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[state]}", markup=False),
        )
        with live_bars(*columns) as bars:
            overall = bars.add_task("all", total=None, state="")
            workers: dict[int, TaskID] = {}

            def draw() -> None:
                done, total = tally.media_done, tally.media_total
                bars.update(overall, completed=done, total=total, state=_state(tally))
                for worker in sorted(tally.in_work.keys() - workers.keys()):
                    workers[worker] = bars.add_task("", total=None, state=f"worker {worker + 1}")
                for worker, task in workers.items():
                    work = tally.in_work.get(worker, _IDLE)
                    name, length = one_line(work.key), work.length or None
                    bars.update(task, description=name, completed=work.media_seconds, total=length)

            yield draw
    else:
        pace = Pace()
        yield lambda: note(_state(tally)) if pace.is_due() else None


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
            write_name(ended.job.key),
            ended.result.status,
            str(ended.result.frames or ""),
            "" if ended.result.speed is None else f"{ended.result.speed:.2f}",
            "" if ended.result.mean_score is None else f"{ended.result.mean_score:.2f}",
            one_line(ended.result.note.replace(ended.job.source, "it")),
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

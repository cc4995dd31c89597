"""What the person at the terminal sees: progress and messages on stderr, results on stdout."""

from __future__ import annotations

import io
import json
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from avscli.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from avscli import datatypes
    from avscli.demo import DemoReport
    from avscli.errors import AvscliError

PLAIN_LINE_SECONDS = 10.0  # how often progress speaks when stderr is not a terminal

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
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names are bytes on most systems: give them back as they came.
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
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

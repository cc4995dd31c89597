"""How far something has come: a live bar at a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from avscli.console import messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from avscli import results

PLAIN_LINE_SECONDS = 10.0  # how often progress speaks when stderr is not a terminal


class Count(Protocol):
    """What is told how many are done, of how many, with a word on how it goes."""

    def __call__(self, done: int, total: int | None = None, how: str = "", /) -> None:
        """Show it, or say it when it is time to."""
        ...


class Pace:
    """Says when the next plain line is due."""

    def __init__(self) -> None:
        self._spoke = time.monotonic()

    def is_due(self) -> bool:
        """Return whether ten seconds have passed since this was true, or since the start."""
        if time.monotonic() - self._spoke < PLAIN_LINE_SECONDS:
            return False
        self._spoke = time.monotonic()
        return True


@contextmanager
def live_bars(*columns: ProgressColumn | str) -> Iterator[Progress]:
    """Draw bars on stderr for the length of the ``with`` block; they leave no trace."""
    with Progress(*columns, console=messages.err, transient=True) as bars:
        yield bars


@contextmanager
def counting(
    title: str, *, quiet: bool, total: int | None = None, unit: str = "done"
) -> Iterator[Count]:
    """Show how many of some items are done, and the time left where their number is known.

    A terminal gets a live bar; anything else gets a plain line every ten seconds.

    Args:
        title: what is being done.
        quiet: show nothing.
        total: how many there are, unless the `Count` is told later.
        unit: what is counted, for plain lines.
    """
    if quiet:
        yield lambda _done, _total=None, _how="", /: None
    elif messages.err.is_terminal:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[how]}"),
            TimeRemainingColumn(),
        )
        with live_bars(*columns) as bars:
            task = bars.add_task(messages.one_line(title), total=total, how="")
            yield lambda done, of=None, how="", /: bars.update(
                task, completed=done, total=of, how=how
            )
    else:
        yield _plain_lines(title, total, unit)


def _plain_lines(title: str, total: int | None, unit: str) -> Count:
    pace = Pace()

    def say(done: int, of: int | None = None, how: str = "", /) -> None:
        if pace.is_due():
            number = total if of is None else of
            share = f"{done}" if number is None else f"{done}/{number}"
            messages.note(f"{title}: {share} {unit}" + (f", {how}" if how else ""))

    return say


@contextmanager
def progress(title: str, *, quiet: bool) -> Iterator[Callable[[results.Progress], None]]:
    """Show how far a file has come, with the time left and × real time."""
    started = time.monotonic()
    with counting(title, quiet=quiet, unit="frames") as count:

        def update(state: results.Progress) -> None:
            elapsed = time.monotonic() - started
            how = f"{state.media_seconds_done / elapsed:.2f}× real time" if elapsed > 0 else ""
            if state.hashed_share is not None:
                how = f"hashing the source: {state.hashed_share:.0%}"
            count(state.frames_done, state.frames_total, how)

        yield update

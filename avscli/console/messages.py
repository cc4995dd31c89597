"""Single lines on stderr, results on stdout."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from avscli.errors import AvscliError

err = Console(stderr=True, highlight=False, emoji=False)
_BREAKS = re.compile(r"\s*[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]\s*")
_LONGEST = 1500  # letters of a line; more than any sensible path has


def error(err_: AvscliError) -> None:
    """Say what went wrong in one line, and what to do in another."""
    _say("[bold red]error:[/]", one_line(str(err_)))
    if err_.hint:
        _say("[bold]hint:[/]", one_line(err_.hint))


def bug(err_: BaseException) -> None:
    """Say that something failed which is not the user's doing."""
    _say("[bold red]internal error:[/]", one_line(f"{type(err_).__name__}: {err_}"))
    _say("[bold]hint:[/]", "run it again as avs --traceback ..., and report it")


def warn(message: str) -> None:
    """Say something once that the user should know."""
    _say("[yellow]warning:[/]", one_line(message))


def note(message: str) -> None:
    """Say how things went."""
    err.print(escape(one_line(message)), soft_wrap=True)


def interrupted() -> None:
    """Say that the run was stopped and left nothing half-written."""
    note("interrupted; nothing half-written was left behind")


def result(text: str, stdout: TextIO | None = None) -> None:
    """Print a result on stdout, where a pipe can take it at once.

    Args:
        text: without the line feed at its end.
        stdout: the stream to take for stdout, while that is pointed elsewhere.

    Raises:
        OutputError: it cannot be written (inside `standard_streams`).
    """
    stream = sys.stdout if stdout is None else stdout
    stream.write(text + "\n")
    stream.flush()


def result_json(values: object) -> None:
    """Print a result as one JSON document on stdout."""
    result(json.dumps(values, indent=2, allow_nan=False))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on stdout.

    Raises:
        OutputError: it cannot be written (inside `standard_streams`).
    """
    grid = Table(title=title, title_justify="left")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(escape(cell) for cell in row))
    Console(highlight=False, emoji=False).print(grid)
    sys.stdout.flush()


def one_line(text: str) -> str:
    r"""Return text as one line in which nothing steers a terminal: names may hold anything.

    >>> one_line("it broke\n  badly"), one_line("a\x1b[2J.mp4")
    ('it broke badly', 'a\\x1b[2J.mp4')
    """
    line = "".join(map(_visible, _BREAKS.sub(" ", text.strip()))).strip()
    # What is quoted comes from files: a damaged one can hold a "name" of a hundred kilobytes.
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 500]} … {line[-400:]}"


def _visible(letter: str) -> str:
    is_hidden = unicodedata.category(letter) in ("Cc", "Cs")  # controls, halves of characters
    return letter.encode("unicode_escape").decode() if is_hidden else letter


def _say(kind: str, text: str) -> None:
    err.print(f"{kind} {escape(text)}", soft_wrap=True)

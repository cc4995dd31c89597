"""index.html: the runs below a folder, the least certain first, each with a link to its page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from avscli import __version__
from avscli.errors import DataError
from avscli.outputs.disk import write_atomically
from avscli.outputs.run import Run
from avscli.review.page import (
    PAGE_NAME,
    environment,
    policy,
    printable,
    require_ours,
    static_text,
    write_page,
)
from avscli.review.playback import relative_address
from avscli.review.thumbnail import thumbnail

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

INDEX_NAME = "index.html"


@dataclass(frozen=True, slots=True)
class IndexedRun:
    """A row of the table.

    Attributes:
        name: of the run, its place below the folder.
        address: of its page, relative to the index; empty without one.
        problem: why it has none.
        picture: a small JPEG.
        seconds: how much of the video was segmented.
        sounding: what sounds for how long, in words.
        num_objects, num_moments: how many it has.
        mean_score: 0 … 1, over its frames.
        doubt: 0 … 1, of the moment that is the least certain.
        page_bytes: size of its page.
    """

    name: str
    address: str = ""
    problem: str = ""
    picture: bytes = b""
    seconds: float = 0.0
    sounding: str = ""
    num_objects: int = 0
    num_moments: int = 0
    mean_score: float = 0.0
    doubt: float = 0.0
    page_bytes: int = 0


@dataclass(frozen=True, slots=True)
class MadeIndex:
    """An index that was written.

    Attributes:
        page: the file.
        runs: in its order.
    """

    page: Path
    runs: tuple[IndexedRun, ...]

    @property
    def num_failed(self) -> int:
        """How many runs have no page."""
        return sum(bool(each.problem) for each in self.runs)


def write_index(
    folder: Path,
    runs: Sequence[Path],
    page: Path,
    on_warning: Callable[[str], None],
    on_run: Callable[[int], None],
    *,
    embed: bool,
) -> MadeIndex:
    """Write the pages of runs, and a page with a table of them.

    A run that cannot be read is a row that says so; the others go on.

    Args:
        folder: above the runs.
        runs: their folders.
        page: of the table; one that this program has not written is not replaced.
        on_warning: told in one line what pages lack.
        on_run: told how many runs are done.
        embed: put copies of the videos into the pages.

    Raises:
        OutputError: a page exists and is of others, or cannot be written.
    """
    require_ours(page)
    rows = []
    for number, run in enumerate(runs, start=1):
        rows.append(_indexed(run, run.relative_to(folder), page, on_warning, embed=embed))
        on_run(number)
    rows.sort(key=lambda row: (not row.problem, -row.doubt, -row.num_moments, row.name))
    write_atomically(page, _rendered(folder, rows))
    return MadeIndex(page, tuple(rows))


def _indexed(
    folder: Path,
    place: Path,
    index: Path,
    on_warning: Callable[[str], None],
    *,
    embed: bool,
) -> IndexedRun:
    name = printable(place.as_posix())
    try:
        run = Run.open(folder)
        made = write_page(run, folder / PAGE_NAME, on_warning, lambda _read: None, embed=embed)
    except DataError as err:
        on_warning(f"{folder} has no page: {err}")
        return IndexedRun(name, problem=printable(str(err)), doubt=1.0)
    moments = made.data.moments
    return IndexedRun(
        name=name,
        address=relative_address(made.page, index),
        picture=thumbnail(run, made.data.first_shown, has_video=made.media is not None),
        seconds=made.data.end_seconds - made.data.start_seconds,
        sounding=run.record.sounding,
        num_objects=len(made.data.objects),
        num_moments=len(moments),
        mean_score=run.record.mean_score,
        doubt=moments[0].doubt if moments else 0.0,
        page_bytes=made.page.stat().st_size,
    )


def _rendered(folder: Path, rows: Sequence[IndexedRun]) -> str:
    pages = environment()
    pages.filters["base64"] = lambda data: base64.b64encode(data).decode()
    pages.filters["clock"] = _clock
    script, style = static_text("index.js"), static_text("index.css")
    return pages.get_template("index.html").render(
        version=__version__,
        title=printable(folder.resolve().name),
        policy=policy(script, style),
        style=style,
        script=script,
        rows=rows,
        seconds=sum(row.seconds for row in rows),
        megabytes=sum(row.page_bytes for row in rows) / 1e6,
    )


def _clock(seconds: float) -> str:
    """Return hours, minutes and seconds.

    >>> _clock(3723.4)
    '1:02:03'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

"""``avs review``: the pages of one run, or of all runs below a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.errors import DataError
from avscli.outputs.journal import JOURNAL_NAME
from avscli.outputs.run import Run
from avscli.outputs.run_record import RUN_RECORD_NAME
from avscli.review.page import PAGE_NAME, write_page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write_review(
    folder: Path,
    output: Path | None,
    on_warning: Callable[[str], None],
    on_progress: Callable[[int], None],
    *,
    embed: bool = False,
) -> Path:
    """Write the page of a run and return it.

    Args:
        folder: of the run.
        output: the page; None puts it into the folder.
        on_warning: told in one line what a page lacks.
        on_progress: told how many frames were read.
        embed: put a copy of the video into the page.

    Raises:
        DataError: the folder is not that of a run, or the run is damaged or of a newer version.
        OutputError: the page exists and is of others, or cannot be written.
    """
    if not (folder / JOURNAL_NAME).is_file():
        raise DataError(
            f"{folder} has no finished run in it ({JOURNAL_NAME}, {RUN_RECORD_NAME})",
            hint="give a folder that avs segment has written",
        )
    page = output or folder / PAGE_NAME
    return write_page(Run.open(folder), page, on_warning, on_progress, embed=embed).page

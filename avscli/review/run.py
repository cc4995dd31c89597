"""``avs review``: the page of one run, or the pages of all runs below a folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from avscli.errors import DataError, ExitCode
from avscli.outputs.journal import JOURNAL_NAME
from avscli.outputs.run import Run, run_folders
from avscli.outputs.run_record import RUN_RECORD_NAME
from avscli.review.index import INDEX_NAME, write_index
from avscli.review.page import PAGE_NAME, write_page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class MadeReview:
    """What was written.

    Attributes:
        page: to be opened.
        exit_code: ``PARTIAL`` when some runs have no page.
    """

    page: Path
    exit_code: ExitCode = ExitCode.OK


def write_review(
    folder: Path,
    output: Path | None,
    on_warning: Callable[[str], None],
    on_progress: Callable[[int, int], None],
    *,
    embed: bool = False,
) -> MadeReview:
    """Write the page of a run, or those of all runs below a folder and an index of them.

    Args:
        folder: of the run, or with runs at any depth, as `avs batch` leaves them.
        output: the page, or the index; None puts it into the folder. The pages of an index always
            lie in their runs.
        on_warning: told in one line what a page lacks.
        on_progress: told how many are done of how many: frames of a run, or runs.
        embed: put a copy of the video into each page.

    Raises:
        DataError: the folder has no run, or the run is damaged or of a newer version.
        OutputError: a page exists and is of others, or cannot be written.
    """
    runs = run_folders(folder) if folder.is_dir() else []
    if not runs:
        raise DataError(
            f"{folder} has no finished run in it ({JOURNAL_NAME}, {RUN_RECORD_NAME})",
            hint="give a folder that avs segment or avs batch has written",
        )
    if runs == [folder]:
        run = Run.open(folder)
        page, total = output or folder / PAGE_NAME, run.record.num_frames
        write_page(run, page, on_warning, lambda read: on_progress(read, total), embed=embed)
        return MadeReview(page)
    made = write_index(
        folder,
        runs,
        output or folder / INDEX_NAME,
        on_warning,
        lambda done: on_progress(done, len(runs)),
        embed=embed,
    )
    return MadeReview(made.page, ExitCode.PARTIAL if made.num_failed else ExitCode.OK)

"""``avs review``: a page to look, listen and correct on, and the run that comes of corrections."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avscli import console
from avscli.commands import _options as shared
from avscli.errors import UsageError

if TYPE_CHECKING:
    from avscli.review.run import MadeReview


def review(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|BATCH", help="A run folder, or a batch folder.", show_default=False
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The page, or with --apply the folder.",
            show_default="RUN/review.html, BATCH/index.html, RUN-reviewed",
        ),
    ] = None,
    embed: Annotated[
        bool,
        typer.Option("--embed", help="Put a small copy of the video inside.", show_default="off"),
    ] = False,
    opens: Annotated[
        bool, typer.Option("--open", help="Open the page in a browser.", show_default="off")
    ] = False,
    apply: Annotated[
        Path | None,
        typer.Option(
            "--apply",
            metavar="REVIEW.JSON",
            help="Make a corrected run beside RUN of these decisions.",
            show_default=False,
        ),
    ] = None,
    overlay: Annotated[
        bool,
        typer.Option("--overlay", help="--apply: also its overlay.mp4.", show_default="off"),
    ] = False,
    overwrite: shared.OverwriteOption = False,
    quiet: shared.QuietOption = False,
) -> None:
    """Look, listen and correct, on a page that needs no server and no network.

    avs review avs_out/clip.mp4 --open: what is corrected there is downloaded as review.json.
    avs review avs_out/clip.mp4 --apply review.json: writes avs_out/clip.mp4-reviewed, whole or not
    at all; the run itself stays as it is.
    """
    if apply is not None:
        _refuse("--apply", {"--embed": embed, "--open": opens})
        _apply(apply, run, output, overlay=overlay, overwrite=overwrite, quiet=quiet)
        return
    _refuse("a page", {"--overlay": overlay, "--overwrite": overwrite})
    made = _write_pages(run, output, embed=embed, quiet=quiet)
    if opens:
        webbrowser.open(made.page.resolve().as_uri())
    raise typer.Exit(made.exit_code)


def _refuse(what: str, options: dict[str, bool]) -> None:
    for name, is_given in options.items():
        if is_given:
            raise UsageError(f"{name} has no meaning for {what}", hint=f"leave {name} out")


def _write_pages(run: Path, output: Path | None, *, embed: bool, quiet: bool) -> MadeReview:
    from avscli.review.run import write_review

    with console.counting(f"review of {run.name}", quiet=quiet) as on_progress:
        made = write_review(run, output, console.warn, on_progress, embed=embed)
    console.result(str(made.page))
    return made


def _apply(
    decisions: Path,
    run: Path,
    output: Path | None,
    *,
    overlay: bool,
    overwrite: bool,
    quiet: bool,
) -> None:
    from avscli.review.apply import ApplyOptions, apply_review

    with console.counting(f"review of {run.name}", quiet=quiet, unit="frames") as on_progress:
        report = apply_review(
            decisions, run, output, ApplyOptions(overlay, overwrite), console.warn, on_progress
        )
    if not quiet and report.sounding:
        console.note(report.sounding)
    console.result(report.output)
    raise typer.Exit(report.exit_code)

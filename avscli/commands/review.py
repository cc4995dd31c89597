"""``avs review``: what a person decided about a run, made into a corrected run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avscli import console
from avscli.commands import _options as shared
from avscli.errors import UsageError


def review(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)],
    *,
    apply: Annotated[
        Path | None,
        typer.Option(
            "--apply",
            metavar="REVIEW.JSON",
            help="Make a corrected run beside RUN of these decisions.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The folder of the corrected run.", show_default="RUN-reviewed"
        ),
    ] = None,
    overlay: Annotated[
        bool,
        typer.Option("--overlay", help="--apply: also its overlay.mp4.", show_default="off"),
    ] = False,
    overwrite: shared.OverwriteOption = False,
    quiet: shared.QuietOption = False,
) -> None:
    """Correct a run by what a person decided about it.

    avs review avs_out/clip.mp4 --apply review.json: writes avs_out/clip.mp4-reviewed, whole or not
    at all; the run itself stays as it is.
    """
    if apply is None:
        raise UsageError("nothing to do: give the decisions with --apply review.json")
    _apply(apply, run, output, overlay=overlay, overwrite=overwrite, quiet=quiet)


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

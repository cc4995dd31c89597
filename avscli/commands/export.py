"""``avs export``: finished runs in the formats of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avscli import console
from avscli.commands import _options as shared
from avscli.commands._takes import takes
from avscli.config import ExportOptions, MatteKind, Split
from avscli.errors import UsageError
from avscli.exports.formats import FORMATS


def export_options(
    *,
    overwrite: shared.OverwriteOption = False,
    corrected: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Corrected masks of these runs: COCO, CVAT (.xml) or Label Studio (.json).",
            show_default="the runs' own",
        ),
    ] = None,
    split: Annotated[
        Split | None,
        typer.Option(help="avsbench: split of all clips.", show_default="every fifth is val"),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="cvat-tracks: IoU with the last keyframe that needs no new one.")
    ] = 1.0,
    video: Annotated[
        MatteKind,
        typer.Option(help="matte: alpha in VP9 or ProRes 4444, or white on black (ProRes 422)."),
    ] = "vp9",
    track: Annotated[
        int | None, typer.Option(help="matte: only this track.", show_default="all")
    ] = None,
    invert: Annotated[
        bool, typer.Option("--invert", help="matte: what does not sound.", show_default="off")
    ] = False,
    feather: Annotated[float, typer.Option(help="matte: width of a soft edge in pixels.")] = 0.0,
) -> ExportOptions:
    """Build what the formats can be told."""
    return ExportOptions(overwrite, corrected, split, tolerance, video, track, invert, feather)


@takes(options=export_options)
def export(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN…", help="Run folders, or batch folders.", show_default=False),
    ] = None,
    *,
    to: Annotated[
        str | None, typer.Option("--to", help="A format of --list.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The folder to make.", show_default=False),
    ] = None,
    options: ExportOptions,
    lists: Annotated[
        bool, typer.Option("--list", help="List the formats.", show_default="off")
    ] = False,
    quiet: shared.QuietOption = False,
) -> None:
    """Write the masks of finished runs for other tools.

    avs export avs_out/clip.mp4 --to davis -o davis: writes the folder, whole or not at all, and
    says in one line what the format could not take.
    """
    if lists:
        console.table("avs export --to", ("format", "what"), [*_rows()])
        return
    if not runs or to is None or output is None:
        raise UsageError(
            "nothing to export: give run folders, --to and -o",
            hint="avs export avs_out/clip.mp4 --to davis -o davis; --list names the formats",
        )
    from avscli.exports.run import export as export_runs

    with console.counting(f"export to {to}", quiet=quiet, unit="frames read") as on_progress:
        made = export_runs(runs, to, output, options, console.warn, on_progress)
    console.result(str(made))


def _rows() -> list[tuple[str, str]]:
    return [(name, known.help) for name, known in FORMATS.items()]

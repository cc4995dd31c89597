"""``avs demo``: see it work, on a clip made here."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from avscli import console
from avscli.commands import _options as shared
from avscli.config import DEFAULT_WEIGHTS, SegmentOptions


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the clip and its results.")
    ] = Path("avs_demo"),
    seconds: Annotated[float, typer.Option(min=1.0, max=600.0, help="Length of the clip.")] = 12.0,
    weights: shared.WeightsOption = DEFAULT_WEIGHTS,
    device: shared.DeviceOption = "auto",
    precision: shared.PrecisionOption = "auto",
    overwrite: shared.OverwriteOption = False,
    as_json: shared.JsonOption = False,
    quiet: shared.QuietOption = False,
) -> None:
    """Generate a clip with known sounding objects, segment it, and score the masks."""
    from avscli.demo import run_demo
    from avscli.pipeline import open_runtime

    options = SegmentOptions(device=device, precision=precision, overwrite=overwrite)
    runtime = open_runtime(weights, options, console.warn)
    with console.progress("demo", quiet=quiet) as on_progress:
        report = run_demo(output, runtime, options, on_progress, seconds=seconds)
    if as_json:
        console.result_json(asdict(report))
    else:
        console.show_demo(report)
    raise typer.Exit(report.exit_code)

"""``avs segment``: one video to masks, overlay and confidence report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avscli import console
from avscli.commands import _options as shared
from avscli.commands._takes import takes
from avscli.config import DEFAULT_WEIGHTS, SegmentOptions


@takes(options=shared.segment_options)
def segment(
    source: Annotated[Path, typer.Argument(help="The video file.", show_default=False)],
    output: shared.OutputOption = Path("avs_out"),
    weights: shared.WeightsOption = DEFAULT_WEIGHTS,
    *,
    options: SegmentOptions,
    as_json: shared.JsonOption = False,
    quiet: shared.QuietOption = False,
) -> None:
    """Mark what makes the sound in a video, frame by frame.

    Writes OUTPUT/<name.ext>/ with frames.jsonl, masks.coco.json, overlay.mp4, confidence.csv,
    objects.csv, events.vtt and run.json. Exits with 0 when all is done, with 11 when one of
    them beside the masks could not be made.
    """
    from avscli.media.containers import require_regular_file

    require_regular_file(source)  # a slip in the path is told before torch loads
    from avscli.pipeline import open_runtime, segment_file

    runtime = open_runtime(weights, options, console.warn)
    with console.progress(source.name, quiet=quiet) as on_progress:
        report = segment_file(source, output, runtime, options, on_progress)
    console.show_report(report, as_json=as_json, quiet=quiet)
    raise typer.Exit(report.exit_code)

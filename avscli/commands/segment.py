"""``avs segment``: one video to masks, overlay and confidence report."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avscli import console
from avscli.commands import _options as shared
from avscli.commands._takes import takes
from avscli.config import DEFAULT_WEIGHTS, SegmentOptions

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    with _uncollected():
        from avscli.pipeline import open_runtime, segment_file

        runtime = open_runtime(weights, options, console.warn)
    with console.progress(source.name, quiet=quiet) as on_progress:
        report = segment_file(source, output, runtime, options, on_progress)
    console.show_report(report, as_json=as_json, quiet=quiet)
    raise typer.Exit(report.exit_code)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Leave Python's search for garbage until what starts has started.

    Looking through what importing PyTorch makes, half a million objects that all stay, is an eighth
    of the CPU time to the first frame.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

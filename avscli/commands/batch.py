"""``avs batch``: many videos, nothing lost, nothing twice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avscli import console
from avscli.commands import _options as shared
from avscli.config import (
    DEFAULT_WEIGHTS,
    BatchOptions,
    Engine,
    Hashing,
    ReadOptions,
    ResumePolicy,
    SegmentOptions,
)


def batch(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, 'patterns', @list.txt, or - for names on standard input.",
            show_default=False,
        ),
    ],
    output: shared.OutputOption = Path("avs_out"),
    weights: shared.WeightsOption = DEFAULT_WEIGHTS,
    device: shared.DeviceOption = "auto",
    precision: shared.PrecisionOption = "auto",
    batch_clips: shared.BatchClipsOption = None,
    fps: shared.FpsOption = "native",  # type: ignore[assignment]
    start: shared.TimeOption = None,
    end: shared.TimeOption = None,
    threshold: shared.ThresholdOption = None,
    region_threshold: shared.RegionThresholdOption = None,
    min_area: shared.MinAreaOption = 0.0,
    audio_track: shared.AudioTrackOption = 0,
    no_audio: shared.NoAudioOption = "error",
    write: shared.WriteOption = shared.ALL_ARTIFACTS,
    overwrite: shared.OverwriteOption = False,
    extensions: Annotated[
        str,
        typer.Option(
            "--ext",
            metavar="LIST",
            help="Take only these from folders: mp4,mkv …",
            show_default="every video",
        ),
    ] = "",
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Leave such names or paths out of folders; may be repeated.",
            show_default="none",
        ),
    ] = None,
    resume: Annotated[
        ResumePolicy,
        typer.Option(
            help="Skip results that are up to date (auto), all finished ones (force), none (off)."
        ),
    ] = "auto",
    hashing: Annotated[
        Hashing,
        typer.Option(
            "--hash", help="Know a file by size, time and both ends (quick), or by every byte."
        ),
    ] = "quick",
    workers: Annotated[
        int | None,
        typer.Option(
            help="Files at once.", show_default="one per device; Ray: per GPU, else per CPU"
        ),
    ] = None,
    devices: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Share the files out among these devices: 0,1 or cpu.",
            show_default="that of --device",
        ),
    ] = "",
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Do only part I of N; parts may run anywhere.")
    ] = "1/1",
    engine: Annotated[
        Engine, typer.Option(help="Processes on this machine, or a Ray cluster.")
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="Address of a running cluster.", show_default="one is started on this machine"
        ),
    ] = None,
    retries: Annotated[
        int, typer.Option(help="Try again after failures that can pass (device memory, I/O).")
    ] = 0,
    timeout: Annotated[
        float | None,
        typer.Option(
            parser=shared.parse_time,
            metavar="TIME",
            help="Give up a file after this.",
            show_default="never",
        ),
    ] = None,
    fail_fast: Annotated[
        bool,
        typer.Option(
            "--fail-fast", help="Begin no more files once one has failed.", show_default="off"
        ),
    ] = False,
    combine: Annotated[
        bool,
        typer.Option(
            "--combine", help="Also write one COCO file of all results.", show_default="off"
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what would be done, and why.", show_default="off"),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print events as JSON on stdout, one per line.", show_default="off"
        ),
    ] = False,
    quiet: shared.QuietOption = False,
) -> None:
    """Segment many videos, and carry on where an earlier run stopped.

    OUTPUT mirrors the tree of the inputs, one folder per file as avs segment writes it, beside
    manifest.jsonl, summary.csv and failures.txt. Exits with 0 when all is done, with 8 when files
    failed, with 11 when only an output beside the masks, an overlay for instance, is missing.
    """
    from avscli.batch.executors import Work
    from avscli.batch.run import plan_batch, planned, run_batch

    read = ReadOptions(fps or None, start, end, audio_track, no_audio)
    options = SegmentOptions(
        read,
        threshold,
        region_threshold,
        min_area,
        device,
        precision,
        batch_clips,
        write,  # type: ignore[arg-type]  # a tuple: Typer has run the parser
        overwrite,
    )
    chosen = BatchOptions(
        extensions=shared.split_list(extensions.lower().replace(".", "")),
        exclude=tuple(exclude or ()),
        resume=resume,
        hashing=hashing,
        workers=workers,
        devices=tuple(f"cuda:{d}" if d.isdigit() else d for d in shared.split_list(devices)),
        shard=shared.parse_shard(shard),
        engine=engine,
        ray_address=ray_address,
        fail_fast=fail_fast,
        retries=retries,
        timeout_seconds=timeout,
        combine=combine,
        dry_run=dry_run,
    )
    work = Work.of(weights, options)
    if dry_run:
        with console.batch_progress(as_json=as_json, quiet=quiet) as watch:
            plan = plan_batch(inputs, output, work, chosen, watch=watch, warn=console.warn)
        num_workers = chosen.workers or max(1, len(chosen.devices))
        console.show_plan(plan, planned(plan, work, num_workers), as_json=as_json)
        return
    with console.batch_progress(as_json=as_json, quiet=quiet) as watch:
        report = run_batch(inputs, output, work, chosen, watch=watch, warn=console.warn)
    console.show_batch(report, as_json=as_json, quiet=quiet)
    raise typer.Exit(report.exit_code)

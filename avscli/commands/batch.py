"""``avs batch``: many videos, nothing lost, nothing twice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from avscli import console
from avscli.commands import _options as shared
from avscli.commands._takes import takes
from avscli.config import (
    DEFAULT_WEIGHTS,
    BatchOptions,
    Engine,
    Hashing,
    ResumePolicy,
    SegmentOptions,
)
from avscli.errors import UsageError

ExtensionsOption = Annotated[
    str,
    typer.Option(
        "--ext",
        metavar="LIST",
        help="Take only these from folders: mp4,mkv …",
        show_default="every video",
    ),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Leave such names or paths out of folders; may be repeated.",
        show_default="none",
    ),
]
ResumeOption = Annotated[
    ResumePolicy,
    typer.Option(
        help="Skip results that are up to date (auto), all finished ones (force), none (off)."
    ),
]
HashingOption = Annotated[
    Hashing,
    typer.Option(
        "--hash", help="Know a file by size, time and both ends (quick), or by every byte."
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(help="Files at once.", show_default="one per device; Ray: per GPU, else per CPU"),
]
DevicesOption = Annotated[
    str,
    typer.Option(
        metavar="LIST",
        help="Share the files out among these devices: 0,1 or cpu.",
        show_default="that of --device",
    ),
]
ShardOption = Annotated[
    str, typer.Option(metavar="I/N", help="Do only part I of N; parts may run anywhere.")
]
EngineOption = Annotated[Engine, typer.Option(help="Processes on this machine, or a Ray cluster.")]
RayAddressOption = Annotated[
    str | None,
    typer.Option(
        help="Address of a running cluster.", show_default="one is started on this machine"
    ),
]
RetriesOption = Annotated[
    int, typer.Option(help="Try again after failures that can pass (device memory, I/O).")
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        parser=shared.parse_time,
        metavar="TIME",
        help="Give up a file after this.",
        show_default="never",
    ),
]
FailFastOption = Annotated[
    bool,
    typer.Option(
        "--fail-fast", help="Begin no more files once one has failed.", show_default="off"
    ),
]
CombineOption = Annotated[
    bool,
    typer.Option("--combine", help="Also write one COCO file of all results.", show_default="off"),
]
DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", help="Only say what would be done, and why.", show_default="off"),
]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json", help="Print events as JSON on stdout, one per line.", show_default="off"
    ),
]


def batch_options(
    *,
    extensions: ExtensionsOption = "",
    exclude: ExcludeOption = None,
    resume: ResumeOption = "auto",
    hashing: HashingOption = "quick",
    workers: WorkersOption = None,
    devices: DevicesOption = "",
    shard: ShardOption = "1/1",
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
    retries: RetriesOption = 0,
    timeout: TimeoutOption = None,
    fail_fast: FailFastOption = False,
    combine: CombineOption = False,
    dry_run: DryRunOption = False,
) -> BatchOptions:
    """Build what ``avs batch`` can be told besides the options of each file."""
    return BatchOptions(
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


@takes(options=shared.segment_options, chosen=batch_options)
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
    *,
    options: SegmentOptions,
    chosen: BatchOptions,
    as_json: JsonOption = False,
    quiet: shared.QuietOption = False,
) -> None:
    """Segment many videos, and carry on where an earlier run stopped.

    OUTPUT mirrors the tree of the inputs, one folder per file as avs segment writes it, beside
    manifest.jsonl, summary.csv and failures.txt. Exits with 0 when all is done, with 8 when files
    failed, with 11 when only an output beside the masks, an overlay for instance, is missing.
    """
    _require_posix()
    from avscli.batch.executors import Work
    from avscli.batch.run import plan_batch, run_batch
    from avscli.console.batch import batch_progress, show_batch, show_plan

    work = Work.of(weights, options)
    with batch_progress(as_json=as_json, quiet=quiet) as watch:
        if chosen.dry_run:
            plan, sums = plan_batch(inputs, output, work, chosen, watch=watch, warn=console.warn)
        else:
            report = run_batch(inputs, output, work, chosen, watch=watch, warn=console.warn)
    if chosen.dry_run:
        show_plan(plan, sums, as_json=as_json)
    else:
        show_batch(report, as_json=as_json, quiet=quiet)
        raise typer.Exit(report.exit_code)


def _require_posix() -> None:
    if os.name != "posix":
        raise UsageError(
            "avs batch needs a POSIX system, for process groups and locks that end with a process",
            hint="use Linux, macOS or WSL, or avs segment for one file after the other",
        )

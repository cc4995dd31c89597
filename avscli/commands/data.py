"""``avs data``: copies of data sets, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avscli import console
from avscli.commands import _options as shared
from avscli.config import Split
from avscli.datasets.registry import kinds_for

app = typer.Typer(help="Check copies of data sets.", no_args_is_help=True)


@app.callback()
def _data() -> None:
    """Check copies of data sets."""


@app.command()
def check(
    kind: Annotated[
        str, typer.Argument(help=f"The layout it should have: {', '.join(kinds_for('check'))}.")
    ],
    root: Annotated[Path, typer.Argument(help="Root of the copy, or a folder above it.")],
    split: Annotated[
        Split | None, typer.Option(help="Only this split.", show_default="all")
    ] = None,
    as_json: shared.JsonOption = False,
    quiet: shared.QuietOption = False,
) -> None:
    """Read every file of a copy and name those that are not as the layout says."""
    from avscli.datasets.checking import check_data, require_sound_data

    with console.counting("checking", quiet=quiet) as on_progress:
        splits = None if split is None else (split,)
        found = check_data(kind, root, splits=splits, on_progress=on_progress)
    if as_json:
        told = [{"file": str(p.file), "problem": p.message} for p in found.problems]
        console.result_json({"kind": kind, "items": found.num_items, "problems": told})
    else:
        for problem in found.problems:
            console.result(problem.message)
    require_sound_data(found, kind, root)
    if not as_json:
        counts = ", ".join(f"{count} {name}" for name, count in found.num_items.items())
        console.result(f"{kind}: all is well ({counts})")

"""``avs train``: from data to a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from avscli import console
from avscli.commands import _options as shared
from avscli.config import Precision
from avscli.datasets.registry import kinds_for
from avscli.errors import UsageError

if TYPE_CHECKING:
    from avscli.training.clips.recipe import ClipRecipe
    from avscli.training.clips.run import ClipRun

Backbone = Literal["pvt_v2_b5", "resnet50", "mobilenet_v2"]


def train(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the run: state, metrics, weights.")
    ],
    config: Annotated[
        str, typer.Option("--config", "-c", help="A shipped recipe's name, or a .toml file.")
    ] = "mini",
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=ROOT",
            help=f"Of {', '.join(kinds_for('train'))}, repeatable; scenes=COUNT instead of a "
            "folder. mini takes avsmix, without it scenes alone; the others take the rest.",
        ),
    ] = None,
    start_backbone: Annotated[
        Path | None, typer.Option(help="Published weights to start the picture side from.")
    ] = None,
    start_audio: Annotated[
        Path | None, typer.Option(help="Published weights to start the sound side from.")
    ] = None,
    start_weights: Annotated[
        str | None, typer.Option(help="Weights to go on from: a shipped name or a file.")
    ] = None,
    backbone: Annotated[Backbone | None, typer.Option(help="Picture side, if not as set.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Override the epochs.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Override the steps.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Override clips a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Override the peak rate.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Override the seed.")] = None,
    precision: Annotated[Precision | None, typer.Option(help="Override the arithmetic.")] = None,
    device: shared.DeviceOption = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run there.")] = False,
    as_json: shared.JsonOption = False,
    quiet: shared.QuietOption = False,
) -> None:
    """Train a network and write its checkpoint, golden and validation scores.

    Several processes: torchrun --nproc-per-node N -m avscli train …
    """
    from avscli.training.clips.recipe import ClipRecipe, find_recipe
    from avscli.training.clips.run import ClipRun
    from avscli.training.clips.sources import AVSMIX, data_root
    from avscli.training.clips.start import StartWeights

    recipe = find_recipe(config)
    changes = {"steps": steps, "learning_rate": learning_rate, "seed": seed, "precision": precision}
    roots = [data_root(text) for text in data or ()]
    start = StartWeights(start_backbone, start_audio, start_weights)
    if isinstance(recipe, ClipRecipe):
        run = ClipRun(output, roots, start, device, resume, quiet)
        changed = recipe.with_overrides(
            backbone=backbone, epochs=epochs, batch_clips=batch, **changes
        )
        _train_clips(changed, run, as_json=as_json)
        return
    if backbone or epochs or device not in ("auto", "cpu"):
        raise UsageError(
            f"the recipe {config} takes --steps on the CPU, "
            "not --backbone, --epochs or another --device"
        )
    if len(roots) > 1 or any(root.kind != AVSMIX for root in roots):
        raise UsageError(
            f"the recipe {config} trains on one copy of avsmix or on scenes alone",
            hint="--data avsmix=ROOT, or no --data",
        )
    from avscli.training.run import CoupleRun, train_couples

    couples = recipe.with_overrides(batch_samples=batch, **changes)
    copy = roots[0].root if roots else None
    couple_run = CoupleRun(output, copy, start, resume, quiet)
    _show(train_couples(couples, couple_run, warn=console.warn), as_json=as_json)


def _train_clips(recipe: ClipRecipe, run: ClipRun, *, as_json: bool) -> None:
    from avscli.training.clips.run import train_clips

    checkpoint = train_clips(recipe, run, warn=console.warn)
    if checkpoint is not None:  # only the first of several processes has something to say
        _show(checkpoint, as_json=as_json)


def _show(checkpoint: Path, *, as_json: bool) -> None:
    from avscli.checkpoints import read_info

    scores = read_info(checkpoint).scores
    if as_json:
        console.result_json({"checkpoint": str(checkpoint), "scores": dict(scores)})
    else:
        rows = [[name, f"{value:.3f}"] for name, value in scores.items()]
        console.table(f"{checkpoint}: validation", ["score", "value"], rows)

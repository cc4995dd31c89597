"""``avs train``: from data to a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from avscli import console
from avscli.commands import _options as shared
from avscli.commands._takes import takes
from avscli.config import Precision
from avscli.datasets.registry import kinds_for
from avscli.errors import UsageError

if TYPE_CHECKING:
    from avscli.training.clips.recipe import ClipRecipe
    from avscli.training.clips.run import ClipRun
    from avscli.training.clips.sources import DataRoot

Backbone = Literal["pvt_v2_b5", "resnet50", "mobilenet_v2"]
_DATA_HELP = (
    f"Of {', '.join(kinds_for('train'))}, repeatable; scenes=COUNT instead of a folder. "
    "mini takes avsmix, without it scenes alone; the others take the rest."
)


class _Start(NamedTuple):
    """Files and weights to start from."""

    backbone: Path | None
    audio: Path | None
    weights: str | None


class _Changes(NamedTuple):
    """What is taken instead of the recipe's own; None leaves that."""

    backbone: Backbone | None
    epochs: int | None
    steps: int | None
    batch: int | None
    learning_rate: float | None
    seed: int | None
    precision: Precision | None

    def of_any_recipe(self) -> dict[str, object]:
        """Return what both kinds of recipes take, by their names of it."""
        names = ("steps", "learning_rate", "seed", "precision")
        return {name: getattr(self, name) for name in names}


def _start(
    start_backbone: Annotated[
        Path | None, typer.Option(help="Published weights to start the picture side from.")
    ] = None,
    start_audio: Annotated[
        Path | None, typer.Option(help="Published weights to start the sound side from.")
    ] = None,
    start_weights: Annotated[
        str | None, typer.Option(help="Weights to go on from: a shipped name or a file.")
    ] = None,
) -> _Start:
    return _Start(start_backbone, start_audio, start_weights)


def _changes(
    backbone: Annotated[Backbone | None, typer.Option(help="Picture side, if not as set.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Override the epochs.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Override the steps.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Override clips a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Override the peak rate.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Override the seed.")] = None,
    precision: Annotated[Precision | None, typer.Option(help="Override the arithmetic.")] = None,
) -> _Changes:
    return _Changes(backbone, epochs, steps, batch, learning_rate, seed, precision)


@takes(start=_start, changes=_changes)
def train(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the run: state, metrics, weights.")
    ],
    config: Annotated[
        str, typer.Option("--config", "-c", help="A shipped recipe's name, or a .toml file.")
    ] = "mini",
    data: Annotated[list[str] | None, typer.Option(metavar="KIND=ROOT", help=_DATA_HELP)] = None,
    sounds: Annotated[
        Path | None,
        typer.Option(help="Further recordings (a folder with sounds.csv) for mini, with avsmix."),
    ] = None,
    *,
    start: _Start,
    changes: _Changes,
    device: shared.DeviceOption = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run there.")] = False,
    as_json: shared.JsonOption = False,
    quiet: shared.QuietOption = False,
) -> None:
    """Train a network and write its checkpoint, golden and validation scores.

    Several processes: torchrun --nproc-per-node N -m avscli train …
    """
    from avscli.training.clips.recipe import ClipRecipe
    from avscli.training.clips.run import ClipRun
    from avscli.training.clips.sources import data_root
    from avscli.training.recipe_files import find_recipe
    from avscli.training.start import StartWeights

    recipe = find_recipe(config, warn=console.warn)
    roots = [data_root(text) for text in data or ()]
    started = StartWeights(*start)
    if isinstance(recipe, ClipRecipe):
        if sounds is not None:
            raise UsageError(f"the recipe {config} takes no --sounds", hint="mini does")
        run = ClipRun(output, roots, started, device, resume, quiet)
        _train_clips(recipe, changes, run, as_json=as_json)
        return
    _require_fit_for_couples(config, changes, roots)
    from avscli.training.couples.run import CoupleRun, train_couples

    couples = recipe.with_overrides(batch_samples=changes.batch, **changes.of_any_recipe())
    if sounds is not None and not roots:
        raise UsageError("--sounds go with pictures", hint="add --data avsmix=ROOT")
    root = roots[0].root if roots else None
    couple_run = CoupleRun(
        output,
        root,
        sounds,
        started,
        device="cpu" if device == "auto" else device,
        resume=resume,
        quiet=quiet,
    )
    _show(train_couples(couples, couple_run, warn=console.warn), as_json=as_json)


def _require_fit_for_couples(config: str, changes: _Changes, roots: Sequence[DataRoot]) -> None:
    from avscli.training.clips.sources import AVSMIX

    if changes.backbone or changes.epochs:
        raise UsageError(f"the recipe {config} takes --steps, not --backbone or --epochs")
    if len(roots) > 1 or any(root.kind != AVSMIX for root in roots):
        raise UsageError(
            f"the recipe {config} trains on one copy of avsmix or on scenes alone",
            hint="--data avsmix=ROOT, or no --data",
        )


def _train_clips(recipe: ClipRecipe, changes: _Changes, run: ClipRun, *, as_json: bool) -> None:
    from avscli.training.clips.run import train_clips

    changed = recipe.with_overrides(
        backbone=changes.backbone,
        epochs=changes.epochs,
        batch_clips=changes.batch,
        **changes.of_any_recipe(),
    )
    checkpoint = train_clips(changed, run, warn=console.warn)
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

"""``avs train``: from data to a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avscli import console
from avscli.commands import _options as shared


def train(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the run: state, metrics, weights.")
    ],
    config: Annotated[
        str, typer.Option("--config", "-c", help="A shipped recipe's name, or a .toml file.")
    ] = "mini",
    avsmix: Annotated[
        Path | None, typer.Option(help="Root of a copy of avsmix; default: generated scenes only.")
    ] = None,
    start_backbone: Annotated[
        Path | None, typer.Option(help="MobileNetV2 tflite file to start the picture side from.")
    ] = None,
    start_audio: Annotated[
        Path | None, typer.Option(help="YAMNet tflite file to start the sound side from.")
    ] = None,
    start_weights: Annotated[
        str | None, typer.Option(help="Weights to go on from: a shipped name or a file.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Override the recipe's steps.")] = None,
    seed: Annotated[int | None, typer.Option(help="Override the recipe's seed.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run there.")] = False,
    as_json: shared.JsonOption = False,
) -> None:
    """Train a network and write its checkpoint, golden and validation scores."""
    from avscli.checkpoints import read_info
    from avscli.training.recipe import load_recipe
    from avscli.training.run import TrainingPaths, train_recipe

    recipe = load_recipe(config).with_overrides(steps=steps, seed=seed)
    paths = TrainingPaths(output, avsmix, start_backbone, start_audio, start_weights)
    checkpoint = train_recipe(recipe, paths, resume=resume, warn=console.warn)
    scores = read_info(checkpoint).scores
    if as_json:
        console.result_json({"checkpoint": str(checkpoint), "scores": dict(scores)})
    else:
        rows = [[name, f"{value:.3f}"] for name, value in scores.items()]
        console.table(f"{checkpoint}: validation", ["score", "value"], rows)

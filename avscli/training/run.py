"""One training run from a recipe to a checkpoint with its golden and validation scores."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from avscli.checkpoints import load_network, save_checkpoint, write_golden
from avscli.datasets.avsmix import AvsMix
from avscli.datasets.scenes import VALIDATION_SEEDS
from avscli.devices import start
from avscli.errors import OutputError, UsageError
from avscli.evaluation import avsmix_frames, prepare_frames, scene_frames, score
from avscli.training.calibration import calibrate
from avscli.training.loop import Trainer
from avscli.training.samples import AvsMixSamples, SampleSource, SceneSamples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from avscli.devices import Runtime
    from avscli.evaluation import LabelledFrame
    from avscli.training.recipe import Recipe

NUM_SCENE_FRAMES = 200  # for validation
NUM_GOLDEN_FRAMES = 4


@dataclass(frozen=True, slots=True)
class TrainingPaths:
    """Where a run reads and writes.

    Attributes:
        folder: of the run's state, metrics and checkpoint.
        avsmix: root of a copy of avsmix; None trains on generated scenes alone.
        start_backbone, start_audio: published tflite graphs to start the encoders from.
        start_weights: a checkpoint of ours to start the whole network from instead.
    """

    folder: Path
    avsmix: Path | None
    start_backbone: Path | None
    start_audio: Path | None
    start_weights: str | None = None


def train_recipe(
    recipe: Recipe, paths: TrainingPaths, *, resume: bool, warn: Callable[[str], None]
) -> Path:
    """Train, export the averaged weights, write their golden, and score them on validation.

    Returns:
        The checkpoint; its metadata holds the validation scores.

    Raises:
        DataError: the copy of avsmix is not as its format says.
        OutputError: the folder holds another run and ``resume`` is False.
        UsageError: two different starts are asked for.
        WeightsError: a start file is unusable.
    """
    if (paths.folder / "last.pt").exists() and not resume:
        raise OutputError(
            f"{paths.folder} holds a training run", hint="add --resume, or choose another folder"
        )
    data = None if paths.avsmix is None else AvsMix.open(paths.avsmix)
    sources, shares = _sources(recipe, data)
    trainer = Trainer(recipe, sources, shares, folder=paths.folder)
    if not (resume and trainer.resume()):
        _start(trainer, paths)
    trainer.run()
    return export(trainer, data, paths, warn)


def _start(trainer: Trainer, paths: TrainingPaths) -> None:
    if paths.start_weights is None:
        trainer.start_encoders(backbone=paths.start_backbone, audio=paths.start_audio)
    elif paths.start_backbone or paths.start_audio:
        raise UsageError("--start-weights brings both encoders; leave the other starts out")
    else:
        trainer.start_from(load_network(paths.start_weights).state_dict())


def export(
    trainer: Trainer, data: AvsMix | None, paths: TrainingPaths, warn: Callable[[str], None]
) -> Path:
    """Write the averaged weights, calibrated, as a checkpoint with scores and golden."""
    recipe = trainer.recipe
    path = paths.folder / f"{recipe.name}.safetensors"
    info: dict[str, object] = {
        "name": recipe.name,
        "spec": recipe.spec,
        "trained_on": ["generated scenes"] if data is None else ["avsmix", "generated scenes"],
        "scores": {},
        "licence": "research use; see the model card",
        "source": f"avs train, recipe {recipe.name}, seed {recipe.seed}, {trainer.step} steps",
    }

    def runtime() -> Runtime:
        save_checkpoint(path, trainer.average, info, dtype=torch.float16)
        return start(load_network(str(path)), "cpu", precision="fp32", warn=warn)

    found = calibrate(runtime(), _validation_frames(data))
    info["spec"] = dataclasses.replace(
        recipe.spec, temperature=found.temperature, threshold=found.threshold
    )
    info["scores"] = _validation_scores(runtime(), data) | {
        "calibration_error_before": found.error_before,
        "calibration_error_after": found.error_after,
    }
    runtime()
    write_golden(path, prepare_frames(list(scene_frames(NUM_GOLDEN_FRAMES)), recipe.spec))
    return path


def _validation_frames(data: AvsMix | None) -> Iterator[LabelledFrame]:
    if data is None:
        return scene_frames(NUM_SCENE_FRAMES, seeds=VALIDATION_SEEDS)
    return avsmix_frames(data, "val")


def _validation_scores(runtime: Runtime, data: AvsMix | None) -> dict[str, float]:
    sets = {"scenes": scene_frames(NUM_SCENE_FRAMES, seeds=VALIDATION_SEEDS)}
    if data is not None:
        sets["avsmix_val"] = avsmix_frames(data, "val")
    return {
        f"{name}_{measure}": value
        for name, frames in sets.items()
        for measure, value in score(runtime, frames).summary().items()
    }


def _sources(recipe: Recipe, data: AvsMix | None) -> tuple[list[SampleSource], list[float]]:
    scenes = SceneSamples(recipe.source_classes)
    if data is None:
        return [scenes], [1.0]
    mix = AvsMixSamples(
        data, recipe.source_classes, composites=recipe.composites, kinds=recipe.sound_kinds
    )
    return [mix, scenes], [1.0 - recipe.scenes_share, recipe.scenes_share]

"""One training run from a recipe to a checkpoint with its golden and validation scores."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch

from avscli.checkpoints import load_network, save_checkpoint
from avscli.config import DataSelection, EvalOptions
from avscli.datasets.avsmix import AvsMix
from avscli.datasets.kinds.scenes import SceneFrames
from avscli.datasets.registry import kind_of
from avscli.datasets.scenes import TEST_SEEDS
from avscli.datatypes import BALANCED
from avscli.devices import choose_device, start
from avscli.evaluation.network.data import evaluation_set
from avscli.evaluation.network.judging import prepare_labelled
from avscli.evaluation.protocols import summary
from avscli.evaluation.run import evaluate_network
from avscli.training.couples.calibration import calibrate
from avscli.training.couples.further_sounds import FurtherSound, further_sounds
from avscli.training.couples.samples import AvsMixSamples, SampleSource, SceneSamples
from avscli.training.couples.task import CoupleTask
from avscli.training.engine import Engine
from avscli.training.networks.registry import training_of
from avscli.training.runs import progress_bar, require_checked, require_no_run
from avscli.training.start import StartWeights
from avscli.training.state import make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from avscli.datatypes import NetworkInput, NetworkSpec
    from avscli.devices import TorchRuntime
    from avscli.evaluation.network.samples import EvaluationSet
    from avscli.training.couples.calibration import Calibration
    from avscli.training.couples.recipe import CoupleRecipe
    from avscli.training.networks.plain import NetworkTraining

NUM_SCENE_FRAMES = 200  # for validation
FOREIGN_PAIRS = Path("pairs_foreign_val.csv")  # pictures of avsmix with further sounds
NUM_GOLDEN_FRAMES = 4


@dataclass(frozen=True, slots=True)
class CoupleRun:
    """Where a run reads and writes, and how it runs.

    Attributes:
        folder: of the run's state, metrics and checkpoint.
        avsmix: root of a copy of avsmix; None trains on generated scenes alone.
        sounds: root of further recordings, to go with avsmix.
        start: weights to start from.
        device: as on the command line.
        resume: go on with the run in the folder.
        quiet: no progress.
    """

    folder: Path
    avsmix: Path | None = None
    sounds: Path | None = None
    start: StartWeights = field(default_factory=StartWeights)
    device: str = "cpu"
    resume: bool = False
    quiet: bool = False


def train_couples(recipe: CoupleRecipe, run: CoupleRun, *, warn: Callable[[str], None]) -> Path:
    """Train, export the averaged weights, write their golden, and score them on validation.

    Returns:
        The checkpoint; its metadata holds the validation scores.

    Raises:
        DataError: the copy of avsmix is not as its format says.
        OutputError: the folder holds another run, cannot be written to, or the disk is full.
        UsageError: options that do not go together, or another run's folder to resume.
        WeightsError: start weights or saved state cannot be used.
        KeyboardInterrupt: after Ctrl-C, with the state saved.
    """
    if not run.resume:
        require_no_run(run.folder)
    data = None if run.avsmix is None else AvsMix.open(run.avsmix)
    further = [] if run.sounds is None else further_sounds(run.sounds, "train")
    sources, shares = sample_sources(recipe, data, further)
    make_folder(run.folder)

    def settle(side: NetworkTraining) -> None:
        if data is not None:
            side.settle_sound(_unheard_sounds(data, run.sounds), seed=recipe.seed)

    device = choose_device(run.device, warn)
    task = CoupleTask(recipe, sources, shares, device=device, on_sound_end=settle)
    engine = Engine(task, run.folder)
    if not (run.resume and engine.resume()):
        if run.avsmix is not None:
            require_checked("avsmix", run.avsmix, quiet=run.quiet)
        task.side.start(run.start, freezes_audio=False)
    with progress_bar(task.num_steps, done=engine.step, quiet=run.quiet) as tell:
        engine.run(tell)
    return export(engine, recipe, data, warn, sounds=run.sounds)


def export(
    engine: Engine,
    recipe: CoupleRecipe,
    data: AvsMix | None,
    warn: Callable[[str], None],
    *,
    sounds: Path | None = None,
) -> Path:
    """Write what was learned, calibrated, as a checkpoint with scores and golden.

    Raises:
        OutputError: it cannot be written.
    """
    weights = {name: value.cpu() for name, value in engine.weights().items()}
    info: dict[str, object] = {
        "name": recipe.name,
        "spec": recipe.spec,
        "trained_on": _trained_on(data, sounds),
        "scores": {},
        "licence": "research use; see the model card",
        "source": f"avs train, recipe {recipe.name}, seed {recipe.seed}, {engine.step} steps",
    }
    sets = _validation_sets(data, sounds)
    with TemporaryDirectory() as scratch:  # nothing unfinished has the checkpoint's name

        def runtime() -> TorchRuntime:
            """Load the weights as they will be stored: in half precision."""
            draft = Path(scratch) / "draft.safetensors"
            save_checkpoint(draft, weights, info, dtype=torch.float16)
            return start(load_network(str(draft)), "cpu", precision="fp32", warn=warn)

        calibrated = runtime()
        side = training_of(calibrated.network)
        judged = [of_set for name, of_set in sets.items() if name != "scenes"] or [sets["scenes"]]
        frames = chain.from_iterable(each.samples() for each in judged)
        found = calibrate(calibrated, side, frames)
        fitted = calibrated.network.state_dict()
        weights |= {name: value for name, value in fitted.items() if side.is_fitted(name)}
        info["spec"] = _calibrated_spec(recipe.spec, found)
        info["scores"] = _validation_scores(runtime(), sets) | {
            "sound_shift": found.sound_shift,
            "calibration_error_before": found.error_before,
            "calibration_error_after": found.error_after,
        }
    path = engine.folder / f"{recipe.name}.safetensors"
    save_checkpoint(
        path, weights, info, dtype=torch.float16, golden_inputs=_golden_inputs(recipe.spec)
    )
    return path


def _calibrated_spec(spec: NetworkSpec, found: Calibration) -> NetworkSpec:
    return dataclasses.replace(
        spec,
        temperature=found.temperature,
        **dataclasses.asdict(found.operating_points[BALANCED]),
        operating_points=found.operating_points,
    )


def _golden_inputs(spec: NetworkSpec) -> NetworkInput:
    scenes = SceneFrames(TEST_SEEDS[:NUM_GOLDEN_FRAMES])
    frames = [scenes.read(index) for index in range(NUM_GOLDEN_FRAMES)]
    return prepare_labelled(frames, spec).inputs


def _trained_on(data: AvsMix | None, sounds: Path | None) -> list[str]:
    named = {"avsmix": data, "sounds": sounds, "generated scenes": True}
    return [name for name, there in named.items() if there]


def _validation_sets(data: AvsMix | None, sounds: Path | None) -> dict[str, EvaluationSet]:
    """Open scenes, the pairs of avsmix where there is a copy, and those with further sounds."""
    selections = {"scenes": DataSelection("scenes", split="val", limit=NUM_SCENE_FRAMES)}
    if data is not None:
        selections["avsmix_val"] = DataSelection("avsmix", data.root, "val")
        if sounds is not None and (data.root / FOREIGN_PAIRS).is_file():
            selections["foreign_val"] = DataSelection("avsmix", data.root, "val", FOREIGN_PAIRS)
    return {
        name: evaluation_set(kind_of(each.kind, "train").open_set(each), each)
        for name, each in selections.items()
    }


def _validation_scores(
    runtime: TorchRuntime, sets: Mapping[str, EvaluationSet]
) -> dict[str, float]:
    """Return what `avs eval` tells of all, as one flat table."""
    scored: dict[str, float] = {}
    for name, of_set in sets.items():
        scores = evaluate_network(runtime, of_set, EvalOptions(), lambda _done: None).scores
        scored |= {f"{name}_{measure}": value for measure, value in summary(scores).items()}
    return scored


def _unheard_sounds(data: AvsMix, sounds: Path | None) -> list[FurtherSound]:
    """Return all recordings of the validation splits whose makers are told without doubt."""
    of_data = [
        FurtherSound(sound.audio, sound.audio_class, sound.visual_classes)
        for sound in data.sounds("val")
        if sound.audio_class not in data.ambiguous
    ]
    return of_data + ([] if sounds is None else further_sounds(sounds, "val"))


def sample_sources(
    recipe: CoupleRecipe, data: AvsMix | None, further: Sequence[FurtherSound] = ()
) -> tuple[list[SampleSource], list[float]]:
    """Return what a recipe draws couples from, and with which shares; without data scenes alone."""
    scenes = SceneSamples(recipe.source_classes)
    if data is None:
        return [scenes], [1.0]
    mix = AvsMixSamples(
        data,
        recipe.source_classes,
        composites=recipe.composites,
        kinds=recipe.sound_kinds,
        further=further,
    )
    return [mix, scenes], [1.0 - recipe.scenes_share, recipe.scenes_share]

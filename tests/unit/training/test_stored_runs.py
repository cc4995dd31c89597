"""Short runs of both kinds, stopped and resumed on the way, give the numbers they always gave.

Bits differ between processors, and the first steps of Adam enlarge that, so losses and weights are
compared within tolerances; a change of a rate, an average, a seed or the order of samples is far
outside.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from avscli.datasets.kinds.scenes import SceneClips
from avscli.datasets.scenes import TRAIN_SEEDS, VALIDATION_SEEDS
from avscli.training.clips.sources import ClipSources
from avscli.training.clips.task import ClipTask
from avscli.training.couples.samples import SCENE_NAMES, SceneSamples
from avscli.training.couples.task import CoupleTask
from avscli.training.engine import Engine, Progress
from avscli.training.process_group import ProcessGroup
from tests.recipes import tiny_couple_recipe, tiny_recipe

# Without oneDNN, on the same machine, losses differ by 4e-3 after six steps, distances by 1.2e-2.
LOSS_TOLERANCE, DISTANCE_TOLERANCE = 1e-2, 3e-2
STOPS_AFTER = 3
NOT_STORED = ("loss", "val_mean_iou")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclasses.dataclass(frozen=True)
class Ran:
    """What a short run gave.

    Attributes:
        losses: of each step, by name.
        moved: how far weights are from the start (L2), of some parts of the network, and of the
            averages of all where there are such.
    """

    losses: Sequence[Mapping[str, float]]
    moved: Mapping[str, float]


def distance(state: Mapping[str, Tensor], start: Mapping[str, Tensor], part: str = "") -> float:
    squares = [
        (value - start[name]).double().square().sum()
        for name, value in state.items()
        if name.startswith(part) and value.is_floating_point()
    ]
    return float(torch.stack(squares).sum().sqrt())


class StoppedError(Exception):
    """A run was ended between two steps."""


def run_in_two_parts(make: Callable[[], Engine]) -> Ran:
    losses: list[Mapping[str, float]] = []

    def note(progress: Progress) -> None:
        losses.append({k: v for k, v in progress.measured.items() if k not in NOT_STORED})

    def note_and_stop(progress: Progress) -> None:
        note(progress)
        if progress.step == STOPS_AFTER:
            first.save()
            raise StoppedError

    first = make()
    start = {name: value.clone() for name, value in first.task.network.state_dict().items()}
    with pytest.raises(StoppedError):
        first.run(note_and_stop)
    resumed = make()
    assert resumed.resume()
    resumed.run(note)
    state = resumed.task.network.state_dict()
    moved = {part: distance(state, start, part) for part in ("audio_encoder", "backbone", "heads")}
    if resumed.average is not None:
        moved["averages"] = distance(resumed.weights(), start)
    return Ran(losses, moved)


def run_couples(folder: Path) -> Ran:
    """Run two steps of sounds with a tagger, and four of couples; blocks thaw for the last."""
    spec = tiny_couple_recipe().spec
    architecture = {**spec.architecture, "audio_encoder": "mobile_tagger"}
    tagging = dataclasses.replace(spec, architecture=architecture, log_mel="efficientat")
    recipe = tiny_couple_recipe(spec=tagging, sound_steps=2, steps=4, frozen_share=0.75)
    scenes = SceneSamples(SCENE_NAMES)
    return run_in_two_parts(lambda: Engine(CoupleTask(recipe, [scenes], [1.0]), folder))


def run_clips(folder: Path) -> Ran:
    """Run three epochs of two steps, all of the network trained."""
    training = SceneClips(TRAIN_SEEDS[:4], 5, (32, 32))
    validation = SceneClips(VALIDATION_SEEDS[:1], 5, (32, 32))
    sources = ClipSources((training,), (validation,))

    def make() -> Engine:
        alone, recipe = ProcessGroup(), tiny_recipe(epochs=3)
        task = ClipTask(recipe, sources, folder=folder, device="cpu", processes=alone)
        return Engine(task, folder)

    return run_in_two_parts(make)


def require_as_stored(ran: Ran, stored: Ran) -> None:
    assert [set(row) for row in ran.losses] == [set(row) for row in stored.losses]
    for number, (found, expected) in enumerate(zip(ran.losses, stored.losses, strict=True)):
        assert found == pytest.approx(expected, rel=LOSS_TOLERANCE), f"step {number}"
    assert ran.moved == pytest.approx(stored.moved, rel=DISTANCE_TOLERANCE)


STAGES = ("stage1", "stage2", "stage3", "stage4")
HEARD, MASKS, CLIPS = ("heard", "tags"), ("shown", *STAGES), STAGES


def named(names: Sequence[str], *losses: float) -> Mapping[str, float]:
    return dict(zip(names, losses, strict=True))


STORED_COUPLES = Ran(
    losses=[
        named(HEARD, 6.24043, 365.239),
        named(HEARD, 6.10209, 365.239),
        named(MASKS, 3.11704, 1.45131, 1.33443, 1.42642, 1.40421),
        named(MASKS, 2.01590, 1.28200, 1.22874, 1.29389, 1.27928),
        named(MASKS, 2.08739, 0.97702, 0.91814, 0.98217, 0.96640),
        named(MASKS, 2.27071, 1.01962, 0.96727, 1.02504, 1.01335),
    ],
    moved={"audio_encoder": 0.28203, "backbone": 0.36727, "heads": 2.57928, "averages": 24.2392},
)
STORED_CLIPS = Ran(
    losses=[
        named(CLIPS, 1.77109, 1.77781, 1.45088, 1.62935),
        named(CLIPS, 1.74084, 1.76816, 1.45289, 1.61879),
        named(CLIPS, 1.73094, 1.77161, 1.44053, 1.60467),
        named(CLIPS, 1.73853, 1.76724, 1.43383, 1.62577),
        named(CLIPS, 1.72725, 1.75686, 1.42739, 1.61724),
        named(CLIPS, 1.71135, 1.75587, 1.42689, 1.61154),
    ],
    moved={"audio_encoder": 4.85515, "backbone": 2.98330, "heads": 1.77332},
)


def test_a_run_on_couples_gives_the_stored_numbers(tmp_path: Path) -> None:
    require_as_stored(run_couples(tmp_path), STORED_COUPLES)


def test_a_run_on_clips_gives_the_stored_numbers(tmp_path: Path) -> None:
    require_as_stored(run_clips(tmp_path), STORED_CLIPS)

import dataclasses
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from avscli.checkpoints import load_network, read_info
from avscli.datasets.kinds.scenes import SceneClips
from avscli.datasets.labelled import LabelledClip
from avscli.datasets.scenes import TRAIN_SEEDS, VALIDATION_SEEDS
from avscli.errors import UsageError
from avscli.training.clips.recipe import ClipRecipe
from avscli.training.clips.sources import ClipSources
from avscli.training.clips.task import ClipTask
from avscli.training.engine import Engine, Progress
from avscli.training.process_group import ProcessGroup
from tests.recipes import tiny_recipe

TRAINING = SceneClips(TRAIN_SEEDS[:4], 5, (32, 32))
VALIDATION = SceneClips(VALIDATION_SEEDS[:1], 5, (32, 32))


@dataclasses.dataclass(frozen=True)
class Interrupting:
    """Scenes; reading the n-th one sends Ctrl-C to this process."""

    read_before: list[int]
    interrupts_at: int
    kind: str = "scenes"

    def __len__(self) -> int:
        return len(TRAINING)

    def read(self, index: int) -> LabelledClip:
        self.read_before.append(index)
        if len(self.read_before) == self.interrupts_at:
            os.kill(os.getpid(), signal.SIGINT)
        return TRAINING.read(index)


def engine(
    folder: Path,
    recipe: ClipRecipe | None = None,
    training: SceneClips | Interrupting = TRAINING,
    processes: ProcessGroup | None = None,
) -> Engine:
    folder.mkdir(exist_ok=True)
    task = ClipTask(
        recipe or tiny_recipe(),
        ClipSources((training,), (VALIDATION,)),
        folder=folder,
        device="cpu",
        processes=processes or ProcessGroup(),
    )
    return Engine(task, folder)


def ignore(_progress: Progress) -> None:
    """Tell nobody."""


def metrics(folder: Path) -> Sequence[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of two epochs of two steps."""
    folder = tmp_path_factory.mktemp("undisturbed")
    engine(folder).run(ignore)
    return folder


def require_equal_runs(folder: Path, other: Path) -> None:
    mine, theirs = (torch.load(each / "last.pt") for each in (folder, other))
    assert mine["step"] == theirs["step"]
    torch.testing.assert_close(mine["network"], theirs["network"], rtol=0, atol=0)
    assert metrics(folder) == metrics(other)


def test_gradients_are_cut_as_the_recipe_says(tmp_path: Path) -> None:
    assert engine(tmp_path, tiny_recipe(gradient_norm=5.0)).task.gradient_norm == 5.0
    assert engine(tmp_path, tiny_recipe()).task.gradient_norm is None


def test_a_run_logs_every_step_and_scores_every_epoch(undisturbed: Path) -> None:
    lines = metrics(undisturbed)
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert ["val_mean_iou" in line for line in lines] == [False, True, False, True]
    for line in lines:
        stages = [line[f"stage{k}"] for k in range(1, 5)]
        assert line["loss"] == pytest.approx(sum(stages), rel=1e-5)


def test_the_best_epoch_is_kept_as_a_checkpoint(undisturbed: Path) -> None:
    scores = [line["val_mean_iou"] for line in metrics(undisturbed) if "val_mean_iou" in line]
    info = read_info(undisturbed / "best.safetensors")
    assert info.scores == {"val_mean_iou": max(scores)}
    assert info.trained_on == ("scenes",)
    load_network(str(undisturbed / "best.safetensors"))


def test_the_same_run_gives_the_same_numbers(undisturbed: Path, tmp_path: Path) -> None:
    engine(tmp_path).run(ignore)
    require_equal_runs(tmp_path, undisturbed)


def test_a_run_that_was_interrupted_goes_on_as_if_it_had_not_been(
    undisturbed: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        engine(tmp_path, training=Interrupting([], 5)).run(ignore)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".safetensors") == [
        "last.pt",
        "metrics.jsonl",
    ]
    resumed = engine(tmp_path)
    assert resumed.resume()
    assert 1 <= resumed.step < 4
    resumed.run(ignore)
    require_equal_runs(tmp_path, undisturbed)


def test_a_run_that_was_killed_goes_on_from_its_last_save(
    undisturbed: Path, tmp_path: Path
) -> None:
    killed = engine(tmp_path, tiny_recipe(epochs=1))
    killed.run(ignore)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "loss": 0.0}\n')  # a step after the save, lost with the process
    resumed = engine(tmp_path)
    assert resumed.resume()
    assert resumed.step == 2
    resumed.run(ignore)
    require_equal_runs(tmp_path, undisturbed)


def test_a_run_without_state_says_so(tmp_path: Path) -> None:
    assert not engine(tmp_path).resume()


def test_another_seed_gives_another_run(undisturbed: Path, tmp_path: Path) -> None:
    engine(tmp_path, tiny_recipe(seed=2, steps=1)).run(ignore)
    assert metrics(tmp_path)[0]["loss"] != metrics(undisturbed)[0]["loss"]
    with pytest.raises(UsageError, match="another seed"):
        engine(tmp_path).resume()


def test_other_data_is_refused_on_resuming(undisturbed: Path) -> None:
    more = dataclasses.replace(TRAINING, seeds=TRAIN_SEEDS[:6])
    with pytest.raises(UsageError, match="another data"):
        engine(undisturbed, training=more).resume()


def test_steps_end_a_run_before_its_epochs_and_it_is_scored_then(tmp_path: Path) -> None:
    engine(tmp_path, tiny_recipe(steps=1)).run(ignore)
    assert [sorted(line) for line in metrics(tmp_path)] == [
        ["loss", "stage1", "stage2", "stage3", "stage4", "step", "val_mean_iou"]
    ]


def test_frozen_parts_stay_as_they_are(tmp_path: Path) -> None:
    run = engine(tmp_path, tiny_recipe(steps=1, freezes_audio=True, batch_norm="frozen"))
    before = {k: v.clone() for k, v in run.task.network.state_dict().items()}
    run.run(ignore)
    changed = {k for k, v in run.task.network.state_dict().items() if not torch.equal(v, before[k])}
    assert changed
    assert not any(k.startswith("audio_encoder.") for k in changed)
    assert not any("running" in k for k in changed)


def test_validation_leaves_the_training_mode_as_it_was(tmp_path: Path) -> None:
    run = engine(tmp_path, tiny_recipe(steps=1, freezes_audio=True))
    run.run(ignore)
    assert run.task.network.training
    assert run.task.network.audio_encoder is not None
    assert not run.task.network.audio_encoder.training


def test_bf16_comes_close_to_fp32(undisturbed: Path, tmp_path: Path) -> None:
    engine(tmp_path, tiny_recipe(steps=1, precision="bf16")).run(ignore)
    exact, rounded = metrics(undisturbed)[0]["loss"], metrics(tmp_path)[0]["loss"]
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize(
    ("recipe", "processes", "told"),
    [
        (tiny_recipe(precision="fp16"), ProcessGroup(), "fp16 trains on CUDA only"),
        (
            tiny_recipe(batch_clips=3),
            ProcessGroup(0, 2),
            "3 clips a step cannot be divided among 2",
        ),
    ],
)
def test_runs_that_cannot_be_are_refused(
    tmp_path: Path, recipe: ClipRecipe, processes: ProcessGroup, told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        engine(tmp_path, recipe, processes=processes)

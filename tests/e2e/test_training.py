"""``avs data check`` and ``avs train`` on clips, as they are typed."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from avscli.checkpoints import load_network, read_info
from avscli.networks.backbones.pvt_v2 import pvt_v2_b5
from avscli.networks.backbones.resnet import resnet50
from avscli.networks.backbones.vggish import VGGish
from avscli.training.clips.recipe import ClipRecipe
from avscli.training.recipe_files import find_recipe
from tests.avsbench_copies import write_avss, write_ms3, write_s4
from tests.conftest import Avs
from tests.miniatures import write_avsmix
from tests.recipes import TINY_CLIP_SPEC, tiny_recipe, write_recipe

ONE_EACH = {"train": 1, "val": 1, "test": 1}
# Gradients of several processes are summed in another order than those of one.
LOSS_TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def s4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_s4(tmp_path_factory.mktemp("s4"), clips={"train": 4, "val": 2, "test": 1})


@pytest.fixture(scope="module")
def ms3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ms3(tmp_path_factory.mktemp("ms3"), clips={"train": 4, "val": 1, "test": 1})


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_recipe(tmp_path / "tiny.toml", tiny_recipe())


def losses(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def require_no_rest(folder: Path) -> None:
    assert not list(folder.rglob("*.partial"))


def test_a_checked_copy_is_well_or_its_files_are_named(avs: Avs, tmp_path: Path) -> None:
    root = write_s4(tmp_path, clips=ONE_EACH)
    outcome = avs("data", "check", "avsbench-s4", root)
    assert outcome.code == 0
    assert outcome.out == "avsbench-s4: all is well (1 train, 1 val, 1 test)\n"
    mask = next(root.rglob("gt_masks/**/*_val_4.png"))
    mask.unlink()
    outcome = avs("data", "check", "avsbench-s4", root, "--json")
    assert outcome.code == 3
    assert json.loads(outcome.out)["problems"] == [
        {"file": str(mask), "problem": f"clip clip-1_val: {mask} is missing"}
    ]
    assert avs("data", "check", "avsbench-s4", root, "--split", "train").code == 0


@dataclasses.dataclass(frozen=True)
class PublishedCase:
    """A shipped recipe on a miniature, with encoders in their published layouts."""

    recipe: str
    kind: str
    write: Callable[..., Path]
    backbone: str
    steps: int


def published_backbone(name: str) -> dict[str, Tensor]:
    """Return weights by a rule in the layout of the ImageNet classifier's file."""
    torch.manual_seed(5)
    if name == "pvt_v2_b5":
        head = {"head.weight": torch.zeros(1000, 512), "head.bias": torch.zeros(1000)}
        return pvt_v2_b5().state_dict() | head
    head = {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    return resnet50().state_dict() | head


def published_vggish() -> dict[str, Tensor]:
    torch.manual_seed(6)
    pca = {"pproc.pca_eigen_vectors": torch.eye(128), "pproc.pca_means": torch.zeros(128, 1)}
    return VGGish().state_dict() | pca


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        PublishedCase("s4", "avsbench-s4", write_s4, "pvt_v2_b5", steps=1),
        PublishedCase("ms3", "avsbench-ms3", write_ms3, "resnet50", steps=1),
        PublishedCase("avss", "avsbench-avss", write_avss, "resnet50", steps=2),
        PublishedCase("catr/s4", "avsbench-s4", write_s4, "pvt_v2_b5", steps=1),
        PublishedCase("tpavi/s4", "avsbench-s4", write_s4, "pvt_v2_b5", steps=1),
        PublishedCase("tpavi/ms3", "avsbench-ms3", write_ms3, "resnet50", steps=1),
        PublishedCase("tpavi/avss", "avsbench-avss", write_avss, "resnet50", steps=2),
    ],
    ids=lambda case: case.recipe,
)
def test_published_recipes_run_from_published_weights(
    avs: Avs, tmp_path: Path, case: PublishedCase
) -> None:
    data = case.write(tmp_path / "data", clips={"train": 1, "val": 1})
    backbone, vggish = published_backbone(case.backbone), published_vggish()
    torch.save(backbone, tmp_path / "backbone.pth")
    torch.save(vggish, tmp_path / "vggish.pth")
    recipe = find_recipe(case.recipe)
    assert isinstance(recipe, ClipRecipe)
    small = dataclasses.replace(
        recipe, spec=dataclasses.replace(recipe.spec, frame_size_hw=(64, 64))
    )
    run = tmp_path / "run"
    try:
        outcome = avs(
            *("train", "-c", write_recipe(tmp_path / "recipe.toml", small)),
            *("--data", f"{case.kind}={data}", "--backbone", case.backbone),
            *("--start-backbone", tmp_path / "backbone.pth"),
            *("--start-audio", tmp_path / "vggish.pth"),
            *("--batch", 2, "--steps", case.steps, "--device", "cpu", "-o", run, "-q", "--json"),
        )
        assert outcome.code == 0, outcome.err
        told = json.loads(outcome.out)
        assert told["checkpoint"] == str(run / "best.safetensors")
        assert 0.0 <= told["scores"]["val_mean_iou"] <= 1.0
        assert len(losses(run)) == case.steps
        assert read_info(run / "best.safetensors").spec.clip_length == recipe.spec.clip_length
        trained = load_network(str(run / "last.safetensors")).state_dict()
        for key, value in VGGish().state_dict().items():
            assert value.shape == vggish[key].shape
            assert torch.equal(trained[f"audio_encoder.{key}"], vggish[key]), key
        # Adam moves no weight by more than its rate a step: they began as the file says.
        furthest = max(
            float((trained[f"backbone.{key}"] - value).abs().max())
            for key, value in backbone.items()
            if key.endswith(".weight") and f"backbone.{key}" in trained
        )
        assert 0.0 < furthest <= 1.01 * case.steps * recipe.learning_rate
    finally:
        # A few GB each, and pytest keeps what its last runs wrote.
        shutil.rmtree(run, ignore_errors=True)
        for path in tmp_path.glob("*.pth"):
            path.unlink()


def test_a_mixture_trains_and_answers_with_its_checkpoint(
    avs: Avs, tiny: Path, s4: Path, ms3: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = (
        *("train", "-c", tiny, "-o", run, "--device", "cpu", "-q", "--json"),
        *("--data", f"avsbench-s4={s4}", "--data", f"avsbench-ms3={ms3}", "--data", "scenes=2"),
    )
    outcome = avs(*command, "--steps", 2)
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["checkpoint"] == str(run / "best.safetensors")
    assert sorted(path.name for path in run.iterdir() if path.is_file()) == [
        "best.golden.safetensors",
        "best.safetensors",
        "last.golden.safetensors",
        "last.pt",
        "last.safetensors",
        "metrics.jsonl",
    ]
    refused = avs(*command, "--steps", 2)
    assert refused.code == 7
    assert "holds a training run" in refused.err
    more = avs(*command, "--steps", 3, "--resume")
    assert more.code == 0, more.err
    assert len(losses(run)) == 3
    other = avs(*command, "--steps", 4, "--resume", "--learning-rate", 0.5)
    assert other.code == 2
    assert "another learning_rate: 0.001, not 0.5" in other.err


def test_a_short_training_learns(avs: Avs, tmp_path: Path) -> None:
    spec = dataclasses.replace(
        TINY_CLIP_SPEC,
        clip_length=2,
        frame_size_hw=(64, 64),
        architecture={**TINY_CLIP_SPEC.architecture, "channels": 16},
    )
    recipe = tiny_recipe(spec=spec, epochs=1, batch_clips=8, learning_rate=3e-3)
    outcome = avs(
        *("train", "-c", write_recipe(tmp_path / "recipe.toml", recipe), "-q"),
        *("--data", "scenes=160", "-o", tmp_path / "run", "--device", "cpu"),
    )
    assert outcome.code == 0, outcome.err
    curve = losses(tmp_path / "run")
    assert len(curve) == 20
    assert sum(curve[-5:]) < 0.96 * sum(curve[:5])


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--steps", 0), 2, "--steps"),
        (("--epochs", 0), 2, "--epochs"),
        (("--learning-rate", -1), 2, "learning_rate must be positive"),
        (("--data", "nonsense"), 2, "--data takes KIND=ROOT"),
        (("--data", "avsbench-s5=x"), 2, "no clips of kind 'avsbench-s5'"),
        (("--data", "scenes=many"), 2, "give the number of scenes"),
        (("--data", "scenes=2", "--data", "scenes=3"), 2, "names scenes twice"),
        (("--data", "avsbench-s4=nowhere"), 3, "nowhere/s4_meta_data.csv"),
        (("--data", "scenes=2", "--device", "abacus"), 6, "unknown device"),
        (("--data", "scenes=2", "--precision", "fp16"), 2, "fp16 trains on CUDA only"),
        (("--data", "scenes=2", "--start-weights", "nobody"), 5, "no weights named 'nobody'"),
        (("--data", "scenes=2", "--start-audio", "none.tflite"), 5, "none.tflite"),
        ((), 2, "needs data"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    avs: Avs, tiny: Path, tmp_path: Path, options: Sequence[object], code: int, told: str
) -> None:
    run = tmp_path / "run"
    outcome = avs("train", "-c", tiny, "-o", run, "--device", "cpu", "-q", *options)
    assert outcome.code == code, outcome.err
    assert told in outcome.err
    assert not list(run.glob("*"))


def test_bad_data_is_named_before_anything_is_trained(avs: Avs, tiny: Path, tmp_path: Path) -> None:
    root = write_s4(tmp_path / "s4", clips=ONE_EACH)
    frame = next(root.rglob("visual_frames/**/*_val_2.png"))
    frame.write_bytes(frame.read_bytes()[:100])
    run = tmp_path / "run"
    outcome = avs("train", "-c", tiny, "-o", run, "--data", f"avsbench-s4={root}", "-q")
    assert outcome.code == 3
    assert str(frame) in outcome.err
    assert "avs data check" in outcome.err
    assert not list(run.glob("*"))


@pytest.mark.parametrize(
    ("recipe", "data", "hint"),
    [
        ("mini", ["avsbench-s4=copy"], "--data avsmix=ROOT, or no --data"),
        ("mini", ["avsmix=a", "avsmix=b"], "--data avsmix=ROOT, or no --data"),
        ("mini", ["avsmix"], "KIND is one of"),
        ("s4", ["avsmix=copy"], "avsmix is for the recipe mini"),
    ],
)
def test_data_that_a_recipe_does_not_train_on_is_refused(
    avs: Avs, tmp_path: Path, recipe: str, data: list[str], hint: str
) -> None:
    options = [word for one in data for word in ("--data", one)]
    outcome = avs("train", "-c", recipe, "-o", tmp_path / "run", *options, "-q")
    assert outcome.code == 2
    assert hint in outcome.err
    assert not (tmp_path / "run").exists()


def test_bad_data_of_mini_is_named_before_anything_is_trained(avs: Avs, tmp_path: Path) -> None:
    root = write_avsmix(tmp_path / "avsmix")
    for table in (root / "images.csv", root / "audio.csv"):
        head, *rows = table.read_text().splitlines()
        training = [row.replace(",test", ",train") for row in rows[:-1]]
        table.write_text("\n".join([head, *training, rows[-1].replace(",test", ",val")]) + "\n")
    sound = root / "audio" / "bell.wav"
    sound.write_bytes(b"RIFF")
    outcome = avs("train", "-c", "mini", "--data", f"avsmix={root}", "-o", tmp_path / "run", "-q")
    assert outcome.code == 3, outcome.err
    assert str(sound) in outcome.err
    assert not list((tmp_path / "run").glob("*"))


def test_a_folder_that_is_a_file_is_refused(avs: Avs, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    outcome = avs("train", "-c", tiny, "-o", tmp_path / "run", "--data", "scenes=2", "-q")
    assert outcome.code == 7
    assert "cannot write to" in outcome.err


def test_a_damaged_state_is_refused(avs: Avs, tiny: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "last.pt").write_bytes(b"PK\x03\x04 and then nothing")
    outcome = avs("train", "-c", tiny, "-o", run, "--data", "scenes=2", "--resume", "-q")
    assert outcome.code == 5
    assert "last.pt is damaged" in outcome.err


@contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    """Let the system refuse to write beyond a size, as a full disk would, for any user."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("megabytes", [1, 30])
def test_a_disk_that_is_full_leaves_nothing_half_written(
    avs: Avs, tiny: Path, tmp_path: Path, megabytes: int
) -> None:
    """A checkpoint of the tiny network has 20 MB, its state 60."""
    run = tmp_path / "run"
    with files_of_at_most(megabytes * 1_000_000):
        outcome = avs("train", "-c", tiny, "-o", run, "--data", "scenes=2", "--steps", 1, "-q")
    assert outcome.code == 7
    assert "cannot write" in outcome.err
    assert not (run / "last.pt").exists()
    require_no_rest(run)


def start(*arguments: object, processes: int = 1) -> subprocess.Popen[str]:
    """Start ``avs`` as a program, or as several that torchrun starts."""
    launcher: list[object] = [sys.executable]
    if processes > 1:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        launcher += ["-m", "torch.distributed.run", "--nproc-per-node", processes]
        launcher += ["--master-addr", "127.0.0.1", "--master-port", port]
    command = [str(part) for part in (*launcher, "-m", "avscli", *arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )


def finish(*arguments: object, processes: int = 1) -> None:
    program = start(*arguments, processes=processes)
    _, err = program.communicate(timeout=300)
    assert program.returncode == 0, err


@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_saves_and_the_run_goes_on_as_if_nothing_had_been(
    tiny: Path, tmp_path: Path, processes: int
) -> None:
    def command(folder: str) -> tuple[object, ...]:
        options = ("--device", "cpu", "-q", "--data", "scenes=8")
        return ("train", "-c", tiny, "-o", tmp_path / folder, *options)

    program = start(*command("run"), processes=processes)
    metrics = tmp_path / "run" / "metrics.jsonl"
    for _ in range(2400):
        if program.poll() is not None or (metrics.exists() and metrics.read_text()):
            break
        time.sleep(0.05)
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=120)
    if processes == 1:
        assert program.returncode == 130, err
    assert program.returncode != 0
    require_no_rest(tmp_path / "run")
    assert torch.load(tmp_path / "run" / "last.pt")["step"] == len(losses(tmp_path / "run")) < 8
    finish(*command("run"), "--resume", processes=processes)
    finish(*command("undisturbed"), processes=processes)
    assert losses(tmp_path / "run") == losses(tmp_path / "undisturbed")
    mine, theirs = (torch.load(tmp_path / f / "last.pt") for f in ("run", "undisturbed"))
    torch.testing.assert_close(mine["network"], theirs["network"], rtol=0, atol=0)


def test_two_processes_train_as_one_with_the_whole_batch(
    s4: Path, ms3: Path, tmp_path: Path
) -> None:
    """Batch norm is frozen here: trained, each process normalises by its own half of a batch.

    S4 has one labelled step a clip and MS3 five, so the halves weigh differently.
    """
    recipe = tiny_recipe(batch_norm="frozen", batch_clips=4)
    config = write_recipe(tmp_path / "recipe.toml", recipe)
    for processes in (1, 2):
        finish(
            *("train", "-c", config, "-o", tmp_path / str(processes), "--device", "cpu", "-q"),
            *("--data", f"avsbench-s4={s4}", "--data", f"avsbench-ms3={ms3}"),
            processes=processes,
        )
    one, two = losses(tmp_path / "1"), losses(tmp_path / "2")
    assert len(one) == 4
    assert two == pytest.approx(one, rel=LOSS_TOLERANCE)
    scores = [read_info(tmp_path / str(n) / "best.safetensors").scores for n in (1, 2)]
    assert scores[1]["val_mean_iou"] == pytest.approx(scores[0]["val_mean_iou"], abs=1e-3)

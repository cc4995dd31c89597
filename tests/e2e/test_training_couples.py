"""``avs train`` on couples, which is how the shipped weights were made: from data to checkpoint."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import NoReturn

import pytest
from safetensors.torch import load_file

from avscli.audio.audioset import audioset_names
from avscli.checkpoints import read_info
from avscli.shipped import sha256_of
from avscli.training.couples import run as couples
from avscli.training.couples.calibration import REGION_THRESHOLDS, SOUND_SHIFTS, THRESHOLDS
from tests.builders import make_video
from tests.conftest import Avs, Outcome
from tests.miniatures import write_avsmix, write_further_sounds
from tests.recipes import tiny_couple_recipe, write_recipe


@pytest.fixture(autouse=True)
def _few_validation_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(couples, "NUM_SCENE_FRAMES", 10)


@pytest.fixture(scope="module")
def avsmix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_avsmix(tmp_path_factory.mktemp("avsmix"), 3, splits=("train", "val"))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_recipe(tmp_path / "tiny.toml", tiny_couple_recipe())


def checkpoints_in(folder: Path) -> set[str]:
    """Return the names of whatever could be taken for a checkpoint or a part of one."""
    return {p.name for p in folder.rglob("*") if p.name not in ("last.pt", "metrics.jsonl")}


def test_a_run_ends_in_a_calibrated_checkpoint_with_scores_that_can_be_verified_and_used(
    avs: Avs, tiny: Path, avsmix: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    outcome = avs("train", "-c", tiny, "--data", f"avsmix={avsmix}", "-o", run, "-q", "--json")
    assert outcome.code == 0, outcome.err
    checkpoint = run / "tiny.safetensors"
    assert checkpoints_in(run) == {"tiny.safetensors", "tiny.golden.safetensors"}
    assert json.loads(outcome.out)["checkpoint"] == str(checkpoint)

    info = read_info(checkpoint)
    assert info.trained_on == ("avsmix", "generated scenes")
    points = info.spec.operating_points
    assert points.keys() == {"recall", "balanced", "precision"}
    assert {each.threshold for each in points.values()} <= {*THRESHOLDS}
    assert {each.region_threshold for each in points.values()} <= {0.0, *REGION_THRESHOLDS}
    assert info.spec.operating_point("balanced") == points["balanced"]
    assert info.spec.temperature != tiny_couple_recipe().spec.temperature
    assert info.scores["sound_shift"] in SOUND_SHIFTS
    assert info.scores["calibration_error_after"] <= info.scores["calibration_error_before"]
    for share in ("scenes_mean_iou", "avsmix_val_mean_iou", "avsmix_val_kept_empty_silent"):
        assert 0.0 <= info.scores[share] <= 1.0
    assert {str(tensor.dtype) for tensor in load_file(checkpoint).values()} == {
        "torch.float16",
        "torch.int64",  # how many batches a normalisation has seen
    }

    assert avs("models", "verify", checkpoint).code == 0
    clip = make_video(tmp_path / "clip.mp4", seconds=1.0, fps=5, size_hw=(64, 96))
    used = avs("segment", clip, "-w", checkpoint, "-o", tmp_path / "out", "--write", "csv")
    assert used.code == 0, used.err


@pytest.fixture
def tagging(tmp_path: Path) -> Path:
    """Write a recipe whose sound encoder is a tagger."""
    spec = tiny_couple_recipe().spec
    architecture = {
        **spec.architecture,
        "audio_encoder": "mobile_tagger",
        "source_classes": f"{spec.architecture['source_classes']},horse",
    }
    tagger = dataclasses.replace(spec, architecture=architecture, log_mel="efficientat")
    return write_recipe(tmp_path / "tagging.toml", tiny_couple_recipe(spec=tagger))


def test_a_tagger_is_joined_with_what_it_learned_and_says_what_it_hears(
    avs: Avs, tagging: Path, avsmix: Path, tmp_path: Path
) -> None:
    sounds = write_further_sounds(
        tmp_path / "sounds", {"rain": "train", "machine": "train", "horse": "val", "music": "val"}
    )
    run = tmp_path / "run"
    data = ("--data", f"avsmix={avsmix}", "--sounds", sounds)
    outcome = avs("train", "-c", tagging, *data, "-o", run, "-q")
    assert outcome.code == 0, outcome.err
    checkpoint = run / "tiny.safetensors"
    assert read_info(checkpoint).trained_on == ("avsmix", "sounds", "generated scenes")
    numbers = load_file(checkpoint)["agreement.sound.evidence.tags"]
    assert numbers.tolist() != [1.0, 0.0]
    assert avs("models", "verify", checkpoint).code == 0

    clip = make_video(tmp_path / "clip.mp4", seconds=1.0, fps=5, size_hw=(64, 96))
    used = avs("segment", clip, "-w", checkpoint, "-o", tmp_path / "out")
    assert used.code == 0, used.err
    lines = (tmp_path / "out" / "clip.mp4" / "frames.jsonl").read_text().splitlines()
    heard = {sound["name"] for line in lines[1:] for sound in json.loads(line).get("heard", ())}
    assert heard
    assert heard <= set(audioset_names())


@pytest.mark.parametrize("recipe", ["mini", "s4"])
def test_further_sounds_without_pictures_are_refused(avs: Avs, recipe: str, tmp_path: Path) -> None:
    outcome = avs("train", "-c", recipe, "--sounds", tmp_path, "-o", tmp_path / "run")
    assert outcome.code == 2
    assert "--sounds" in outcome.err
    assert not (tmp_path / "run").exists()


def train_on_scenes(avs: Avs, tiny: Path, folder: Path, *options: str) -> Outcome:
    return avs("train", "-c", tiny, "-o", folder, "-q", "--json", *options)


def test_a_run_without_data_trains_on_scenes_and_says_so(
    avs: Avs, tiny: Path, tmp_path: Path
) -> None:
    outcome = train_on_scenes(avs, tiny, tmp_path / "run")
    assert outcome.code == 0, outcome.err
    info = read_info(tmp_path / "run" / "tiny.safetensors")
    assert info.trained_on == ("generated scenes",)
    assert not [name for name in info.scores if name.startswith("avsmix")]


@pytest.mark.parametrize("stage", ["calibrate", "_validation_scores"])
def test_a_run_that_is_stopped_on_the_way_to_its_checkpoint_has_none_and_goes_on(
    avs: Avs, tiny: Path, tmp_path: Path, stage: str
) -> None:
    def stop(*_args: object, **_options: object) -> NoReturn:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as ctrl_c:
        ctrl_c.setattr(couples, stage, stop)
        assert train_on_scenes(avs, tiny, tmp_path / "stopped").code == 130
    assert checkpoints_in(tmp_path / "stopped") == set()

    assert train_on_scenes(avs, tiny, tmp_path / "stopped").code == 7  # it holds a run
    assert train_on_scenes(avs, tiny, tmp_path / "stopped", "--resume").code == 0
    assert train_on_scenes(avs, tiny, tmp_path / "undisturbed").code == 0
    for name in ("tiny.safetensors", "tiny.golden.safetensors"):
        resumed, undisturbed = (tmp_path / run / name for run in ("stopped", "undisturbed"))
        assert sha256_of(resumed) == sha256_of(undisturbed)

"""A network that is one module and one line of the registry trains, segments and is evaluated."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from avscli.checkpoints import read_info
from avscli.networks import registry
from avscli.training.couples import run as couples
from tests.builders import make_video
from tests.conftest import Avs
from tests.recipes import TINY_CLIP_SPEC, tiny_couple_recipe, tiny_recipe, write_recipe


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a network: its module, and this line."""
    monkeypatch.setitem(registry._NETWORKS, "toy", "tests.toy_network")
    monkeypatch.setattr(couples, "NUM_SCENE_FRAMES", 10)


def trained(avs: Avs, kind: str, folder: Path) -> Path:
    toy = {"network": "toy", "architecture": {"channels": 4}}
    if kind == "couples":
        spec = dataclasses.replace(tiny_couple_recipe().spec, **toy)
        recipe = tiny_couple_recipe(spec=spec, sound_steps=0, frozen_blocks=0)
        data: tuple[str, ...] = ()
    else:
        recipe = tiny_recipe(spec=dataclasses.replace(TINY_CLIP_SPEC, **toy))
        data = ("--data", "scenes=4")
    path = write_recipe(folder / "toy.toml", recipe)
    outcome = avs("train", "-c", path, *data, "-o", folder / "run", "-q", "--json")
    assert outcome.code == 0, outcome.err
    return Path(json.loads(outcome.out)["checkpoint"])


@pytest.mark.parametrize("kind", ["couples", "clips"])
def test_a_new_network_trains_segments_and_is_evaluated(
    avs: Avs, tmp_path: Path, kind: str
) -> None:
    checkpoint = trained(avs, kind, tmp_path)
    assert read_info(checkpoint).spec.network == "toy"
    assert avs("models", "verify", checkpoint).code == 0

    clip = make_video(tmp_path / "clip.mp4", seconds=1.0, fps=5, size_hw=(64, 96))
    used = avs("segment", clip, "-w", checkpoint, "-o", tmp_path / "out")
    assert used.code == 0, used.err
    assert (tmp_path / "out" / "clip.mp4" / "frames.jsonl").read_text().count("\n") > 1

    data = ("--data", "scenes", "--limit", 6)
    scored = avs("eval", *data, "-w", checkpoint, "-o", tmp_path / "scored", "--json")
    assert scored.code == 0, scored.err
    assert 0.0 <= json.loads(scored.out)["protocols"]["avs"]["scores"]["mean_iou"]["value"] <= 1.0

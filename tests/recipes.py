"""Recipes whose networks are small enough to train in a test, and recipes as files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from avscli.datatypes import NetworkSpec
from avscli.training.clips.recipe import ClipRecipe
from avscli.training.couples.recipe import CoupleRecipe
from avscli.training.couples.samples import SCENE_NAMES
from avscli.training.recipe_files import Recipe, find_recipe
from tests.networks_for_tests import TINY_SPEC

TINY_CLIP_SPEC: NetworkSpec = dataclasses.replace(
    TINY_SPEC,
    clip_length=5,
    frame_size_hw=(32, 32),
    resize_mode="squash",
    architecture={**TINY_SPEC.architecture, "channels": 8, "avga_heads": 2, "qsca_heads": 2},
)


def tiny_recipe(**changes: Any) -> ClipRecipe:
    """Return a recipe of two clips a step for two epochs, all of the network trained."""
    values: dict[str, Any] = {
        "name": "tiny",
        "spec": TINY_CLIP_SPEC,
        "epochs": 2,
        "batch_clips": 2,
        "learning_rate": 1e-3,
        "freezes_audio": False,
        "seed": 1,
    }
    return ClipRecipe(**(values | changes))


def tiny_couple_recipe(**changes: Any) -> CoupleRecipe:
    """Return the recipe mini with a small network, for one step of sounds and four of couples."""
    mini = find_recipe("mini")
    assert isinstance(mini, CoupleRecipe)
    architecture = {**TINY_SPEC.architecture, "source_classes": ",".join(SCENE_NAMES)}
    values: dict[str, Any] = {
        "name": "tiny",
        "spec": dataclasses.replace(TINY_SPEC, clip_length=1, architecture=architecture),
        "sound_steps": 1,
        "sound_batch_samples": 4,
        "steps": 4,
        "batch_samples": 4,
        "sample_size_hw": (64, 64),
        "late_size_hw": (64, 64),
    }
    return dataclasses.replace(mini, **(values | changes))


def write_recipe(path: Path, recipe: Recipe) -> Path:
    """Write a recipe as the .toml file that it could have come from."""
    lines = []
    for name, value in recipe.fingerprint().items():
        if not isinstance(value, dict | None):
            lines.append(f"{name} = {json.dumps(value)}")
    if isinstance(recipe, ClipRecipe):
        lines.append(f"epochs = {recipe.epochs}")
    spec = recipe.spec.to_json()
    architecture = spec.pop("architecture")
    tables = {
        "loss_weights": recipe.loss_weights,
        "spec": spec,
        "spec.architecture": architecture,
    }
    for table, values in tables.items():
        lines.append(f"[{table}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path

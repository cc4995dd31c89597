"""A recipe on clips whose network is small enough to train in a test."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from avscli.datatypes import NetworkSpec
from avscli.training.clips.recipe import ClipRecipe
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


def write_recipe(path: Path, recipe: ClipRecipe) -> Path:
    """Write a recipe as the .toml file that it could have come from."""
    lines = []
    for name, value in recipe.fingerprint().items():
        if not isinstance(value, dict):
            lines.append(f"{name} = {json.dumps(value)}")
    lines.insert(0, f"epochs = {recipe.epochs}")
    spec = recipe.spec.to_json()
    architecture = spec.pop("architecture")
    for table, values in (("spec", spec), ("spec.architecture", architecture)):
        lines.append(f"[{table}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path

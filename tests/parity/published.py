"""Rule-made weights and reference numbers, made or read once per session."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import torch

from tests.parity import rule

DATA = Path(__file__).parent / "data"
S4_SEEDS = {"pvt": 1, "resnet": 2}  # as in the reference files' names


def published_keys(name: str) -> dict[str, tuple[int, ...]]:
    """Published key → shape, from data/keys_{name}.json."""
    table = json.loads((DATA / f"keys_{name}.json").read_text(encoding="utf-8"))
    return {key: tuple(shape) for key, shape in table.items()}


@cache
def reference(file_name: str) -> dict[str, np.ndarray]:
    with np.load(DATA / file_name) as arrays:
        return dict(arrays)


@cache
def _rule_tensor(key: str, shape: tuple[int, ...], seed: int, is_norm: bool) -> torch.Tensor:
    return torch.from_numpy(np.asarray(rule.rule_tensor(key, shape, seed, is_norm)))


def rule_weights(keys: dict[str, tuple[int, ...]], seed: int) -> dict[str, torch.Tensor]:
    """`rule.rule_state_dict`, drawing each key only once per session; do not write into it."""
    weights = {}
    for key, shape in keys.items():
        scale = key.rpartition(".")[0] + ".weight"
        is_norm = scale in keys and len(keys[scale]) == 1
        weights[key] = _rule_tensor(key, shape, seed, is_norm)
    return weights

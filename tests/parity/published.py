"""Rule-made weights and reference numbers, made or read once per session."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import torch

from tests.parity import baseline_rule, rule

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


ENCODERS = ("encoder_backbone.", "resnet.")


def baseline_keys(name: str) -> dict[str, tuple[int, ...]]:
    """Published key → shape of TPAVI, CATR or C3N: the encoder's are those of PCMANet's file."""
    encoder = published_keys("s4_resnet" if "resnet" in name else "s4_pvt")
    same = {key: shape for key, shape in encoder.items() if key.startswith(ENCODERS)}
    return same | published_keys(name)


def baseline_weights(name: str, seed: int) -> dict[str, torch.Tensor]:
    """`baseline_rule.state_dict` for the keys in data/keys_{name}.json; do not write into it."""
    keys, network = baseline_keys(name), name.partition("_")[0]
    encoder = {key: shape for key, shape in keys.items() if key.startswith(ENCODERS)}
    others = {key: shape for key, shape in keys.items() if key not in encoder}
    by_rule = baseline_rule.state_dict(network, others, seed)
    return rule_weights(encoder, seed) | {k: torch.from_numpy(v) for k, v in by_rule.items()}


def rule_weights(keys: dict[str, tuple[int, ...]], seed: int) -> dict[str, torch.Tensor]:
    """`rule.rule_state_dict`, drawing each key only once per session; do not write into it."""
    weights = {}
    for key, shape in keys.items():
        scale = key.rpartition(".")[0] + ".weight"
        is_norm = scale in keys and len(keys[scale]) == 1
        weights[key] = _rule_tensor(key, shape, seed, is_norm)
    return weights

"""What comparisons with the published networks' numbers share."""

import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from tests.parity.reduce_reference import EVERY

FEATURES = {"rtol": 1e-4, "atol": 1e-4}
LOGITS = {"rtol": 0.0, "atol": 5e-4}
SETTLED = 5e-4  # logits this far from 0 have the published sign


def crc(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


def weights_crc(weights: Mapping[str, torch.Tensor]) -> int:
    folded = 0
    for key, value in weights.items():
        folded ^= zlib.crc32(key.encode()) ^ crc(value.numpy())
    return folded


def mean_std(maps: np.ndarray) -> np.ndarray:
    """Statistics per channel over frames and space: [2, C]."""
    wide = maps.astype(np.float64)
    return np.stack([wide.mean((0, 2, 3)), wide.std((0, 2, 3))])


def watch(parts: dict[str, np.ndarray], name: str, part: nn.Module) -> None:
    """Keep what a part passes on, the first thing of several, under a name."""

    def keep(_: nn.Module, __: object, output: object) -> None:
        first = output[0] if isinstance(output, tuple) else output
        parts[name] = first.numpy()  # type: ignore[attr-defined]

    part.register_forward_hook(keep)


def compare_statistics(
    parts: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], name: str
) -> None:
    statistics = np.stack([expected[f"{name}_mean"], expected[f"{name}_std"]])
    np.testing.assert_allclose(mean_std(parts[name]), statistics, **FEATURES)


def compare_logits(logits: np.ndarray, expected: Mapping[str, np.ndarray]) -> None:
    """Compare [N, 1, H, W] logits with the published ones, and their signs bit for bit."""
    few = expected[f"logits_every{EVERY}"]
    np.testing.assert_allclose(logits[..., ::EVERY, ::EVERY], few, **LOGITS)
    bits = np.unpackbits(expected["mask_packed"], count=logits.size).astype(bool)
    differs = (logits > 0) != bits.reshape(logits.shape)
    assert not (differs & (np.abs(logits) > SETTLED)).any()

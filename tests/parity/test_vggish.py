"""VGGish against the published numbers (data/README.md)."""

import numpy as np
import pytest
import torch

from avscli.networks.backbones.vggish import (
    VGGish,
    load_audioset_vggish,
)
from tests.parity import rule
from tests.parity.published import published_keys, reference, rule_weights

SIGNALS = ("synthetic", "w16m", "w441s")
SEED = 1


def patches(signal: str) -> torch.Tensor:
    if signal == "synthetic":
        return torch.from_numpy(rule.logmel(SEED, 5))
    file_name = "log_mel_seed1.npz" if signal == "w16m" else "vggish_seed1.npz"
    return torch.from_numpy(reference(file_name)[f"{signal}_logmel"])


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return rule_weights(published_keys("vggish_pca"), SEED)


@pytest.fixture(scope="module")
def network(weights: dict[str, torch.Tensor]) -> VGGish:
    network = VGGish().eval()
    load_audioset_vggish(network, weights)
    return network


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_embedding_is_the_published_one(network: VGGish, signal: str) -> None:
    with torch.inference_mode():
        embedding = network(patches(signal))
    expected = reference("vggish_seed1.npz")[f"{signal}_embedding"]
    np.testing.assert_allclose(embedding.numpy(), expected, rtol=0, atol=1e-4)
    assert embedding.min() >= 0.0

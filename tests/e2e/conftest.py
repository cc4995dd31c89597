"""A checkpoint that marks about half of every picture, and ``avs segment`` with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from avscli.datatypes import NetworkInput
from tests.builders import drawn_frame
from tests.conftest import Avs
from tests.e2e.results import Run, read_run
from tests.networks_for_tests import TINY_SPEC, make_network, save_tiny

Segment = Callable[..., Run]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny random checkpoint whose masks are neither empty nor full."""
    network = make_network()
    last = network.heads[0][-1]  # an affine map to the finest logits; nothing else reads them
    height, width = TINY_SPEC.frame_size_hw
    picture = torch.from_numpy(drawn_frame(5, (height, width))).permute(2, 0, 1)
    inputs = NetworkInput(
        frames=(picture / 127.5 - 1.0).expand(1, 3, -1, -1, -1).contiguous(),
        log_mel=torch.full((1, 3, 1, 96, 64), -2.0),
        valid=torch.ones(1, 3, dtype=torch.bool),
    )
    with torch.inference_mode():
        logits = network(inputs).logits
    scale = 3.0 / logits.std()
    last.weight.data *= scale
    last.bias.data = (last.bias.data - logits.median()) * scale
    return save_tiny(tmp_path_factory.mktemp("weights") / "tiny.safetensors", network)


@pytest.fixture
def segment(avs: Avs, weights: Path, tmp_path: Path) -> Segment:
    """Return a function that runs ``avs segment`` on a file and reads what it wrote.

    It analyses four frames a second, as a person in a hurry would; later options win.
    """

    def call(source: Path, *options: object, into: str = "out") -> Run:
        root = tmp_path / into
        outcome = avs("segment", source, "-o", root, "-w", weights, "--fps", 4, *options)
        assert outcome.code == 0, outcome.err
        return read_run(root / source.name, outcome)

    return call

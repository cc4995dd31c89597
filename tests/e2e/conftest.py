"""A checkpoint that marks about half of every picture, and ``avs segment`` with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Avs
from tests.e2e.results import Run, read_run
from tests.networks_for_tests import save_marking

Segment = Callable[..., Run]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny random checkpoint whose masks are neither empty nor full."""
    return save_marking(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


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

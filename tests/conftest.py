"""What every test may count on: a random state of its own, and the markers' conditions."""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

# Read when torch is first imported: networks this small run fastest in one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Of all tests of a session, and nobody's own; what xdist starts inherits it.
os.environ.setdefault("AVS_CACHE_DIR", tempfile.mkdtemp(prefix="avs-cache-"))

SHARED = Path(__file__).parents[2] / "shared"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine has not got; AVSCLI_REQUIRE_GPU=1 turns those skips to failures."""
    if item.get_closest_marker("shared") and not SHARED.is_dir():
        pytest.skip("needs the data beside the project (../shared)")
    if item.get_closest_marker("gpu") and not _has_cuda():
        message = "needs a CUDA device"
        if os.environ.get("AVSCLI_REQUIRE_GPU") == "1":
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture(autouse=True)
def _own_random_state() -> Iterator[None]:
    """Leave the global generators as they were, so that no test depends on those before it."""
    torch = sys.modules.get("torch")
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 – others' code may use it
    torch_before = None if torch is None else torch.random.get_rng_state()
    yield
    random.setstate(before[0])
    np.random.set_state(before[1])  # noqa: NPY002
    if torch is not None:
        torch.random.set_rng_state(torch_before)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder where temporary files go, of this test alone."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@dataclass(frozen=True)
class Outcome:
    """How a call of ``avs`` ended."""

    code: int
    out: str
    err: str


Avs = Callable[..., Outcome]


@pytest.fixture
def avs(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Avs:
    """Return a function that runs ``avs ARGS`` in this process, by the code a shell would run."""
    from avscli import cli

    def call(*args: object) -> Outcome:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["avs", *map(str, args)])
        ending = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
        before = {number: signal.getsignal(number) for number in ending}
        try:
            with pytest.raises(SystemExit) as ended:
                cli.main()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        code = ended.value.code
        assert isinstance(code, int)
        return Outcome(int(code), *capfd.readouterr())

    return call


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """Let tests and their children be interrupted even where a shell has put them in background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()

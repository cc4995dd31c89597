"""A stream gives what the whole file gives, and ends at once when something fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from avscli.datatypes import NetworkInput, NetworkOutput
from avscli.devices import TorchRuntime
from avscli.errors import MediaError, OutputError
from avscli.media.frames import FrameReader
from avscli.outputs.confidence import ConfidenceSink
from avscli.outputs.journal import JournalSink
from avscli.outputs.overlay import OverlaySink
from tests.builders import make_video
from tests.conftest import Avs
from tests.e2e.conftest import Segment

SIZE_HW = (64, 96)


@pytest.mark.parametrize("fps", ["4", "native"])
def test_masks_do_not_depend_on_how_clips_are_batched(
    segment: Segment, tmp_path: Path, fps: str
) -> None:
    source = make_video(tmp_path / "a.mp4", seconds=4, fps=5, size_hw=SIZE_HW)
    one = segment(source, "--fps", fps, "--batch-clips", 1, into="one")
    four = segment(source, "--fps", fps, "--batch-clips", 4, into="four")
    assert len(one.entries) == len(four.entries) == 20
    for index, (entry, other) in enumerate(zip(one.entries, four.entries, strict=True)):
        assert np.array_equal(one.mask(index), four.mask(index))
        assert entry["state"] == other["state"]
        assert entry["score"] == pytest.approx(other["score"], abs=1e-4)


def test_the_default_batch_gives_the_masks_of_one_at_a_time(
    segment: Segment, tmp_path: Path
) -> None:
    source = make_video(tmp_path / "a.mp4", seconds=2, fps=5, size_hw=SIZE_HW)
    default, one = segment(source, into="default"), segment(source, "--batch-clips", 1, into="one")
    assert [e["objects"] for e in default.entries] == [e["objects"] for e in one.entries]


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    return make_video(folder / "long.mp4", seconds=30, fps=20, size_hw=SIZE_HW)


PASSES_AFTER_A_FAILURE = 2  # of the 200 that the long clip takes


class PassesOfTheNetwork:
    """Counts how often the network runs.

    Attributes:
        number: of its passes so far.
        allowed: how many there may be when the run has ended.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = self.allowed = 0
        forward = TorchRuntime.forward

        def counted(runtime: TorchRuntime, inputs: NetworkInput) -> NetworkOutput:
            self.number += 1
            return forward(runtime, inputs)

        monkeypatch.setattr(TorchRuntime, "forward", counted)


DISK, BUG, CTRL_C = OutputError("disk gone"), RuntimeError("a bug"), KeyboardInterrupt()
ENDINGS = {
    DISK: (7, "error: disk gone"),
    BUG: (1, "internal error: RuntimeError: a bug"),
    CTRL_C: (130, "interrupted"),
}
# Everything but the journal is an extra output, whose bugs end nothing (docs/decisions/0010).
FAILURES = [
    *product(
        [(JournalSink, "write"), (TorchRuntime, "forward"), (FrameReader, "_stamped")], ENDINGS
    ),
    *product([(OverlaySink, "write"), (OverlaySink, "_blend")], [DISK, CTRL_C]),
    *product([(ConfidenceSink, "write")], [DISK, CTRL_C]),
]


@pytest.mark.parametrize(
    ("place", "error"),
    FAILURES,
    ids=lambda v: f"{v[0].__name__}.{v[1]}" if isinstance(v, tuple) else type(v).__name__,
)
def test_a_failure_anywhere_ends_the_run_at_once(
    avs: Avs,
    weights: Path,
    long_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: tuple[type, str],
    error: BaseException,
) -> None:
    code, says = ENDINGS[error]
    passes = PassesOfTheNetwork(monkeypatch)

    def fail(*_args: object) -> None:
        passes.allowed = passes.number + PASSES_AFTER_A_FAILURE
        raise error

    monkeypatch.setattr(*place, fail)
    threads = set(threading.enumerate())
    outcome = avs("segment", long_clip, "-o", tmp_path / "out", "-w", weights, "--quiet")
    assert passes.number <= passes.allowed
    assert outcome.code == code
    assert outcome.out == ""
    assert outcome.err.startswith(says)
    assert set(threading.enumerate()) <= threads
    assert not (tmp_path / "out").exists()


def failing_after(num_calls: int, method: Callable[..., object]) -> Callable[..., object]:
    calls = iter(range(num_calls))

    def wrapped(*args: object) -> object:
        if next(calls, None) is None:
            raise MediaError("the cable was pulled")
        return method(*args)

    return wrapped


def test_a_failure_in_the_middle_ends_the_run_too(
    avs: Avs, weights: Path, long_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TorchRuntime, "forward", failing_after(30, TorchRuntime.forward))
    threads = set(threading.enumerate())
    outcome = avs("segment", long_clip, "-o", tmp_path / "out", "-w", weights, "--quiet")
    assert (outcome.code, outcome.err) == (3, "error: the cable was pulled\n")
    assert set(threading.enumerate()) <= threads
    assert not (tmp_path / "out").exists()

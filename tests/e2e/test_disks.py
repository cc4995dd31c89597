"""Disks that are full or read-only: said with its code, and what lay there stays as it was."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Avs, Outcome
from tests.e2e.batches import make_clips
from tests.e2e.results import require_refusal
from tests.e2e.test_refusals import files_of_at_most, small_disk

Command = Callable[[Path], Outcome]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clips(tmp_path_factory.mktemp("disks") / "clips", ["a.mp4", "b.mkv"])


@pytest.fixture
def run(avs: Avs, weights: Path, clips: Path, tmp_path: Path) -> Path:
    """Return the folder of a finished run."""
    outcome = avs("segment", clips / "a.mp4", "-o", tmp_path / "runs", "-w", weights, "--fps", 4)
    assert outcome.code == 0, outcome.err
    return tmp_path / "runs" / "a.mp4"


@pytest.fixture
def evaluate(avs: Avs, run: Path) -> Command:
    return lambda output: avs("eval", "--pred", run, "--gt", run, "-o", output, "--overwrite")


@pytest.fixture
def batch(avs: Avs, weights: Path, clips: Path) -> Command:
    return lambda output: avs("batch", clips, "-o", output, "-w", weights, "--fps", 4, "-q")


@pytest.fixture
def command(request: pytest.FixtureRequest) -> Command:
    found: Command = request.getfixturevalue(request.param)
    return found


both = pytest.mark.parametrize("command", ["evaluate", "batch"], indirect=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@both
def test_a_read_only_disk_is_refused_and_stays_as_it_was(command: Command, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=1m") as disk:
        assert command(disk / "out").code in (0, 8)  # 8: too little space for some of the clips
        before = contents(disk)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for name in ("out", "new"):
            assert str(disk / name) in require_refusal(command(disk / name), 7)
            assert contents(disk) == before


@pytest.mark.parametrize("size", ["4k", "8k", "16k"])
def test_an_evaluation_that_does_not_fit_leaves_nothing(
    evaluate: Command, tmp_path: Path, size: str
) -> None:
    with small_disk(tmp_path / "disk", f"size={size}") as disk:
        assert "No space left on device" in require_refusal(evaluate(disk / "out"), 7)
        assert list(disk.iterdir()) == []


@pytest.mark.parametrize("num_bytes", [2000, 5000])
def test_an_evaluation_that_cannot_be_replaced_stays_as_it_was(
    evaluate: Command, tmp_path: Path, num_bytes: int
) -> None:
    output = tmp_path / "evaluation"
    assert evaluate(output).code == 0
    before = contents(output)
    with files_of_at_most(num_bytes):
        require_refusal(evaluate(output), 7)
    assert contents(output) == before


def test_a_batch_on_a_disk_without_any_space_begins_nothing(batch: Command, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=8k") as disk:
        (disk / "taken").write_bytes(bytes(4096))
        outcome = batch(disk / "out")
        assert outcome.code == 7
        assert "No space left on device" in outcome.err
        assert {path.name for path in disk.rglob("*") if path.is_file()} == {
            "taken",
            "manifest.jsonl",  # that there was no space: the same command carries on
        }

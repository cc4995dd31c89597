"""An output that fails costs only itself: nothing of it is left, and it is told once."""

from __future__ import annotations

import errno
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import pytest

from avscli.errors import DataError, ExtraOutputError, MediaError, OutputError
from avscli.outputs.confidence import CONFIDENCE_NAME, ConfidenceSink
from avscli.outputs.disk import output_errors
from avscli.outputs.extra import ExtraSink, extra_output
from avscli.results import FramePrediction
from tests.unit.outputs.drawn import make_prediction

When = Literal["enter", "write", "exit", "never"]


class BrittleSink:
    """Writes a line per frame, and breaks when it is told to."""

    def __init__(self, path: Path, error: Exception, when: When) -> None:
        self._path, self._error, self._when = path, error, when
        self.left_with: list[type[BaseException] | None] = []

    def __enter__(self) -> Self:
        self._path.write_text("begun\n")
        self._break("enter")
        return self

    def write(self, prediction: FramePrediction) -> None:
        if prediction.stamp.index == 2:
            self._break("write")
        with self._path.open("a") as file:
            file.write(f"{prediction.stamp.index}\n")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.left_with.append(kind)
        if kind is None:
            self._break("exit")

    def _break(self, moment: When) -> None:
        if self._when == moment:
            raise self._error


def run(sink: BrittleSink, folder: Path) -> list[str]:
    """Write five frames to a sink that may break and to one that holds; return what was told."""
    told: list[str] = []
    with ExitStack() as stack:
        extra = stack.enter_context(ExtraSink(sink, folder / "extra.txt", told.append))
        other = stack.enter_context(ConfidenceSink(folder))
        for index in range(5):
            extra.write(make_prediction(index))
            other.write(make_prediction(index))
    return told


@pytest.mark.parametrize("when", ["enter", "write", "exit"])
@pytest.mark.parametrize(
    "error",
    [
        ExtraOutputError("it broke"),
        MediaError("it broke"),
        DataError("it broke"),
        ValueError("it broke"),
        MemoryError("it broke"),
        ExtraOutputError(""),
    ],
    ids=lambda error: f"{type(error).__name__}({error})",
)
def test_whatever_breaks_an_extra_output_leaves_the_others_whole(
    tmp_path: Path, when: When, error: Exception
) -> None:
    told = run(BrittleSink(tmp_path / "extra.txt", error, when), tmp_path)
    assert told == [str(error) or "ExtraOutputError"]
    assert [path.name for path in tmp_path.iterdir()] == [CONFIDENCE_NAME]
    assert len((tmp_path / CONFIDENCE_NAME).read_text().splitlines()) == 6


def test_one_that_does_not_break_is_written_whole(tmp_path: Path) -> None:
    sink = BrittleSink(tmp_path / "extra.txt", ValueError(), "never")
    assert run(sink, tmp_path) == []
    assert (tmp_path / "extra.txt").read_text().split() == ["begun", "0", "1", "2", "3", "4"]
    assert sink.left_with == [None]


@pytest.mark.parametrize("when", ["enter", "write", "exit"])
def test_a_full_disk_ends_the_run(tmp_path: Path, when: When) -> None:
    sink = BrittleSink(tmp_path / "extra.txt", OutputError("cannot write: full"), when)
    with pytest.raises(OutputError, match="full"):
        run(sink, tmp_path)
    assert len(sink.left_with) == (0 if when == "enter" else 1)


def test_a_sink_that_broke_is_let_go_of_once_and_with_its_error(tmp_path: Path) -> None:
    sink = BrittleSink(tmp_path / "extra.txt", ValueError("it broke"), "write")
    run(sink, tmp_path)
    assert sink.left_with == [ValueError]


def test_an_error_beside_an_extra_output_goes_on_its_way(tmp_path: Path) -> None:
    sink = BrittleSink(tmp_path / "extra.txt", ValueError(), "never")
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt), ExtraSink(sink, tmp_path / "extra.txt", told.append):
        raise KeyboardInterrupt
    assert sink.left_with == [KeyboardInterrupt]
    assert told == []


def test_a_single_step_that_fails_is_told_and_its_half_removed(tmp_path: Path) -> None:
    told: list[str] = []
    path = tmp_path / "masks.json"
    with extra_output(path, told.append):
        path.write_text('{"half":')
        raise ValueError("not a number")
    assert told == ["not a number"]
    assert not path.exists()


def test_a_disk_that_fills_up_in_a_single_step_ends_the_run(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    path = tmp_path / "masks.json"
    with (
        pytest.raises(OutputError, match="No space left"),
        extra_output(path, pytest.fail),
        output_errors(path),
    ):
        raise full

"""Disks that are full, through a device that always is."""

import errno
import json
import math
from pathlib import Path

import pytest

from avscli.errors import ExitCode, OutputError
from avscli.outputs.confidence import CONFIDENCE_NAME, ConfidenceSink
from avscli.outputs.disk import (
    LineFile,
    folder_for_results,
    output_errors,
    write_atomically,
    write_together,
)
from avscli.outputs.journal import JOURNAL_NAME, JournalSink
from avscli.outputs.run_record import write_run_record
from avscli.results import SegmentationReport
from tests.e2e.test_refusals import files_of_at_most
from tests.unit.outputs.drawn import blob, make_prediction

FULL = Path("/dev/full")
needs_full_disk = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


def full_file(path: Path) -> Path:
    path.symlink_to(FULL)
    return path


def write_lines(path: Path, count: int, error: BaseException | None = None) -> None:
    with LineFile(path) as file:
        for _ in range(count):
            file.write("a line that fills the buffer sooner or later")
        if error is not None:
            raise error


def write_frames(sink: JournalSink | ConfidenceSink, count: int) -> None:
    with sink:
        for index in range(count):
            sink.write(make_prediction(index, blob(index % 3)))


@needs_full_disk
def test_a_full_disk_is_an_output_error_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No space left on device") as caught:
        write_lines(full_file(tmp_path / "x.csv"), 10_000)
    assert caught.value.exit_code == ExitCode.BAD_OUTPUT
    assert "x.csv" in str(caught.value)
    assert "free some space" in caught.value.hint


@needs_full_disk
def test_a_disk_that_fills_up_on_closing_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No space left"):
        write_lines(full_file(tmp_path / "x.csv"), 1)


@needs_full_disk
def test_an_earlier_error_is_not_hidden_by_the_full_disk(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_lines(full_file(tmp_path / "x.csv"), 1, KeyboardInterrupt())


@needs_full_disk
@pytest.mark.parametrize(
    ("sink_type", "name"), [(JournalSink, JOURNAL_NAME), (ConfidenceSink, CONFIDENCE_NAME)]
)
def test_every_text_sink_reports_a_full_disk(
    tmp_path: Path, sink_type: type[JournalSink] | type[ConfidenceSink], name: str
) -> None:
    full_file(tmp_path / name)
    with pytest.raises(OutputError, match=f"{name}: No space left"):
        write_frames(sink_type(tmp_path), 1000)


@needs_full_disk
def test_an_atomic_write_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_atomically(path, "old")
    full_file(tmp_path / ".run.json.new")
    with pytest.raises(OutputError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EACCES, "may write"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "another folder"),
    ],
)
def test_system_errors_become_output_errors_with_a_hint(number: int, hint: str) -> None:
    error = OSError(number, "reason")
    with (
        pytest.raises(OutputError, match=r"cannot write a/b: reason") as caught,
        output_errors(Path("a/b")),
    ):
        raise error
    assert hint in caught.value.hint
    assert caught.value.__cause__ is error


def make_report(**changes: object) -> SegmentationReport:
    values = {
        name: {} if "Mapping" in str(kind) else 0
        for name, kind in SegmentationReport.__annotations__.items()
    }
    return SegmentationReport(**(values | changes))  # type: ignore[arg-type]


def test_the_run_record_is_the_report_as_json(tmp_path: Path) -> None:
    report = make_report(status="done", warnings=("naïve",), timings_seconds={"total": 1.5})
    path = write_run_record(tmp_path, report)
    document = json.loads(path.read_text(encoding="utf-8"))
    assert path.name == "run.json"
    assert document["status"] == "done"
    assert document["warnings"] == ["naïve"]
    assert document["timings_seconds"] == {"total": 1.5}
    assert set(document) == set(SegmentationReport.__annotations__)


def test_a_report_that_json_cannot_express_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_run_record(tmp_path, make_report(mean_score=math.nan))
    assert list(tmp_path.iterdir()) == []


def test_files_that_belong_together_appear_together_or_not_at_all(tmp_path: Path) -> None:
    texts = {tmp_path / name: name for name in ("first", "absent/third")}
    with pytest.raises(OutputError, match="third"):
        write_together(texts)
    assert not list(tmp_path.iterdir())
    write_together({tmp_path / "first": "1", tmp_path / "other": "2"})
    assert (tmp_path / "first").read_text() == "1"
    assert (tmp_path / "other").read_text() == "2"


@pytest.mark.parametrize("before", [(), ("notes.txt",)], ids=["new", "with something in it"])
def test_a_folder_whose_files_do_not_fit_is_as_it_was(
    tmp_path: Path, before: tuple[str, ...]
) -> None:
    folder = tmp_path / "a" / "b"
    for name in before:
        write_in(folder, {name: "mine"})
    with files_of_at_most(1000), pytest.raises(OutputError, match="File too large"):
        write_in(folder, {"x.csv": "1", "y.json": "é" * 1000})
    found = {path.name for path in tmp_path.rglob("*")}
    assert found == ({"a", "b", *before} if before else set())


def write_in(folder: Path, texts: dict[str, str]) -> None:
    with folder_for_results(folder):
        write_together({folder / name: text for name, text in texts.items()})

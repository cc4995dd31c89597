"""Streams as a shell hands them over: in any encoding, closed, full, or left by their reader."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.builders import make_video
from tests.conftest import Outcome
from tests.e2e.batches import make_clips
from tests.e2e.test_process import AVS, PATIENCE_SECONDS, wait_until

READER_LEFT = 128 + signal.SIGPIPE
NAMES = {"emoji": "😀.mp4", "Greek": "βίντεο.mp4", "combining": "é.mp4", "no text": "bad\udcff.mp4"}
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


def in_shell(command: str, *args: object, encoding: str = "utf-8") -> Outcome:
    """Run a line of bash in which "$@" is avs with arguments."""
    done = subprocess.run(
        ["bash", "-c", command, "bash", *AVS, *map(os.fspath, args)],
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    return Outcome(done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "clip.mp4", seconds=0.5, fps=10, size_hw=(64, 96))


@pytest.fixture(scope="session")
def tiny(weights: Path) -> tuple[object, ...]:
    """Options of a run that takes no time."""
    return ("-w", weights, "--fps", "4", "--write", "csv", "--quiet")


# --- names that an encoding lacks -----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "encoding", "shown"),
    [
        ("😀.mp4", "cp1252", rb"\U0001f600.mp4"),
        ("😀.mp4", "utf-8", "😀.mp4".encode()),
        ("café.mp4", "cp437", b"caf\x82.mp4"),
        ("bad\udcff.mp4", "ascii", b"bad\xff.mp4"),
    ],
)
def test_a_result_is_told_in_any_encoding(
    tiny: tuple[object, ...], clip: Path, name: str, encoding: str, shown: bytes
) -> None:
    source = clip.rename(clip.with_name(name))
    output = clip.parent / "out"
    outcome = in_shell('"$@"', "segment", source, "-o", output, *tiny, encoding=encoding)
    assert (outcome.code, outcome.err) == (0, "")
    assert os.fsencode(outcome.out) == os.fsencode(output) + b"/" + shown + b"\n"
    assert (output / name / "run.json").is_file()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-16"])
@pytest.mark.parametrize(
    "args", [["--help"], ["batch", "--help"], ["models", "list"]], ids=" ".join
)
def test_help_and_tables_are_shown_in_any_encoding(args: list[str], encoding: str) -> None:
    outcome = in_shell('"$@"', *args, encoding=encoding)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out


def test_a_batch_tells_names_that_its_encoding_lacks(
    tiny: tuple[object, ...], tmp_path: Path
) -> None:
    clips = make_clips(tmp_path / "clips", NAMES.values())
    (clips / "кино.mp4").write_bytes(b"")
    args = ("batch", clips, "-o", tmp_path / "out", *tiny[:-1])
    outcome = in_shell('"$@"', *args, encoding="ascii")
    assert outcome.code == 8
    assert outcome.out.isascii()
    assert r"\u043a\u0438\u043d\u043e.mp4" in outcome.err
    assert outcome.out.count("done") == len(NAMES)


# --- streams that are closed, full or left --------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [["--help"], ["--version"], ["models", "list"], ["models", "list", "--json"]],
    ids=" ".join,
)
@pytest.mark.parametrize("place", [pytest.param("/dev/full", marks=needs_full), "&-"])
def test_results_that_cannot_be_written_are_one_error(args: list[str], place: str) -> None:
    outcome = in_shell(f'"$@" >{place}', *args)
    error, hint = outcome.err.splitlines()
    assert outcome.code == 7
    assert error.startswith("error: cannot write to standard output: ")
    assert hint.startswith("hint: ")


@needs_full
def test_a_result_that_cannot_be_told_is_there_all_the_same(
    tiny: tuple[object, ...], clip: Path
) -> None:
    output = clip.parent / "out"
    outcome = in_shell('"$@" >/dev/full', "segment", clip, "-o", output, *tiny)
    assert outcome.code == 7
    assert outcome.err.startswith("error: cannot write to standard output")
    assert (output / clip.name / "run.json").is_file()


@pytest.mark.parametrize("args", [["--help"], ["models", "list"], ["--version"]], ids=" ".join)
def test_a_reader_that_leaves_ends_it_without_a_word(args: list[str]) -> None:
    # In a plain pipe, a reader that gets no core in time would still be there.
    outcome = in_shell('exec 3> >(true); wait $!; "$@" >&3', *args)
    assert (outcome.code, outcome.err) == (READER_LEFT, "")


def test_events_nobody_reads_end_a_batch_and_leave_nothing_half_written(
    tiny: tuple[object, ...], tmp_path: Path
) -> None:
    clips = make_clips(tmp_path / "clips", ["a.mp4", "b.mp4", "c.mp4"])
    args = ("batch", clips, "-o", tmp_path / "out", "--json", *tiny)
    outcome = in_shell('"$@" | head -n 1; exit ${PIPESTATUS[0]}', *args)
    assert (outcome.code, outcome.err) == (READER_LEFT, "")
    assert json.loads(outcome.out)["event"] == "planned"
    assert not list((tmp_path / "out").glob("*.partial"))
    again = in_shell('"$@"', *args)
    assert again.code == 0
    assert json.loads(again.out.splitlines()[-1])["event"] == "end"


@pytest.mark.parametrize("place", [pytest.param("/dev/full", marks=needs_full), "&-"])
def test_messages_that_cannot_be_written_cost_nothing(
    tiny: tuple[object, ...], clip: Path, place: str
) -> None:
    output = clip.parent / "out"
    args = ("segment", clip, "-o", output, *tiny[:-1])
    outcome = in_shell(f'"$@" 2>{place}', *args)
    assert (outcome.code, outcome.out) == (0, f"{output / clip.name}\n")
    assert in_shell(f'"$@" 2>{place}', *args).code == 7, "it exists, and the code says so"


def test_messages_nobody_reads_cost_nothing(tiny: tuple[object, ...], clip: Path) -> None:
    output = clip.parent / "out"
    args = ("segment", clip, "-o", output, *tiny[:-1])
    outcome = in_shell('{ "$@" 2>&3 | cat; exit ${PIPESTATUS[0]}; } 3> >(true)', *args)
    assert (outcome.code, outcome.out) == (0, f"{output / clip.name}\n")


@pytest.mark.parametrize("closed", ["<&-", "<&- 2>&-", "<&- >&- 2>&-", "2>&-"])
def test_no_file_of_a_run_gets_the_number_of_a_closed_stream(
    tiny: tuple[object, ...], tmp_path: Path, closed: str
) -> None:
    """Whatever FFmpeg says on descriptor 2 would be in the manifest otherwise."""
    clips = make_clips(tmp_path / "clips", ["a.mp4"])
    whole = (clips / "a.mp4").read_bytes()
    (clips / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    in_shell(f'"$@" {closed}', "batch", clips, "-o", tmp_path / "out", *tiny)
    lines = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["event"] for line in lines) == ["result", "result", "run"]


def test_standard_input_that_is_closed_holds_no_names(tmp_path: Path) -> None:
    outcome = in_shell('"$@" <&-', "batch", "-", "-o", tmp_path / "out")
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")


# --- signals --------------------------------------------------------------------------------


def in_the_middle(tmp_path: Path, weights: Path, prefix: list[str]) -> subprocess.Popen[str]:
    """Start ``avs segment`` and return when it is writing."""
    source = make_video(tmp_path / "long.mp4", seconds=30, fps=20, size_hw=(64, 96))
    output = tmp_path / "out"
    process = subprocess.Popen(
        [*prefix, *AVS, "segment", source, "-o", output, "-w", weights, "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    partial = output / "long.mp4.partial" / "overlay.mp4"
    wait_until(lambda: partial.exists() or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    return process


@pytest.mark.parametrize("times", [1, 2])
def test_a_terminal_that_closes_leaves_nothing_behind(
    tmp_path: Path, weights: Path, times: int
) -> None:
    with in_the_middle(tmp_path, weights, []) as process:
        for _ in range(times):
            process.send_signal(signal.SIGHUP)
        assert process.communicate(timeout=PATIENCE_SECONDS) == ("", "")
    assert process.returncode == 128 + signal.SIGHUP
    assert not (tmp_path / "out").exists()


def test_a_run_under_nohup_goes_on_when_the_terminal_closes(tmp_path: Path, weights: Path) -> None:
    with in_the_middle(tmp_path, weights, ["nohup"]) as process:
        process.send_signal(signal.SIGHUP)
        out, _err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, out) == (0, f"{tmp_path / 'out' / 'long.mp4'}\n")


def test_a_batch_whose_terminal_closes_leaves_no_worker_and_nothing_half_written(
    tmp_path: Path, weights: Path
) -> None:
    clips = make_clips(tmp_path / "clips", ["long.mp4"], seconds=60)
    output = tmp_path / "out"
    command = [*AVS, "batch", clips, "-o", output, "-w", weights, "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        partial = output / "long.mp4.partial" / "overlay.mp4"
        wait_until(lambda: partial.exists() or process.poll() is not None)
        process.send_signal(signal.SIGHUP)
        # Workers hold the pipes as well: their end is the end of these.
        assert process.communicate(timeout=PATIENCE_SECONDS) == (b"", b"")
    assert process.returncode == 128 + signal.SIGHUP
    assert [path.name for path in output.iterdir()] == ["manifest.jsonl"]

"""Killed, interrupted, out of disk: whatever happens, every file ends up done exactly once.

What two undisturbed runs on one machine agree on to the byte is compared so: masks, scores and
the overlay. Not compared are dates, durations, paths and the facts about the device
(`tests.e2e.batches.VOLATILE`): they tell of the run, not of the result.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.batches import (
    make_clips,
    manifest_lines,
    require_whole,
    result_folders,
    start_batch,
    statuses,
    times_finished,
)
from tests.e2e.test_process import PATIENCE_SECONDS, wait_until
from tests.e2e.test_refusals import small_disk
from tests.fuzz.kills import Killer, require_once, workers_of

NUM_FILES = 10
NUM_KILLS = 24
SEED = 20

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = [f"{'abc'[i % 3]}/{i}.mp4" for i in range(NUM_FILES)]
    return make_clips(tmp_path_factory.mktemp("killed") / "clips", names)


@pytest.fixture
def start(clips: Path, weights: Path) -> Start:
    """Return a function that starts ``avs batch`` on the clips."""

    def call(output: Path, *options: object, source: object = clips, **popen: Any) -> Any:
        common = (source, "-o", output, "-w", weights, "--fps", 4, "--quiet")
        return start_batch(*common, *options, **popen)

    return call


@dataclass(frozen=True)
class Undisturbed:
    """The results of a run that nobody disturbed, and how long it took on this machine today."""

    output: Path
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(
    clips: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    common = (clips, "-o", output, "-w", weights, "--fps", 4, "--workers", 2)
    started = time.monotonic()
    with start_batch(*common) as process:
        _out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    return Undisturbed(output, time.monotonic() - started)


@pytest.fixture
def reference(undisturbed: Undisturbed) -> Path:
    return undisturbed.output


def finish(process: subprocess.Popen[str], codes: set[int]) -> str:
    _out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode in codes, err
    assert "Traceback" not in err
    return err


def test_killed_at_random_moments_everything_is_done_exactly_once(
    start: Start, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """Kill the batch or a worker, carry on, and again; a finished batch begins anew elsewhere.

    ``python -m tests.fuzz.kills`` does the same for longer.
    """

    def run(output: Path) -> subprocess.Popen[str]:
        return start(output, "--workers", 2)

    killer = Killer(run, undisturbed.output, undisturbed.seconds, random.Random(SEED))
    tally = killer.kill(tmp_path, NUM_KILLS, print)
    assert sum(tally.killed.values()) >= NUM_KILLS
    assert min(tally.killed.values()) > 3, tally


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_ctrl_c_finishes_what_is_in_work(start: Start, reference: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with start(output, "--workers", 2) as process:
        wait_until(lambda: manifest_lines(output) or process.poll() is not None)
        os.kill(process.pid, signal.SIGINT)
        err = finish(process, {130})
    assert "beginning no more; Ctrl-C again to drop them" in err
    assert err.endswith("interrupted; nothing half-written was left behind\n")
    done = times_finished(output)
    assert 1 <= len(done) < NUM_FILES
    require_whole(output)
    assert result_folders(output) == set(done), "files in work were finished and noted"
    finish(start(output, "--workers", 2), {0})
    require_once(output, reference)


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_a_second_ctrl_c_drops_what_is_in_work(start: Start, tmp_path: Path, clips: Path) -> None:
    source = make_clips(tmp_path / "long", ["long.mp4"], seconds=60)
    output = tmp_path / "out"
    with start(output, source=source) as process:
        partial = output / "long.mp4.partial" / "overlay.mp4"
        wait_until(lambda: partial.exists() or process.poll() is not None)
        os.kill(process.pid, signal.SIGINT)
        assert process.stderr is not None
        assert "Ctrl-C again" in process.stderr.readline()
        os.kill(process.pid, signal.SIGINT)
        finish(process, {130})
    assert sorted(path.name for path in output.iterdir()) == ["manifest.jsonl", "summary.csv"]
    assert statuses(output) == {}


def test_sigterm_drops_what_is_in_work_and_workers_end(start: Start, tmp_path: Path) -> None:
    source = make_clips(tmp_path / "long", ["long.mp4"], seconds=60)
    output = tmp_path / "out"
    with start(output, source=source) as process:
        partial = output / "long.mp4.partial" / "overlay.mp4"
        wait_until(lambda: partial.exists() or process.poll() is not None)
        workers = workers_of(process.pid)
        os.kill(process.pid, signal.SIGTERM)
        finish(process, {143})
    assert workers
    assert workers_of(process.pid) == []
    assert sorted(path.name for path in output.iterdir()) == ["manifest.jsonl"]


CRASHES = (4, 9, 30)  # of the files that workers open, counted over all of them


def test_workers_that_crash_in_the_middle_lose_only_the_file_in_work(
    start: Start, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let workers segfault at certain openings of files, whoever comes to open them."""
    (tmp_path / "tickets").mkdir()
    (tmp_path / "sitecustomize.py").write_text(
        "import av, ctypes, itertools, sys\n"
        "_open = av.open\n"
        "def faulty_open(*args, **options):\n"
        "    for ticket in itertools.count():\n"
        "        try:\n"
        f"            open(f'{tmp_path / 'tickets'}/{{ticket}}', 'x')\n"
        "            break\n"
        "        except FileExistsError:\n"
        "            pass\n"
        f"    if ticket in {CRASHES}:\n"
        "        ctypes.string_at(0)\n"
        "    return _open(*args, **options)\n"
        "if 'worker' in ' '.join(sys.orig_argv):\n"
        "    av.open = faulty_open\n"
    )
    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        err = finish(start(output, "--workers", 2), {8})
    ended = statuses(output)
    crashed = [key for key, status in ended.items() if status == "crashed"]
    assert len(crashed) == len(CRASHES), ended
    assert all("SIGSEGV" in line["result"]["message"] for line in last_lines(output, crashed))
    assert all(key in err for key in crashed)
    assert result_folders(output) == set(ended) - set(crashed) == set(times_finished(output))
    require_whole(output)
    finish(start(output, "--workers", 2), {0})
    require_once(output, reference)


def last_lines(output: Path, keys: list[str]) -> list[dict[str, Any]]:
    """Return the last line of the manifest about each key."""
    latest = {line["key"]: line for line in manifest_lines(output)}
    return [latest[key] for key in keys]


# --- a disk that is full --------------------------------------------------------------------


def test_a_disk_that_fills_up_fails_the_rest_and_carries_on_later(
    start: Start, reference: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "size=1200k") as disk:
        output = disk / "out"
        finish(start(output, "--workers", 2), {8})
        ended = statuses(output)
        assert set(ended.values()) == {"done", "failed"}
        notes = {r["result"]["message"] for r in manifest_lines(output) if r["result"]["message"]}
        assert all("MiB left" in note for note in notes)
        require_whole(output)
        again = ["mount", "-o", "remount,size=64m", str(disk)]
        subprocess.run(again, check=True)
        finish(start(output, "--workers", 2), {0})
        require_once(output, reference)


def test_a_disk_that_is_full_in_the_middle_of_a_file(
    start: Start, weights: Path, tmp_path: Path
) -> None:
    """The estimate says it fits, the journal of 6000 frames does not: a real ENOSPC."""
    source = make_clips(tmp_path / "long", ["a.mp4"], seconds=600)
    with small_disk(tmp_path / "disk", "size=2200k") as disk:
        output = disk / "out"
        options = ("--write", "csv", "--fps", "0.1")
        err = finish(start(output, *options, source=source), {8})
        assert "No space left on device" in err
        assert statuses(output) == {"a.mp4": "failed"}
        assert result_folders(output) == set()
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        finish(start(output, *options, source=source), {0})
        assert statuses(output) == {"a.mp4": "done"}

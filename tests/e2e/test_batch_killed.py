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
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.batches import (
    make_clips,
    manifest_lines,
    require_same,
    require_whole,
    result_folders,
    start_batch,
    statuses,
    times_finished,
)
from tests.e2e.test_process import PATIENCE_SECONDS, wait_until
from tests.e2e.test_refusals import small_disk

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


def require_undisturbed(output: Path, reference: Path) -> None:
    assert times_finished(output) == dict.fromkeys(result_folders(reference), 1)
    require_whole(output)
    require_same(output, reference)


def workers_of(pid: int) -> list[int]:
    """Return the processes that a batch has started and that still run."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [int(child) for child in children]


def kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def test_killed_at_random_moments_everything_is_done_exactly_once(
    start: Start, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """Kill the parent or a worker, carry on, and again; a finished batch begins anew elsewhere."""
    draw = random.Random(SEED)
    kills = {"parent": 0, "worker": 0}
    with ExitStack() as at_the_end:
        for number in count():
            output = tmp_path / f"out {number}"
            run = partial(start, output, "--workers", 2)
            process = run()
            while len(times_finished(output)) < NUM_FILES:
                at_the_end.callback(process.kill)
                _wait(process, draw.uniform(0.0, undisturbed.seconds))
                if process.poll() is not None:
                    # 8: a file lost its worker twice. 6: three workers in a row died early.
                    finish(process, {0, 6, 8})
                    process = run()
                elif sum(kills.values()) >= NUM_KILLS:
                    _wait(process, PATIENCE_SECONDS)
                elif draw.random() < 0.5:
                    kills["parent"] += kill(process.pid)
                    finish(process, {-signal.SIGKILL, 0})  # 0: it was through just before
                    process = run()
                elif workers := workers_of(process.pid):
                    kills["worker"] += kill(draw.choice(workers))
            finish(process, {0})
            require_undisturbed(output, undisturbed.output)
            if sum(kills.values()) >= NUM_KILLS:
                break
    assert min(kills.values()) > 3, kills


def _wait(process: subprocess.Popen[str], seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


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
    require_undisturbed(output, reference)


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


def test_a_worker_that_crashes_now_and_then_loses_nothing(
    start: Start, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let workers segfault after a random number of opened files, again and again."""
    (tmp_path / "sitecustomize.py").write_text(
        "import av, ctypes, random, sys\n"
        "_open = av.open\n"
        "def faulty_open(*args, **options):\n"
        "    if 'worker' in sys.argv[0] and random.random() < 0.12:\n"
        "        ctypes.string_at(0)\n"
        "    return _open(*args, **options)\n"
        "av.open = faulty_open\n"
    )
    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        finish(start(output, "--workers", 2), {0, 8})
        crashed = [key for key, status in statuses(output).items() if status == "crashed"]
        assert "SIGSEGV" in (output / "manifest.jsonl").read_text() or not crashed
    finish(start(output, "--workers", 2), {0})
    require_undisturbed(output, reference)


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
        require_undisturbed(output, reference)


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

"""A batch whose processes are killed over and over: every file ends up done exactly once.

    python -m tests.fuzz.kills [--kills 100] [--files 12] [--seed 1] [-o kills_out]

Workers and the batch itself get SIGKILL at random moments; whatever was killed is started again by
the same command. A batch that is through begins anew in another folder, until all kills are given.
Every finished batch is compared with one that nobody disturbed: the same folders, whole, each noted
as finished exactly once, and the same bytes but for dates, durations and paths.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.e2e.batches import (
    make_clips,
    require_same,
    require_whole,
    result_folders,
    start_batch,
    times_finished,
)

PATIENCE_SECONDS = 600  # for a machine under load
_EARLIEST_SECONDS = 0.2
# 8: a file lost its worker twice. 6: three workers in a row died before they were ready.
_ENDS_BY_KILLED_WORKERS = {0, 6, 8}

Start = Callable[[Path], "subprocess.Popen[str]"]


@dataclass
class Tally:
    """What was done to the batches.

    Attributes:
        killed: how often which kind of process got SIGKILL.
        batches: how many were finished and compared.
        starts: how often the command was started.
    """

    killed: dict[str, int] = field(default_factory=lambda: {"batch": 0, "worker": 0})
    batches: int = 0
    starts: int = 0

    @property
    def num_kills(self) -> int:
        return sum(self.killed.values())


class Killer:
    """Runs batches and kills their processes.

    Args:
        start: starts the command on an output folder.
        reference: output folder of a batch that nobody disturbed.
        seconds: how long that took.
        draw: when and what to kill.
    """

    def __init__(self, start: Start, reference: Path, seconds: float, draw: random.Random) -> None:
        self._start, self._reference, self._seconds, self._draw = start, reference, seconds, draw
        self._keys = result_folders(reference)
        self.tally = Tally()

    def kill(self, folder: Path, num_kills: int, tell: Callable[[str], None]) -> Tally:
        """Disturb batches in folders of their own until so many kills are given.

        Raises:
            AssertionError: something was lost, done twice or torn.
        """
        while self.tally.num_kills < num_kills:
            output = folder / f"out {self.tally.batches}"
            self._disturbed(output, num_kills)
            require_once(output, self._reference)
            self.tally.batches += 1
            tell(f"{self.tally.batches} batches, {self.tally.killed}, {self.tally.starts} starts")
        return self.tally

    def _disturbed(self, output: Path, num_kills: int) -> None:
        """Bring one batch to its end."""
        while True:
            process, began = self._start(output), time.monotonic()
            self.tally.starts += 1
            try:
                self._disturb(process, num_kills)
                _out, err = process.communicate(timeout=PATIENCE_SECONDS)
            finally:
                process.kill()
            assert "Traceback" not in err, err
            self.tally.killed["batch"] += process.returncode == -signal.SIGKILL
            if process.returncode == 0:
                # Other work comes and goes on a machine: the next moments are drawn for its pace.
                self._seconds = max(_EARLIEST_SECONDS, time.monotonic() - began)
                return
            allowed = {-signal.SIGKILL} | _ENDS_BY_KILLED_WORKERS
            assert process.returncode in allowed, (process.returncode, err)

    def _disturb(self, process: subprocess.Popen[str], num_kills: int) -> None:
        """Kill workers of a running batch, and at last perhaps itself."""
        while self.tally.num_kills < num_kills:
            with suppress(subprocess.TimeoutExpired):
                process.wait(self._draw.uniform(_EARLIEST_SECONDS, self._seconds))
            if process.poll() is not None:
                return
            if self._draw.random() < 0.5:
                killed(process.pid)  # counted by how it ends: it may be through just now
                return
            workers = workers_of(process.pid)
            if workers:
                self.tally.killed["worker"] += killed(self._draw.choice(workers))


def require_once(output: Path, reference: Path) -> None:
    """Check that a batch has what an undisturbed one has: nothing lost, twice or torn.

    Raises:
        AssertionError: it has not.
    """
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


def killed(pid: int) -> bool:
    """Send SIGKILL; say whether there was anybody to get it."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    summary = "Kill the processes of a batch over and over and see what becomes of its results."
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.kills", description=summary)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--files", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="avs-kills-") as name:
        folder = Path(name)
        start, undisturbed = _prepared(folder, arguments.files)
        began = time.monotonic()
        with start(undisturbed) as process:
            _out, err = process.communicate()
        assert process.returncode == 0, err
        seconds = time.monotonic() - began
        print(f"undisturbed: {arguments.files} files in {seconds:.0f} s", flush=True)
        killer = Killer(start, undisturbed, seconds, random.Random(arguments.seed))
        tally = killer.kill(folder, arguments.kills, lambda text: print(text, flush=True))
    num_files = tally.batches * arguments.files
    print(
        f"{tally.num_kills} kills ({tally.killed['batch']} of the batch, "
        f"{tally.killed['worker']} of workers) in {tally.batches} batches of {arguments.files} "
        f"files, {tally.starts} starts: {num_files} results, 0 lost, 0 done twice, 0 torn"
    )


def _prepared(folder: Path, num_files: int) -> tuple[Start, Path]:
    """Write clips and weights; return what starts a batch on them, and a folder for it."""
    from tests.networks_for_tests import save_marking

    clips = make_clips(
        folder / "clips", [f"{'abc'[i % 3]}/{i}.{('mp4', 'mkv')[i % 2]}" for i in range(num_files)]
    )
    weights = save_marking(folder / "tiny.safetensors")

    def start(output: Path) -> subprocess.Popen[str]:
        options = ("-w", weights, "--fps", 4, "--quiet", "--workers", 2)
        return start_batch(clips, "-o", output, *options)

    return start, folder / "undisturbed"


if __name__ == "__main__":
    sys.exit(main())

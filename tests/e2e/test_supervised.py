"""A library that goes down with its process: said in one line, with a code of the table."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import make_video
from tests.conftest import Outcome
from tests.e2e.results import require_refusal
from tests.e2e.test_process import PATIENCE_SECONDS, wait_until
from tests.fuzz.kills import workers_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="avs forks on Linux only")

AVS = [sys.executable, "-m", "avscli"]


def planted(folder: Path, line: str) -> dict[str, str]:
    """Return an environment in which opening a media file runs a line of Python."""
    (folder / "sitecustomize.py").write_text(
        f"import av, ctypes, os, signal, time\nav.open = lambda *a, **o: {line}\n"
    )
    path = f"{folder}{os.pathsep}" + os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": path}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "clip.mp4", seconds=0.5, fps=10, size_hw=(64, 96))


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("os.abort()", 3, "SIGABRT"),
        ("ctypes.string_at(0)", 3, "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 6, "memory runs out"),
    ],
)
def test_a_library_that_brings_its_process_down_is_an_error_like_others(
    clip: Path, weights: Path, tmp_path: Path, line: str, code: int, says: str
) -> None:
    command = [*AVS, "segment", str(clip), "-o", str(tmp_path / "out"), "-w", str(weights)]
    done = subprocess.run(
        command,
        env=planted(tmp_path, line),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert says in require_refusal(Outcome(done.returncode, done.stdout, done.stderr), code)
    assert not (tmp_path / "out").exists()


def test_a_killed_avs_leaves_no_process_behind(clip: Path, weights: Path, tmp_path: Path) -> None:
    mark = tmp_path / "opened"
    waits = f"(open({str(mark)!r}, 'w').close(), time.sleep(3600))"
    command = [*AVS, "segment", str(clip), "-o", str(tmp_path / "out"), "-w", str(weights)]
    with subprocess.Popen(command, env=planted(tmp_path, waits)) as process:
        wait_until(mark.exists)
        (other,) = workers_of(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    wait_until(lambda: not Path(f"/proc/{other}").exists())

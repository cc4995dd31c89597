"""``avs`` as the shell sees it: a process with streams, signals and an exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.builders import make_video
from tests.conftest import Outcome
from tests.e2e.results import read_run, require_refusal, require_whole
from tests.e2e.test_refusals import small_disk

AVS = [sys.executable, "-m", "avscli"]
PATIENCE_SECONDS = 300  # for a machine under load; the calls themselves take a few seconds


def run_avs(*args: object, python: tuple[str, ...] = ()) -> Outcome:
    command = [sys.executable, *python, "-m", "avscli", *map(str, args)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "clip.mp4", seconds=1.5, fps=10, size_hw=(64, 96))


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["segment", "--help"]], ids=" ".join)
def test_help_and_version_do_not_import_torch(args: list[str]) -> None:
    outcome = run_avs(*args, python=("-X", "importtime"))
    assert outcome.code == 0
    assert outcome.out
    imported = {line.split("|")[-1].strip() for line in outcome.err.splitlines()}
    assert "avscli.cli" in imported
    assert not imported & {"torch", "av", "cv2", "numpy", "pycocotools", "safetensors"}


def test_the_console_script_is_the_module() -> None:
    script = Path(sys.executable).with_name("avs")
    if not script.exists():
        pytest.skip("avscli is not installed with its script here")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == run_avs("--version").out
    assert done.stdout.startswith("avs ")


def test_a_video_becomes_all_outputs_and_json_for_a_pipe(
    clip: Path, weights: Path, tmp_path: Path
) -> None:
    outcome = run_avs("segment", clip, "-o", tmp_path / "out", "-w", weights, "--json")
    assert outcome.code == 0, outcome.err
    run = read_run(tmp_path / "out" / "clip.mp4", outcome)
    require_whole(run, clip, (64, 96))
    assert json.loads(outcome.out) == run.record
    assert "Traceback" not in outcome.err


def test_a_broken_file_is_one_line_and_one_hint(weights: Path, tmp_path: Path) -> None:
    source = tmp_path / "clip.mp4"
    source.write_text("not a video")
    outcome = run_avs("segment", source, "-o", tmp_path / "out", "-w", weights)
    require_refusal(outcome, 3)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_ends_the_process_with_its_code(
    clip: Path, weights: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "size=8k") as disk:
        outcome = run_avs("segment", clip, "-o", disk / "out", "-w", weights)
        assert "No space left on device" in require_refusal(outcome, 7)
        assert list(disk.iterdir()) == []


@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize(
    ("signal_number", "code", "says"),
    [
        (signal.SIGINT, 130, "interrupted; nothing half-written was left behind\n"),
        (signal.SIGTERM, 143, ""),
    ],
)
def test_a_signal_in_the_middle_leaves_nothing_behind(
    weights: Path, tmp_path: Path, signal_number: int, code: int, says: str
) -> None:
    source = make_video(tmp_path / "long.mp4", seconds=30, fps=20, size_hw=(64, 96))
    partial = tmp_path / "out" / "long.mp4.partial" / "overlay.mp4"
    command = [*AVS, "segment", str(source), "-o", str(tmp_path / "out"), "-w", str(weights)]
    with subprocess.Popen(
        [*command, "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: partial.exists() or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        os.kill(process.pid, signal_number)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, out, err) == (code, "", says)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize("gap_seconds", [0.0, 0.03, 0.1])
def test_ctrl_c_pressed_again_while_cleaning_up_changes_nothing(
    weights: Path, tmp_path: Path, gap_seconds: float
) -> None:
    source = make_video(tmp_path / "long.mp4", seconds=30, fps=20, size_hw=(64, 96))
    partial = tmp_path / "out" / "long.mp4.partial" / "overlay.mp4"
    command = [*AVS, "segment", str(source), "-o", str(tmp_path / "out"), "-w", str(weights), "-q"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        wait_until(lambda: partial.exists() or process.poll() is not None)
        for _ in range(4):
            with suppress(ProcessLookupError):  # it has ended
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of the job
            time.sleep(gap_seconds)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    says = "interrupted; nothing half-written was left behind\n"
    assert (process.returncode, out, err) == (130, "", says)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize("command", ["segment", "models"])
def test_ctrl_c_while_it_starts_is_no_traceback(command: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(  # pressed as the first of its modules is loaded
        "import sys, signal\n"
        "class Press:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'avscli.cli':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Press())\n"
    )
    path = f"{tmp_path}{os.pathsep}" + os.environ.get("PYTHONPATH", "")
    done = subprocess.run(
        [*AVS, command],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def wait_until(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


def test_a_reader_that_leaves_early_is_no_bug(clip: Path, weights: Path, tmp_path: Path) -> None:
    command = [*AVS, "segment", str(clip), "-o", str(tmp_path / "out"), "-w", str(weights)]
    with subprocess.Popen(
        [*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
    assert "Traceback" not in err
    assert "internal error" not in err
    assert (tmp_path / "out" / "clip.mp4" / "run.json").exists()

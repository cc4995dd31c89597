"""Whatever cannot be done is said in one line, with its own exit code, and leaves nothing."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from avscli.batch.jobs import Job, run_job
from avscli.config import SegmentOptions
from avscli.media.source_hash import SourceHash
from avscli.pipeline import open_runtime
from tests.builders import make_video, truncated_copy
from tests.conftest import Avs
from tests.e2e.results import read_run, require_refusal, require_whole
from tests.networks_for_tests import make_network, save_tiny

Make = Callable[[Path], Path]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "clip.mp4", seconds=1.2, fps=10, size_hw=(64, 96))


def left_behind(tmp_path: Path, *, beside: set[str]) -> list[str]:
    return sorted({path.name for path in tmp_path.iterdir()} - beside)


# --- sources --------------------------------------------------------------------------------


def nothing(folder: Path) -> Path:
    return folder / "clip.mp4"


def directory(folder: Path) -> Path:
    (folder / "clip.mp4").mkdir()
    return folder / "clip.mp4"


def empty(folder: Path) -> Path:
    (folder / "clip.mp4").touch()
    return folder / "clip.mp4"


def text(folder: Path) -> Path:
    (folder / "clip.mp4").write_text("Dear diary,\nno video today.\n" * 50)
    return folder / "clip.mp4"


def noise(folder: Path) -> Path:
    (folder / "clip.mp4").write_bytes(bytes(range(256)) * 40)
    return folder / "clip.mp4"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "clip.mp4")
    return folder / "clip.mp4"


def sound_only(folder: Path) -> Path:
    with wave.open(str(folder / "clip.mp4"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(32_000))
    return folder / "clip.mp4"


def cut_before_its_index(folder: Path) -> Path:
    whole = make_video(folder / "clip.mp4", size_hw=(64, 96))
    return truncated_copy(whole, whole, 0.6)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (nothing, "No such file"),
        (directory, "is a directory"),
        (empty, "is empty"),
        (text, "cannot read"),
        (noise, "cannot read"),
        (pipe, "is not a regular file"),
        (sound_only, "no video stream"),
        (cut_before_its_index, "cannot read"),
    ],
)
def test_a_source_that_is_no_video_is_refused(
    avs: Avs, weights: Path, tmp_path: Path, make: Make, says: str
) -> None:
    outcome = avs("segment", make(tmp_path), "-o", tmp_path / "out", "-w", weights)
    error = require_refusal(outcome, 3)
    assert says in error
    assert "clip.mp4" in error
    assert "hint: " in outcome.err
    assert left_behind(tmp_path, beside={"clip.mp4"}) == []


# --- outputs --------------------------------------------------------------------------------


def test_an_output_under_a_file_is_refused(
    avs: Avs, weights: Path, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    outcome = avs("segment", clip, "-o", tmp_path / "file" / "deep", "-w", weights)
    assert "cannot write" in require_refusal(outcome, 7)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody can write")
def test_an_output_nobody_may_write_is_refused(avs: Avs, weights: Path, clip: Path) -> None:
    require_refusal(avs("segment", clip, "-o", "/proc/self/out", "-w", weights), 7)


def test_a_read_only_file_system_is_refused(
    avs: Avs, weights: Path, clip: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "ro,size=64k") as disk:
        outcome = avs("segment", clip, "-o", disk, "-w", weights)
        assert "Read-only file system" in require_refusal(outcome, 7)


def test_an_output_in_place_of_the_source_is_refused(
    avs: Avs, weights: Path, clip: Path, tmp_path: Path
) -> None:
    before = clip.read_bytes()
    outcome = avs("segment", clip, "-o", tmp_path, "-w", weights, "--overwrite")
    assert "would replace the input" in require_refusal(outcome, 7)
    assert clip.read_bytes() == before
    assert left_behind(tmp_path, beside={"clip.mp4"}) == []


def test_an_existing_output_is_kept_unless_told_otherwise(
    avs: Avs, weights: Path, clip: Path, tmp_path: Path
) -> None:
    command = ["segment", clip, "-o", tmp_path / "out", "-w", weights, "--fps", 2]
    folder = tmp_path / "out" / "clip.mp4"
    assert avs(*command).code == 0
    (folder / "notes.txt").write_text("mine")
    before = (folder / "run.json").read_bytes()
    outcome = avs(*command)
    assert "exists already" in require_refusal(outcome, 7)
    assert "--overwrite" in outcome.err
    assert (folder / "run.json").read_bytes() == before
    again = avs(*command, "--overwrite")
    assert again.code == 0
    require_whole(read_run(folder, again), clip, (64, 96))


def test_a_folder_that_is_no_run_is_not_replaced(
    avs: Avs, weights: Path, clip: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "out" / "clip.mp4"
    photos.mkdir(parents=True)
    (photos / "holiday.jpg").touch()
    outcome = avs("segment", clip, "-o", tmp_path / "out", "-w", weights, "--overwrite")
    assert "is not replaced" in require_refusal(outcome, 7)
    assert [path.name for path in photos.iterdir()] == ["holiday.jpg"]


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """Mount a small file system, where that is allowed."""
    folder.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root on Linux")
    try:
        yield folder
    finally:
        # Lazily: PyAV 18 keeps a file open, in this process, whose header did not fit.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    """Let the system refuse to write beyond a size, as a full disk would, for any user."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", ["4k", "16k", "32k"])
def test_a_full_disk_is_said_and_leaves_nothing(
    avs: Avs, weights: Path, clip: Path, tmp_path: Path, size: str
) -> None:
    with small_disk(tmp_path / "disk", f"size={size}") as disk:
        outcome = avs("segment", clip, "-o", disk / "out", "-w", weights)
        assert "No space left on device" in require_refusal(outcome, 7)
        assert list(disk.iterdir()) == []


@pytest.mark.parametrize("num_bytes", [2_000, 10_000])
def test_a_file_that_the_system_will_not_let_grow_leaves_nothing(
    avs: Avs, weights: Path, clip: Path, tmp_path: Path, num_bytes: int
) -> None:
    with files_of_at_most(num_bytes):
        outcome = avs("segment", clip, "-o", tmp_path / "out", "-w", weights)
    assert "cannot write" in require_refusal(outcome, 7)
    assert left_behind(tmp_path, beside={"clip.mp4"}) == []


def test_a_full_disk_keeps_the_run_that_was_there(
    avs: Avs, weights: Path, clip: Path, tmp_path: Path
) -> None:
    command = ["segment", clip, "-o", tmp_path / "out", "-w", weights, "--fps", 2]
    assert avs(*command).code == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "out" / "clip.mp4").iterdir()}
    with files_of_at_most(3_000):
        require_refusal(avs(*command, "--overwrite"), 7)
    assert {p.name: p.read_bytes() for p in (tmp_path / "out" / "clip.mp4").iterdir()} == before
    assert left_behind(tmp_path / "out", beside={"clip.mp4"}) == []


# --- weights and devices --------------------------------------------------------------------


def no_such_file(folder: Path) -> str:
    return str(folder / "missing.safetensors")


def no_such_name(_folder: Path) -> str:
    return "pcmanet-mimi"


def half_a_file(folder: Path) -> str:
    whole = save_tiny(folder / "whole.safetensors")
    return str(truncated_copy(whole, folder / "bad.safetensors", 0.5))


def not_safetensors(folder: Path) -> str:
    torch.save({"weight": torch.zeros(3)}, folder / "bad.pth")
    return str(folder / "bad.pth")


def without_metadata(folder: Path) -> str:
    save_file({"weight": torch.zeros(3)}, folder / "bad.safetensors")
    return str(folder / "bad.safetensors")


def of_another_network(folder: Path) -> str:
    network = make_network()
    network.heads[0] = torch.nn.Identity()
    return str(save_tiny(folder / "bad.safetensors", network))


def an_empty_file(folder: Path) -> str:
    (folder / "bad.safetensors").touch()
    return str(folder / "bad.safetensors")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (no_such_file, "no checkpoint file"),
        (no_such_name, "no weights named 'pcmanet-mimi'"),
        (half_a_file, "cannot be read as safetensors"),
        (not_safetensors, "cannot be read as safetensors"),
        (without_metadata, "not an avscli checkpoint"),
        (of_another_network, "bad.safetensors"),
        (an_empty_file, "cannot be read as safetensors"),
    ],
)
def test_unusable_weights_are_refused(
    avs: Avs, clip: Path, tmp_path: Path, make: Callable[[Path], str], says: str
) -> None:
    outcome = avs("segment", clip, "-o", tmp_path / "out", "-w", make(tmp_path))
    assert says in require_refusal(outcome, 5)
    assert not (tmp_path / "out").exists()


def test_a_close_name_of_weights_is_suggested(avs: Avs, clip: Path) -> None:
    assert "known: pcmanet-mini" in avs("segment", clip, "-w", "pcmanet-mimi").err


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps", "tpu", "cuda:x", "cpu:x", ""])
def test_a_device_that_is_asked_for_and_absent_is_refused(
    avs: Avs, weights: Path, clip: Path, tmp_path: Path, device: str
) -> None:
    if device in ("cuda", "cuda:0") and torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has an mps device")
    outcome = avs("segment", clip, "-o", tmp_path / "out", "-w", weights, "--device", device)
    require_refusal(outcome, 6)
    assert not (tmp_path / "out").exists()


# --- usage ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--fps", "0"], "--fps"),
        (["--fps", "-2"], "--fps"),
        (["--fps", "often"], "--fps"),
        (["--fps", "nan"], "--fps"),
        (["--fps", "inf"], "--fps"),
        (["--fps", "2000"], "--fps"),
        (["--start", "-1"], "--start"),
        (["--start", "soon"], "--start"),
        (["--start", "nan"], "--start"),
        (["--start", "1:2:3:4"], "--start"),
        (["--end", "inf"], "--end"),
        (["--end", "0"], "--end"),
        (["--start", "0.8", "--end", "0.8"], "--end"),
        (["--start", "00:01:00"], "range"),
        (["--prefer", "beauty"], "--prefer"),
        (["--threshold", "0"], "--threshold"),
        (["--threshold", "1"], "--threshold"),
        (["--threshold", "nan"], "--threshold"),
        (["--threshold", "half"], "--threshold"),
        (["--region-threshold", "1"], "--region-threshold"),
        (["--region-threshold", "nan"], "--region-threshold"),
        (["--min-area", "1"], "--min-area"),
        (["--overlay-height", "0"], "--overlay-height"),
        (["--overlay-height", "63"], "--overlay-height"),
        (["--overlay-height", "-480"], "--overlay-height"),
        (["--overlay-height", "4321"], "--overlay-height"),
        (["--min-area", "-0.1"], "--min-area"),
        (["--min-area", "nan"], "--min-area"),
        (["--batch-clips", "0"], "--batch-clips"),
        (["--audio-track", "1"], "--audio-track"),
        (["--audio-track", "-1"], "--audio-track"),
        (["--write", "coco,mp3"], "mp3"),
        (["--precision", "fp8"], "--precision"),
        (["--no-audio", "maybe"], "--no-audio"),
        (["--no-such-option"], "--no-such-option"),
        (["second.mp4"], "second.mp4"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_out_of_range_are_refused(
    avs: Avs, weights: Path, clip: Path, tmp_path: Path, options: list[str], says: str
) -> None:
    outcome = avs("segment", clip, "-o", tmp_path / "out", "-w", weights, *options)
    assert says in require_refusal(outcome, 2)
    assert not (tmp_path / "out").exists()


def test_a_slip_in_the_path_is_told_before_torch_loads(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('torch was loaded')")
    path = f"{tmp_path}{os.pathsep}" + os.environ.get("PYTHONPATH", "")
    done = subprocess.run(
        [sys.executable, "-m", "avscli", "segment", "abset.mp4"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("error: cannot open abset.mp4: No such file or directory")


def test_an_unknown_command_and_a_missing_source_are_refused(avs: Avs) -> None:
    assert "sgement" in require_refusal(avs("sgement"), 2)
    assert "source" in require_refusal(avs("segment"), 2)


def test_a_disk_that_fails_while_the_source_is_hashed_is_no_internal_error(
    avs: Avs, weights: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_hash: SourceHash) -> str:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(SourceHash, "_read", fails)
    outcome = avs("segment", clip, "-o", tmp_path / "out", "-w", weights)
    assert f"cannot read {clip}: Input/output error" in require_refusal(outcome, 3)
    runtime = open_runtime(str(weights), SegmentOptions(device="cpu"), pytest.fail)
    job = Job(
        key="a.mp4",
        source=str(clip),
        folder=str(tmp_path / "out"),
        size_bytes=clip.stat().st_size,
        seconds=1.0,
        overwrite=False,
        fingerprint={},
        marked_source=str(clip),
    )
    result = run_job(job, runtime, SegmentOptions(device="cpu"), lambda _: None)
    assert (result.status, result.can_pass) == ("failed", True)

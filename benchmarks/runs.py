"""A generated clip, and one measured run of ``avs segment`` on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, NamedTuple

from avscli.datasets.scenes import DEMO_SEED, plan_scene
from avscli.datatypes import SAMPLE_RATE_HZ
from avscli.media.ffmpeg_jobs import mux

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Run(NamedTuple):
    """What one process cost.

    Attributes:
        process_seconds: wall time from start to exit, importing and loading included.
        start_seconds: of these, before the work began: importing and loading.
        cpu_seconds: user and system time of all its threads.
        peak_rss_mb: largest resident set, in units of 10⁶ bytes.
        report: what ``--json`` printed.
    """

    process_seconds: float
    start_seconds: float
    cpu_seconds: float
    peak_rss_mb: float
    report: dict[str, Any]


def generate_clip(path: Path, *, seconds: float, size_hw: tuple[int, int], fps: int) -> None:
    """Write a generated scene with its sound as an MP4.

    In a process of its own: Linux counts the peak of the process that starts another as that
    other's, and drawing ten minutes takes more memory than segmenting them.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        other.submit(_draw_clip, path, max(1, round(seconds * fps)), size_hw, fps).result()


def _draw_clip(path: Path, num_frames: int, size_hw: tuple[int, int], fps: int) -> None:
    plan = plan_scene(DEMO_SEED, num_frames=num_frames, fps=Fraction(fps), size_hw=size_hw)
    drawn = (plan.draw(index)[0] for index in range(num_frames))
    mux(drawn, plan.waveform, path, fps=plan.fps, sample_rate_hz=SAMPLE_RATE_HZ)


def segment(
    clip: Path,
    output: Path,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Run:
    """Run ``avs segment`` on a clip in a process of its own and wait for it.

    Args:
        clip: the video.
        output: folder for the results.
        options: of ``avs segment``.
        environment: variables to set besides the present ones.

    Raises:
        subprocess.CalledProcessError: it failed; its message is on stderr.
    """
    command = [sys.executable, "-m", "avscli", "segment", str(clip), "-o", str(output)]
    command += ["--overwrite", "--json", "--quiet", *options]
    variables = {**os.environ, **(environment or {})}
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables) as process:
        assert process.stdout is not None
        first = process.stdout.read(1)  # the report is printed when the work is done
        until_report = time.perf_counter() - started
        printed = first + process.stdout.read()
        # wait4 gives this process alone; getrusage would give the largest of all children.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    report = json.loads(printed)
    return Run(
        process_seconds=wall,
        start_seconds=until_report - float(report["timings_seconds"]["total"]),
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_rss_mb=usage.ru_maxrss * unit / 1e6,
        report=report,
    )

"""What ``avs batch`` costs: against one ``avs segment`` per file, and in memory per file.

    python benchmarks/batch.py [--clips 50] [--seconds 2] [--planned 1000 10000] > batch.json

Throughput: copies of one generated clip, all by one ``avs batch``, then each by an ``avs segment``
of its own, in one run so that the ratio holds on a busy machine too. Scaling: N workers on N cores
with N times as many files take as long as one does, if each gets as much done as one alone.
Memory: the largest resident set of the process that hands out the jobs (not of its workers), for
dry runs over many names and for real runs over tiny files. It holds a line or two per file; the
requirement is that this stays below 10 kB per file.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from runs import generate_clip
from setting import describe, show, table

from avscli.config import DEFAULT_WEIGHTS

ALLOWED_KB_PER_FILE = 10.0
SAMPLE_EVERY_SECONDS = 0.02


class Cost(NamedTuple):
    """What a call of ``avs`` cost.

    Attributes:
        seconds: wall time.
        parent_peak_rss_mb: of the process that was called, its workers left out.
    """

    seconds: float
    parent_peak_rss_mb: float


def run_avs(*args: object, cores: int | None = None) -> Cost:
    """Run ``avs``, on so many cores only if they are given, and watch its first process."""
    command = [sys.executable, "-m", "avscli", *map(str, args)]
    if cores is not None:
        chosen = sorted(os.sched_getaffinity(0))[:cores]
        command = ["taskset", "-c", ",".join(map(str, chosen)), *command]
    started, peak_kb = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak_kb = max(peak_kb, _peak_kb(process.pid))
            time.sleep(SAMPLE_EVERY_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(time.perf_counter() - started, peak_kb / 1000)


def _peak_kb(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) if found else 0


def copies(clip: Path, folder: Path, count: int) -> Path:
    """Give one file many names, 500 to a folder, as links that are files of their own."""
    for number in range(count):
        inner = folder / f"{number // 500:03d}"
        inner.mkdir(parents=True, exist_ok=True)
        os.link(clip, inner / f"clip {number:06d}.mp4")
    return folder


def throughput(clip: Path, folder: Path, options: list[str], *, count: int, workers: int) -> dict:
    """Time a batch and the same files one by one."""
    clips = copies(clip, folder / "clips", count)
    batch = run_avs(
        "batch", clips, "-o", folder / "batch", "--workers", workers, "-q", *options
    ).seconds
    single = sum(
        run_avs("segment", path, "-o", folder / "single", "-q", *options).seconds
        for path in sorted(clips.rglob("*.mp4"))
    )
    return {
        "num_clips": count,
        "workers": workers,
        "batch_seconds": batch,
        "single_seconds": single,
        "ratio": single / batch,
        "batch_files_per_hour": 3600 * count / batch,
    }


def scaling(
    clip: Path, folder: Path, options: list[str], *, per_worker: int, workers: int
) -> list[dict[str, float]]:
    """Time 1, 2 … workers on as many cores, each with the same number of files."""
    rows: list[dict[str, float]] = []
    for count in range(1, workers + 1):
        clips = copies(clip, folder / f"clips-{count}", per_worker * count)
        out = folder / f"scaled-{count}"
        batch = ("batch", clips, "-o", out, "--workers", count, "-q", *options)
        seconds = run_avs(*batch, cores=count).seconds
        alone = rows[0]["seconds"] if rows else seconds
        rows.append({"workers": count, "seconds": seconds, "of N times one": alone / seconds})
    return rows


def memory(clip: Path, folder: Path, counts: list[int], options: list[str]) -> dict[str, object]:
    """Measure the parent over different numbers of files; the first and the last give the slope."""
    rows = []
    for count in counts:
        names = copies(clip, folder / f"names-{count}", count)
        cost = run_avs("batch", names, "-o", folder / f"out-{count}", "-q", *options)
        rows.append({"num_files": count, **cost._asdict()})
    grown_mb = rows[-1]["parent_peak_rss_mb"] - rows[0]["parent_peak_rss_mb"]
    per_file_kb = 1000 * grown_mb / (counts[-1] - counts[0])
    return {"rows": rows, "kb_per_file": per_file_kb, "passed": per_file_kb <= ALLOWED_KB_PER_FILE}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each clip")
    parser.add_argument("--size", default="320x180", help="WIDTHxHEIGHT of the clips, even")
    parser.add_argument("--fps", default="5", help="analysed frames a second, or native")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--planned", type=int, nargs=2, default=[1000, 10_000])
    parser.add_argument("--real", type=int, nargs=2, default=[200, 2000])
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS)
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    common = ["--weights", arguments.weights]

    setting = describe()
    with TemporaryDirectory() as name:
        folder = Path(name)
        clip, tiny = folder / "clip.mp4", folder / "tiny.mp4"
        generate_clip(clip, seconds=arguments.seconds, size_hw=(height, width), fps=25)
        generate_clip(tiny, seconds=0.4, size_hw=(32, 32), fps=5)
        speed = throughput(
            clip,
            folder / "throughput",
            ["--fps", arguments.fps, *common],
            count=arguments.clips,
            workers=arguments.workers,
        )
        scaled = scaling(
            clip,
            folder / "scaling",
            ["--fps", arguments.fps, *common],
            per_worker=max(1, arguments.clips // arguments.workers),
            workers=arguments.workers,
        )
        planned = memory(tiny, folder / "planned", arguments.planned, ["--dry-run", *common])
        quick = ["--fps", "1", "--write", "csv", "--workers", str(arguments.workers), *common]
        real = memory(tiny, folder / "real", arguments.real, quick)
    show(
        {
            "arguments": vars(arguments),
            "throughput": speed,
            "scaling": scaled,
            "dry_run": planned,
            "real_run": real,
            **setting,
        },
        table(list(speed), [list(speed.values())]),
        table(list(scaled[0]), [list(row.values()) for row in scaled]),
        table(["dry run", "kb_per_file"], [["", planned["kb_per_file"]]]),
        table(["real run", "kb_per_file"], [["", real["kb_per_file"]]]),
    )


if __name__ == "__main__":
    main()

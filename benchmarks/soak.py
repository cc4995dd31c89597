"""Whether a long batch stays as it is: memory, open files, threads and processes over 2,000 files.

    python benchmarks/soak.py [--files 2000] [--workers 1] > soak.json

One ``avs batch`` over tiny generated videos of several containers, every twentieth of them broken,
with every output on. The batch and its workers are sampled through /proc; the table compares the
first quarter of the samples with the last, the start (libraries, weights, the first files) left
out. Linux only.

What may grow: the batch itself holds a line or two per file (docs/scaling.md), a few megabytes
over 2,000. A worker may not grow at all, beyond what an allocator keeps.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from runs import generate_clip
from setting import describe, show, table

from avscli.config import DEFAULT_WEIGHTS

SUFFIXES = ("mp4", "mkv", "mov")
BROKEN_EVERY = 20
SAMPLE_EVERY_SECONDS = 0.25
START_SHARE = 0.1  # of the files, until everything that is kept has been loaded
ALLOWED_GROWTH_MB = {"batch": 20.0, "workers": 20.0}


@dataclass(frozen=True)
class Sample:
    """The processes of a batch at one moment; workers are summed.

    Attributes:
        num_done: files noted in the manifest.
        rss_mb, fds, threads: of the batch and of its workers.
        processes: how many there are, grandchildren among them.
    """

    num_done: int
    rss_mb: dict[str, float]
    fds: dict[str, int]
    threads: dict[str, int]
    processes: int


def sampled(pid: int, manifest: Path) -> Sample | None:
    """Look at a batch and all it has started; None when it is just ending."""
    below = list(_descendants(pid))
    try:
        groups = {"batch": [pid], "workers": below}
        return Sample(
            num_done=_num_results(manifest),
            rss_mb={name: sum(map(_rss_mb, pids)) for name, pids in groups.items()},
            fds={name: sum(map(_num_fds, pids)) for name, pids in groups.items()},
            threads={name: sum(map(_num_threads, pids)) for name, pids in groups.items()},
            processes=1 + len(below),
        )
    except (FileNotFoundError, ProcessLookupError):
        return None


def _descendants(pid: int) -> Iterable[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in map(int, children):
        yield child
        yield from _descendants(child)


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096 / 1e6


def _num_fds(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _num_threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def _num_results(manifest: Path) -> int:
    return manifest.read_bytes().count(b'"event": "result"') if manifest.exists() else 0


def make_clips(folder: Path, count: int) -> Path:
    """Write videos of all suffixes as copies, and now and then one that is cut short."""
    for suffix in SUFFIXES:
        generate_clip(folder / f"whole.{suffix}", seconds=0.6, size_hw=(48, 64), fps=10)
    clips = folder / "clips"
    for number in range(count):
        source = folder / f"whole.{SUFFIXES[number % len(SUFFIXES)]}"
        target = clips / f"{number // 500:03d}" / f"{number:05d}{source.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        if number % BROKEN_EVERY == BROKEN_EVERY - 1:
            target.write_bytes(target.read_bytes()[:300])
    return clips


def run(clips: Path, output: Path, options: list[str]) -> tuple[list[Sample], int]:
    """Run the batch and return what was seen, and its exit code."""
    command = [sys.executable, "-m", "avscli", "batch", str(clips), "-o", str(output), "-q"]
    samples = []
    with subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            sample = sampled(process.pid, output / "manifest.jsonl")
            samples += [] if sample is None else [sample]
            time.sleep(SAMPLE_EVERY_SECONDS)
    return samples, process.returncode


def compared(samples: list[Sample], count: int) -> list[dict[str, object]]:
    """Return medians and largest values of the first and the last quarter of the files."""
    steady = [s for s in samples if START_SHARE * count <= s.num_done < count]
    quarter = (1 - START_SHARE) * count / 4
    parts = {
        "first": [s for s in steady if s.num_done < START_SHARE * count + quarter],
        "last": [s for s in steady if s.num_done >= count - quarter],
    }
    rows: list[dict[str, object]] = []
    for who in ("batch", "workers"):
        for what in ("rss_mb", "fds", "threads"):
            found = {name: [getattr(s, what)[who] for s in part] for name, part in parts.items()}
            rows.append(_row(f"{who}: {what}", found))
    rows.append(_row("processes", {n: [s.processes for s in part] for n, part in parts.items()}))
    return rows


def _row(what: str, found: dict[str, list[float]]) -> dict[str, object]:
    return {
        "what": what,
        "first quarter": round(median(found["first"]), 1),
        "last quarter": round(median(found["last"]), 1),
        "most, first": round(max(found["first"]), 1),
        "most, last": round(max(found["last"]), 1),
    }


def is_flat(rows: list[dict[str, object]]) -> bool:
    """Say whether nothing grew: counts not at all, memory by less than is allowed."""
    for row in rows:
        who, _, what = str(row["what"]).partition(": ")
        grown = float(str(row["last quarter"])) - float(str(row["first quarter"]))
        if grown > (ALLOWED_GROWTH_MB[who] if what == "rss_mb" else 0):
            return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--fps", default="2", help="analysed frames a second, or native")
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS)
    arguments = parser.parse_args()

    setting = describe()
    with TemporaryDirectory() as name:
        folder = Path(name)
        clips = make_clips(folder, arguments.files)
        options = ["--fps", arguments.fps, "--weights", arguments.weights]
        options += ["--workers", str(arguments.workers)]
        started = time.monotonic()
        samples, code = run(clips, folder / "out", options)
        seconds = time.monotonic() - started
        lines = (folder / "out" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
        results = [entry for entry in map(json.loads, lines) if entry["event"] == "result"]
        statuses = Counter(entry["result"]["status"] for entry in results)
    rows = compared(samples, arguments.files)
    summary = {
        "files": arguments.files,
        "seconds": round(seconds),
        "exit_code": code,
        **statuses,
        "samples": len(samples),
        "flat": is_flat(rows),
    }
    show(
        {"arguments": vars(arguments), "rows": rows, **summary, **setting},
        table(list(rows[0]), [list(row.values()) for row in rows]),
        table(list(summary), [list(summary.values())]),
    )


if __name__ == "__main__":
    main()

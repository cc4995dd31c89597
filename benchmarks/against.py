"""How long ``avs segment`` takes against an earlier commit of this repository.

    python benchmarks/against.py [--commit 3d9db68] [--seconds 6] [--rounds 3] > against.json

Both sides run the same generated clip on this machine, in turn, each run in a process of its own;
the best round of each counts. Wall seconds are those of the work; those of importing and loading,
and of the whole process with its exit, are compared by themselves, each by its own best round.
Ratios are this side's over the other's.
"""

from __future__ import annotations

import argparse
import subprocess
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from runs import Run, generate_clip, segment
from setting import REPOSITORY, describe, show, table

if TYPE_CHECKING:
    from collections.abc import Iterator

# Ours and theirs: the other side never left float32 by itself on a CPU without AMX.
VARIANTS: dict[str, tuple[list[str], list[str]]] = {
    "all outputs, fp32": (["--precision", "fp32"], ["--precision", "fp32"]),
    "all outputs, auto": ([], []),
    "coco,csv, fp32": (["--precision", "fp32", "--write", "coco,csv"],) * 2,
    "coco,csv, auto": (["--write", "coco,csv"],) * 2,
    "--fps 5, auto": (["--fps", "5"],) * 2,
    "--fps auto, auto": (["--fps", "auto"], []),  # the other side looks at every frame
}


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Lay out a commit in a folder that goes again."""
    with TemporaryDirectory() as name:
        folder = Path(name) / "other"
        archive = Path(name) / "other.tar"
        git = ["git", "-C", str(REPOSITORY), "archive", "-o", str(archive), commit]
        subprocess.run(git, check=True)
        folder.mkdir()
        subprocess.run(["tar", "-xf", str(archive), "-C", str(folder)], check=True)
        yield folder


def working_seconds(run: Run) -> float:
    """Return wall seconds from the probed file to the finished folder."""
    return float(run.report["timings_seconds"]["total"])


def compare(clip: Path, folder: Path, other: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Return per variant what both sides took, and the ratios."""
    found = {}
    for name, options in VARIANTS.items():
        runs: tuple[list[Run], list[Run]] = [], []
        for _ in range(rounds):
            for side, tree in enumerate((REPOSITORY, other)):
                environment = {"PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"}  # not from here
                runs[side].append(segment(clip, folder / "out", options[side], environment))
        ours, theirs = (min(side, key=working_seconds) for side in runs)
        starts, wholes = (
            [min(getattr(run, name) for run in side) for side in runs]
            for name in ("start_seconds", "process_seconds")
        )
        seconds = ours.report["source"]["duration_seconds"]
        found[name] = {
            "real_time_factor": working_seconds(ours) / seconds,
            "other_real_time_factor": working_seconds(theirs) / seconds,
            "wall_ratio": working_seconds(ours) / working_seconds(theirs),
            "cpu_ratio": ours.cpu_seconds / theirs.cpu_seconds,
            "start_ratio": starts[0] / starts[1],
            "process_ratio": wholes[0] / wholes[1],
            "peak_rss_ratio": ours.peak_rss_mb / theirs.peak_rss_mb,
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commit", default="3d9db68", help="the other side")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of the clip")
    parser.add_argument("--size", default="1280x720", help="WIDTHxHEIGHT of the clip, even")
    parser.add_argument("--clip-fps", type=int, default=30, help="frame rate of the clip")
    parser.add_argument("--rounds", type=int, default=3, help="runs per variant and side")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    setting = describe()
    with TemporaryDirectory() as name, checked_out(arguments.commit) as other:
        folder = Path(name)
        clip = folder / "scene.mp4"
        size_hw = (height, width)
        generate_clip(clip, seconds=arguments.seconds, size_hw=size_hw, fps=arguments.clip_fps)
        found = compare(clip, folder, other, arguments.rounds)
    first = next(iter(found.values()))
    rows = [[name, *values.values()] for name, values in found.items()]
    show(
        {"arguments": vars(arguments), "variants": found, **setting},
        table(["variant", *first], rows),
    )


if __name__ == "__main__":
    main()

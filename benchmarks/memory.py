"""Whether the memory of ``avs segment`` grows with the length of its input.

    python benchmarks/memory.py [--minutes 1 10] [--fps 2] > memory.json

Segments generated clips of two lengths with every output on, each in a process of its own, and
compares their largest resident sets. The requirement: the longer one takes at most 50 MB more.
Small pictures, few of them: what would grow with time (queues, counters, journals, containers'
indexes) grows with the number of frames and seconds, not with their size. Memory does not care
about a busy machine; only the run takes longer.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from runs import generate_clip, segment
from setting import describe, show, table

from avscli.config import DEFAULT_WEIGHTS

ALLOWED_GROWTH_MB = 50.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, nargs=2, default=[1.0, 10.0])
    parser.add_argument("--size", default="320x180", help="WIDTHxHEIGHT of the clips, even")
    parser.add_argument("--clip-fps", type=int, default=10, help="frame rate of the clips")
    parser.add_argument("--fps", default="2", help="analysed frames a second, or native")
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS)
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))

    setting = describe()
    rows: list[dict[str, float]] = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        for minutes in arguments.minutes:
            clip = folder / f"scene-{minutes:g}.mp4"
            size_hw = (height, width)
            generate_clip(clip, seconds=60 * minutes, size_hw=size_hw, fps=arguments.clip_fps)
            options = ["--fps", arguments.fps, "--weights", arguments.weights]
            run = segment(clip, folder / "out", options)
            rows.append(
                {
                    "minutes": minutes,
                    "num_frames": run.report["num_frames"],
                    "num_analysed_frames": run.report["num_analysed_frames"],
                    "process_seconds": run.process_seconds,
                    "peak_rss_mb": run.peak_rss_mb,
                }
            )
    growth = rows[1]["peak_rss_mb"] - rows[0]["peak_rss_mb"]
    summary = {
        "growth_mb": growth,
        "allowed_growth_mb": ALLOWED_GROWTH_MB,
        "passed": growth <= ALLOWED_GROWTH_MB,
    }
    show(
        {"arguments": vars(arguments), "runs": rows, **summary, **setting},
        table(list(rows[0]), [list(row.values()) for row in rows]),
        table(list(summary), [list(summary.values())]),
    )


if __name__ == "__main__":
    main()

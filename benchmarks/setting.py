"""What every benchmark states beside its numbers: the machine, the commit, the versions."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REPOSITORY = Path(__file__).resolve().parent.parent
_PACKAGES = ("avscli", "torch", "numpy", "av", "opencv-python-headless", "pycocotools")


def describe() -> dict[str, object]:
    """Return machine, commit, versions and date.

    ``load_average`` over the last minute tells whether the machine was quiet: near 0 it was;
    near or above ``cores`` others competed, and only ratios mean anything.
    """
    return {
        "machine": {
            "cpu": _cpu_model(),
            "cores": len(os.sched_getaffinity(0)),
            "load_average": round(os.getloadavg()[0], 2),
            "system": platform.platform(),
        },
        "commit": _commit(),
        "versions": {"python": platform.python_version()} | {n: version(n) for n in _PACKAGES},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def show(result: Mapping[str, object], *tables: str) -> None:
    """Print tables to stderr for people, and everything to stdout as one JSON object."""
    print(*tables, sep="\n\n", file=sys.stderr)
    print(json.dumps(result, indent=2))


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a text table: first column left, numbers right with two or three decimals."""
    cells = [list(header), *([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"
    return str(value)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _commit() -> str | None:
    """Return the commit, marked when files differ from it; None outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()

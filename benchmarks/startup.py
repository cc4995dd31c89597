"""How long ``avs --help`` takes, as a share of what starting Python and importing torch take.

    python benchmarks/startup.py [--rounds 5] > startup.json

Every round runs all commands once, in turn, so that a change of the machine's load meets all of
them. The medians over the rounds are compared; CPU time suffers less from load than wall time.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

from setting import describe, show, table

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "python -c 'import torch'": ["-c", "import torch"],
    "avs --help": ["-m", "avscli", "--help"],
    "avs --version": ["-m", "avscli", "--version"],
}
NOTHING, TORCH = list(COMMANDS)[:2]


class Cost(NamedTuple):
    wall_seconds: float
    cpu_seconds: float


def run_once(arguments: list[str]) -> Cost:
    """Run Python with arguments to its end, its output thrown away."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, cpu)


def imports_torch(arguments: list[str]) -> bool:
    """Ask the interpreter's own import log whether a command imports torch."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], check=True, capture_output=True, text=True
    )
    return any(line.endswith("| torch") for line in done.stderr.splitlines())


def median(costs: list[Cost]) -> Cost:
    return Cost(*(statistics.median(values) for values in zip(*costs, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    setting = describe()
    for arguments in COMMANDS.values():
        run_once(arguments)  # fills the disk cache and compiles what was edited
    runs = [
        {name: run_once(arguments) for name, arguments in COMMANDS.items()} for _ in range(rounds)
    ]
    costs = {name: median([run[name] for run in runs]) for name in COMMANDS}
    result = {
        name: {
            **cost._asdict(),
            "wall_over_nothing": cost.wall_seconds / costs[NOTHING].wall_seconds,
            "wall_over_import_torch": cost.wall_seconds / costs[TORCH].wall_seconds,
            "cpu_over_import_torch": cost.cpu_seconds / costs[TORCH].cpu_seconds,
            "imports_torch": imports_torch(COMMANDS[name]),
        }
        for name, cost in costs.items()
    }
    header = ["command", "wall s", "CPU s", "wall / pass", "wall / torch", "CPU / torch", "torch"]
    rows = [[name, *row.values()] for name, row in result.items()]
    show({"rounds": rounds, "startup": result, **setting}, table(header, rows))


if __name__ == "__main__":
    main()

"""Run damaged inputs by the thousand, and tell which of them something went wrong with.

    python -m tests.fuzz --inputs 10000 [--seed 1] [--only KIND] [--jobs 2] [-o fuzz_out]

The same command carries on where the last one stopped: what was run is noted, line by line, in
OUTPUT/results.jsonl. Failing inputs stay in OUTPUT/failures/, each with the command to repeat it.
Exits with 1 when something went wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch: forks want one thread

from tests.fuzz.kinds import KINDS
from tests.fuzz.run import Fuzzer, Plan, table_of
from tests.fuzz.sandbox import Main


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", choices=KINDS, help="may be repeated")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--limit", type=float, default=120, help="seconds of wall time per input")
    parser.add_argument("-o", "--output", type=Path, default=Path("fuzz_out"))
    parser.add_argument(
        "--main",
        action="append",
        metavar="MODULE:FUNCTION",
        help="run these in turn instead of avs, to see whether a fault is noticed",
    )
    arguments = parser.parse_args()
    plan = Plan(
        seed=arguments.seed,
        numbers=range(arguments.first, arguments.first + arguments.inputs),
        kinds=tuple(arguments.only or KINDS),
        jobs=arguments.jobs,
        limit_seconds=arguments.limit,
    )
    started = time.monotonic()
    fuzzer = Fuzzer(plan, arguments.output.resolve())
    results = fuzzer.run(
        [_function(name) for name in arguments.main or ("avscli.supervised:main",)]
    )
    print(table_of(results))
    print(f"{len(results)} inputs, seed {plan.seed}, {time.monotonic() - started:.0f} s")
    failed = [result for result in results if result.faults]
    for result in failed:
        print(f"#{result.number} {result.kind}: {json.dumps(list(result.faults))}")
    sys.exit(1 if failed else 0)


def _function(name: str) -> Main:
    module, _, function = name.partition(":")
    found: Main = getattr(import_module(module), function)
    return found


if __name__ == "__main__":
    main()

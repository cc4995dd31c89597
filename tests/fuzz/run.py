"""Inputs made, run side by side, judged and noted: ``Fuzzer``."""

from __future__ import annotations

import gc
import json
import os
import selectors
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from tests.fuzz import corpus as corpora
from tests.fuzz.corpus import Corpus
from tests.fuzz.kinds import KINDS, Input, drawn_kind
from tests.fuzz.properties import State, faults_of, state_of
from tests.fuzz.sandbox import Main, Running

_TICK_SECONDS = 0.5
_TELL_EVERY_SECONDS = 10.0
_WORLD, _NOTES = "world", "notes"


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes:
        seed: with a number, it gives an input.
        numbers: of the inputs.
        kinds: of which they are drawn.
        jobs: how many run at once.
        limit_seconds: wall time after which one hangs.
    """

    seed: int
    numbers: range
    kinds: tuple[str, ...]
    jobs: int
    limit_seconds: float


@dataclass(frozen=True)
class Result:
    """How one input went; a line of results.jsonl."""

    seed: int
    number: int
    kind: str
    told: str
    code: int
    said: str
    cpu_seconds: float
    peak_mb: float
    faults: tuple[str, ...]


@dataclass(frozen=True)
class _InWork:
    number: int
    kind: str
    given: Input
    folder: Path
    before: State
    running: Running


class Fuzzer:
    """Runs a plan.

    Args:
        plan: what to run.
        output: receives the corpus, results.jsonl, and the failing inputs.
    """

    def __init__(self, plan: Plan, output: Path) -> None:
        self._plan, self._output = plan, output
        self._corpus = _made_by_a_child(output / "corpus")
        self._log = output / "results.jsonl"
        self._spoke = self._started = time.monotonic()

    def run(self, mains: Sequence[Main]) -> list[Result]:
        """Run whatever has not been run yet, by one of `mains` in turn; return all results."""
        wanted = set(self._plan.numbers)
        done = {r.number: r for r in self._noted() if r.number in wanted}
        todo = [number for number in self._plan.numbers if number not in done]
        _import_everything()
        gc.freeze()  # forks share what is there
        with selectors.DefaultSelector() as selector, self._log.open("a") as log:
            while todo or selector.get_map():
                while todo and len(selector.get_map()) < self._plan.jobs:
                    number = todo.pop(0)
                    work = self._begin(number, mains[number % len(mains)])
                    selector.register(work.running.descriptor, selectors.EVENT_READ, work)
                for key, _events in selector.select(_TICK_SECONDS):
                    selector.unregister(key.fd)
                    result = self._judge(key.data)
                    done[result.number] = result
                    log.write(json.dumps(asdict(result)) + "\n")
                    log.flush()
                self._kill_overdue(selector)
                self._tell(done.values(), len(wanted))
        return [done[number] for number in self._plan.numbers]

    def _noted(self) -> list[Result]:
        if not self._log.exists():
            return []
        lines = [json.loads(line) for line in self._log.read_text().splitlines()]
        found = [Result(**{**line, "faults": tuple(line["faults"])}) for line in lines]
        return [r for r in found if r.seed == self._plan.seed and r.kind in self._plan.kinds]

    def _begin(self, number: int, main: Main) -> _InWork:
        draw = Random(f"{self._plan.seed} {number}")
        kind = drawn_kind(draw, self._plan.kinds)
        folder = self._output / "inputs" / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        world, notes = folder / _WORLD, folder / _NOTES
        world.mkdir(parents=True)
        notes.mkdir()
        given = KINDS[kind](draw, self._corpus, world)
        (notes / "command").write_text(f"cd {_WORLD} && avs {shlex.join(given.args)}\n")
        before = state_of(world)
        running = Running(main, given.args, world, notes, max_file_bytes=given.max_file_bytes)
        return _InWork(number, kind, given, folder, before, running)

    def _judge(self, work: _InWork) -> Result:
        ended = work.running.end()
        faults = faults_of(work.given, ended, work.folder / _WORLD, work.before)
        if faults:
            (work.folder / _NOTES / "faults").write_text("\n".join(faults) + "\n")
            kept = self._output / "failures" / f"{self._plan.seed}-{work.number}-{work.kind}"
            kept.parent.mkdir(exist_ok=True)
            shutil.rmtree(kept, ignore_errors=True)
            work.folder.rename(kept)
        else:
            shutil.rmtree(work.folder)
        return Result(
            seed=self._plan.seed,
            number=work.number,
            kind=work.kind,
            told=work.given.told[:300],
            code=ended.code,
            said=next((x for x in ended.err.splitlines() if x.startswith("error")), "")[:300],
            cpu_seconds=round(ended.cpu_seconds, 3),
            peak_mb=round(ended.peak_mb),
            faults=tuple(faults),
        )

    def _kill_overdue(self, selector: selectors.BaseSelector) -> None:
        for key in selector.get_map().values():
            if time.monotonic() - key.data.running.started > self._plan.limit_seconds:
                key.data.running.kill()

    def _tell(self, results: Iterable[Result], wanted: int) -> None:
        now = time.monotonic()
        if now - self._spoke < _TELL_EVERY_SECONDS:
            return
        self._spoke = now
        done = list(results)
        num_failed = sum(bool(result.faults) for result in done)
        print(
            f"{len(done)}/{wanted} inputs, {num_failed} with faults, {now - self._started:.0f} s",
            file=sys.stderr,
            flush=True,
        )


def _made_by_a_child(root: Path) -> Corpus:
    """Make the corpus in a process of its own: encoders leave threads, which do not fork."""
    child = os.fork()
    if not child:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # commands tell there what they made
            corpora.build(root)
            code = 0
        except BaseException:  # noqa: BLE001 – a fork must not go on as its parent
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    _pid, status = os.waitpid(child, 0)
    if status:
        raise SystemExit("the whole files could not be made")
    return Corpus(root)


def _import_everything() -> None:
    """Import what the commands import when they need it."""
    import avscli.batch.run
    import avscli.cli
    import avscli.conversion
    import avscli.datasets.checking
    import avscli.demo
    import avscli.evaluation.network.data
    import avscli.evaluation.report.compare
    import avscli.evaluation.run
    import avscli.pipeline
    import avscli.review.apply
    import avscli.training.clips.run  # noqa: F401


def table_of(results: Sequence[Result]) -> str:
    """Return a table of results by kind."""
    header = ("kind", "inputs", "exit codes", "faults", "CPU s, mean", "max", "peak MB")
    rows: list[tuple[str, ...]] = [header]
    for kind in [*KINDS, "all"]:
        these = [result for result in results if kind in (result.kind, "all")]
        if not these:
            continue
        codes = Counter(result.code for result in these)
        rows.append(
            (
                kind,
                str(len(these)),
                ", ".join(f"{code}: {codes[code]}" for code in sorted(codes)),
                str(sum(bool(result.faults) for result in these)),
                f"{sum(result.cpu_seconds for result in these) / len(these):.2f}",
                f"{max(result.cpu_seconds for result in these):.1f}",
                f"{max(result.peak_mb for result in these):.0f}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)

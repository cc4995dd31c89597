"""A whole batch: plan it, feed the workers, and record what comes back.

inputs ─▶ find_videos ─▶ make_plan ─▶ jobs ─▶ executor ─▶ results ─▶ manifest ─▶ summaries
                          ▲ lock, manifest     ▲      │
                                               └──────┘ lost, or failed in a way that can pass
"""

from __future__ import annotations

import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from avscli.batch.adoption import existing_result
from avscli.batch.events import (
    BatchReport,
    JobAdvanced,
    JobEnded,
    JobRepeated,
    JobStarted,
    Looked,
    Planned,
    Stopping,
    Ticked,
    Watch,
)
from avscli.batch.executors import Advanced, Finished, Lost, Started, Update, Warned, WorkerPool
from avscli.batch.jobs import Job, JobResult, expected_bytes
from avscli.batch.manifest import Manifest
from avscli.batch.plan import Plan, find_videos, make_plan
from avscli.batch.prober import Prober
from avscli.batch.summary import write_combined, write_summaries

if TYPE_CHECKING:
    from types import FrameType

    from avscli.batch.executors import Executor, Work
    from avscli.batch.jobs import Status
    from avscli.config import BatchOptions

TICK_SECONDS = 0.5  # how long a time-out or Ctrl-C may wait to be noticed
LOSSES_FORGIVEN = 1  # how often a file may lose its worker before it is blamed


def plan_batch(
    inputs: Sequence[str],
    output: Path,
    work: Work,
    batch: BatchOptions,
    *,
    watch: Watch,
    warn: Callable[[str], None],
) -> tuple[Plan, Planned]:
    """Return what `run_batch` would do, also in numbers, without doing or writing anything.

    Raises:
        AvscliError: as `run_batch`, before it begins.
    """
    with Prober() as prober:
        sources = find_videos(inputs, output, batch, prober, warn)
        plan = make_plan(sources, output, work, batch, prober, looked=lambda n: watch(Looked(n)))
    return plan, planned(plan, work, known_workers(batch))


def run_batch(
    inputs: Sequence[str],
    output: Path,
    work: Work,
    batch: BatchOptions,
    *,
    watch: Watch,
    warn: Callable[[str], None],
) -> BatchReport:
    """Segment many files; each result is on the disk, with a line in the manifest, or is not there.

    Ctrl-C lets the files in work be finished; a second one ends them.

    Args:
        inputs: as typed.
        output: receives one folder per file, and the records.
        work: weights and options of all files.
        batch: everything else.
        watch: told of every event.
        warn: told what the user should know, once each.

    Raises:
        UsageError: inputs that do not exist, that collide, or no video among them.
        OutputError: results would land in an input, another run writes to this folder, or the
            records cannot be written.
        WeightsError, DeviceError: no worker can work at all.
        DataError: a manifest in the output folder is damaged.
    """
    with ExitStack() as stack:
        with Prober() as prober:
            sources = find_videos(inputs, output, batch, prober, warn)
            manifest = stack.enter_context(Manifest(output, batch.shard, warn))
            plan = make_plan(
                sources, output, work, batch, prober, looked=lambda n: watch(Looked(n))
            )
        run = _Run(manifest, work, batch, watch, warn, media_seconds(plan))
        jobs = [job for job, _why in plan.jobs]
        with open_executor(work, batch, manifest, jobs) as executor:
            watch(planned(plan, work, executor.num_workers))
            run.adopt(plan)
            run.do(jobs, executor)
        files = write_summaries(output, batch.shard)
        if batch.combine and not run.was_interrupted:
            files = (*files, write_combined(output))
    return BatchReport(
        output,
        run.counts,
        plan.num_up_to_date,
        plan.num_incomplete + run.num_incomplete,
        num_left=len(plan.jobs) + len(plan.adopted) - run.counts.total(),
        was_interrupted=run.was_interrupted,
        files=files,
    )


def open_executor(
    work: Work, batch: BatchOptions, manifest: Manifest, jobs: Sequence[Job]
) -> Executor:
    """Return the executor that the options ask for, not yet entered."""
    if batch.engine == "ray" and jobs:
        from avscli.batch.ray_executor import RayCluster

        output = manifest.path.parent
        return RayCluster(work, batch, output=output, inputs=_one_of_each_disk(jobs))
    return WorkerPool(
        work,
        # Also for fewer files: the same share of cores, the same bytes. Without any file no cluster
        # is asked how many it has, and no worker starts.
        num_workers=known_workers(batch) or 1,
        devices=batch.devices or (work.options.device,),
        timeout_seconds=batch.timeout_seconds,
        inherit=manifest.descriptor,
    )


def _one_of_each_disk(jobs: Sequence[Job]) -> list[Path]:
    found: dict[int, Path] = {}
    for source in (Path(job.source).absolute() for job in jobs):
        with suppress(OSError):  # its job will say what is wrong with it
            found.setdefault(source.stat().st_dev, source)
    return list(found.values())


def known_workers(batch: BatchOptions) -> int | None:
    """Return how many files are done at once; None where only a Ray cluster knows."""
    if batch.workers is not None:
        return batch.workers
    return None if batch.engine == "ray" else max(1, len(batch.devices))


def planned(plan: Plan, work: Work, num_workers: int | None) -> Planned:
    """Return a plan in numbers."""
    total = sum(media_seconds(plan).values())
    speed = plan.seconds_per_second
    return Planned(
        num_jobs=len(plan.jobs),
        num_up_to_date=plan.num_up_to_date,
        num_workers=num_workers,
        media_seconds=total,
        num_bytes=sum(expected_bytes(job, work.options) for job, _why in plan.jobs),
        wall_seconds=total * speed / num_workers if speed and num_workers else None,
    )


def media_seconds(plan: Plan) -> dict[str, float]:
    """Return every job's length by its key, guessed from its size where it declares none."""
    jobs = [job for job, _why in plan.jobs]
    declared = [job for job in jobs if job.seconds is not None]
    num_bytes = sum(job.size_bytes for job in declared)
    per_byte = sum(job.seconds or 0.0 for job in declared) / num_bytes if num_bytes else 0.0
    return {
        job.key: job.size_bytes * per_byte if job.seconds is None else job.seconds for job in jobs
    }


@dataclass(slots=True)
class _Run:
    """The state of a batch while it runs."""

    manifest: Manifest
    work: Work
    batch: BatchOptions
    watch: Watch
    warn: Callable[[str], None]
    lengths: dict[str, float]
    counts: Counter[Status] = field(default_factory=Counter)
    num_incomplete: int = 0
    was_interrupted: bool = False
    _pending: deque[Job] = field(default_factory=deque)
    _attempts: Counter[str] = field(default_factory=Counter)
    _losses: Counter[str] = field(default_factory=Counter)
    _in_work: int = 0
    _is_stopping: bool = False
    _warned: set[str] = field(default_factory=set)

    def adopt(self, plan: Plan) -> None:
        """Record results that lie there already."""
        for job, result in plan.adopted:
            self._record(job, result, None)

    def do(self, jobs: Sequence[Job], executor: Executor) -> None:
        """Do all jobs, or as many as there is a wish for."""
        self._pending.extend(jobs)
        with _interrupts(self._interrupted):
            try:
                while self._feed(executor):
                    for update in executor.updates(TICK_SECONDS):
                        self._handle(update)
                    self._tick()
            except KeyboardInterrupt:
                self.was_interrupted = True

    def _tick(self) -> None:
        if self.was_interrupted:
            self._stop("interrupted")
        self.watch(Ticked())

    def _feed(self, executor: Executor) -> bool:
        """Hand out what can be handed out; say whether there is anything left to wait for."""
        while self._pending and not self._is_stopping and executor.num_free:
            executor.submit(self._pending.popleft())
            self._in_work += 1
        return self._in_work > 0 or (bool(self._pending) and not self._is_stopping)

    def _handle(self, update: Update) -> None:
        match update:
            case Started(worker, job):
                self._attempts[job.key] += 1
                self.watch(JobStarted(worker, job))
            case Advanced(worker, seconds):
                self.watch(JobAdvanced(worker, seconds))
            case Finished(worker, job, result):
                self._in_work -= 1
                self._finished(worker, job, result)
            case Lost(worker, job, why, had_begun):
                self._in_work -= 1
                self._losses[job.key] += had_begun
                self._lost(worker, job, why)
            case Warned(message):
                if message not in self._warned:
                    self._warned.add(message)
                    self.warn(message)

    def _finished(self, worker: int, job: Job, result: JobResult) -> None:
        if result.can_pass and self._attempts[job.key] <= self.batch.retries:
            self._repeat(worker, job, result.message)
        elif result.status == "crashed":
            self._record(job, self._survived(job) or result, worker)
        else:
            self._record(job, result, worker)

    def _lost(self, worker: int, job: Job, why: str) -> None:
        survived = self._survived(job)
        if survived is not None:
            self._record(job, survived, worker)
        elif self._losses[job.key] <= max(LOSSES_FORGIVEN, self.batch.retries):
            self._repeat(worker, job, why)
        else:
            self._record(job, JobResult("crashed", message=why, can_pass=True), worker)

    def _survived(self, job: Job) -> JobResult | None:
        """Return the result that a dead worker had put in place before it could say so."""
        return existing_result(job, self.work.options)

    def _repeat(self, worker: int, job: Job, why: str) -> None:
        self.watch(JobRepeated(worker, job, why))
        self._pending.append(job)

    def _record(self, job: Job, result: JobResult, worker: int | None) -> None:
        self.manifest.add(job, result, attempt=max(1, self._attempts[job.key]))
        self.counts[result.status] += 1
        self.num_incomplete += bool(result.failed_outputs)
        self.watch(JobEnded(worker, job, result, self.lengths.get(job.key, 0.0)))
        if self.batch.fail_fast and not result.is_finished:
            self._stop(f"{job.key} failed")

    def _interrupted(self) -> None:
        # Nothing is said here: the signal may have come in the middle of a line.
        self.was_interrupted = True

    def _stop(self, why: str) -> None:
        if not self._is_stopping:
            self._is_stopping = True
            self.watch(Stopping(self._in_work, why))


@contextmanager
def _interrupts(on_first: Callable[[], None]) -> Iterator[None]:
    """Turn the first Ctrl-C into a call, and leave the second to who had them before."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what signals do
        return

    def first(_signum: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        on_first()

    before = signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

"""Who does the jobs: the `Executor` protocol, and processes on this machine.

An executor has slots, each doing one job at a time. It knows nothing of plans, retries and records;
`avscli.batch.run` feeds it and acts on what it reports.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from avscli import errors
from avscli.batch.child import Child, Message, describe_end
from avscli.batch.jobs import Job, JobResult, to_json
from avscli.errors import AvscliError, DeviceError
from avscli.outputs.run_folder import clear_partial
from avscli.shipped import find_checkpoint, sha256_of

if TYPE_CHECKING:
    from types import TracebackType

    from avscli.config import SegmentOptions

MAX_FAILED_STARTS = 3  # in a row, before any worker was ready


@dataclass(frozen=True, slots=True)
class Work:
    """What every job of a batch has in common.

    Attributes:
        weights: a shipped name or a path.
        weights_sha256: of that file.
        options: of every file.
    """

    weights: str
    weights_sha256: str
    options: SegmentOptions

    @classmethod
    def of(cls, weights: str, options: SegmentOptions) -> Work:
        """Find the weights.

        Raises:
            UnknownNetworkError: neither a shipped name nor an existing file.
        """
        return cls(weights, sha256_of(find_checkpoint(weights)), options)


@dataclass(frozen=True, slots=True)
class Started:
    """A worker has begun with a job."""

    worker: int
    job: Job


@dataclass(frozen=True, slots=True)
class Advanced:
    """How far a worker has come with its job."""

    worker: int
    media_seconds: float


@dataclass(frozen=True, slots=True)
class Finished:
    """A job has ended, well or badly."""

    worker: int
    job: Job
    result: JobResult


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker was taken away from outside before its job was done.

    Attributes:
        had_begun: the worker had the file open, which may yet be to blame.
    """

    worker: int
    job: Job
    why: str
    had_begun: bool


@dataclass(frozen=True, slots=True)
class Warned:
    """A worker has something to say about its device."""

    message: str


Update = Started | Advanced | Finished | Lost | Warned


class Executor(Protocol):
    """Workers that each do one job at a time, inside a ``with`` block that ends them.

    Attributes:
        num_workers: how many jobs can be in work.
    """

    num_workers: int

    def __enter__(self) -> Self:
        """Get ready.

        Raises:
            AvscliError: there can be no workers.
        """
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all workers, in the middle of a job if need be; no half results stay behind."""
        ...

    @property
    def num_free(self) -> int:
        """How many more jobs can be taken on."""
        ...

    def submit(self, job: Job) -> None:
        """Take on a job; there must be a free slot."""
        ...

    def updates(self, seconds: float) -> Sequence[Update]:
        """Return what has happened, after waiting for that long at most.

        Raises:
            AvscliError: no worker can work at all, weights that do not load for instance.
        """
        ...


@dataclass(slots=True)
class _Slot:
    """A place for a worker; the process in it comes and goes."""

    index: int
    device: str
    cores: tuple[int, ...]
    child: Child | None = None
    is_ready: bool = False
    job: Job | None = None
    deadline: float | None = None


class WorkerPool:
    """One process per worker on this machine; a single one is serial work, safely fenced in.

    Args:
        work: what all jobs have in common.
        num_workers: how many processes.
        devices: dealt to the workers in turn.
        timeout_seconds: longest time for one file.
        inherit: a descriptor that lives as long as any worker: the lock of the output folder.
    """

    def __init__(
        self,
        work: Work,
        *,
        num_workers: int,
        devices: Sequence[str],
        timeout_seconds: float | None,
        inherit: int,
    ) -> None:
        self._work, self._timeout, self._inherit = work, timeout_seconds, inherit
        self._selector = selectors.DefaultSelector()
        self._failed_starts = 0
        shares = divide_cores(num_workers)
        self._slots = [_Slot(i, devices[i % len(devices)], share) for i, share in enumerate(shares)]
        self.num_workers = num_workers

    def __enter__(self) -> Self:
        """Start nothing yet: a worker starts with its first job."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all processes and remove what they had half written."""
        for slot in self._slots:
            if slot.child is not None:
                self._end(slot)
        self._selector.close()

    @property
    def num_free(self) -> int:
        """How many more jobs can be taken on."""
        return sum(slot.job is None for slot in self._slots)

    def submit(self, job: Job) -> None:
        """Give a job to a worker, one that is running already where there is one."""
        free = [slot for slot in self._slots if slot.job is None]
        slot = max(free, key=lambda slot: (slot.child is not None, -slot.index))
        if slot.child is None:
            self._start(slot)
        assert slot.child is not None
        slot.job = job
        slot.child.forget_words()
        slot.child.send(to_json(job))

    def updates(self, seconds: float) -> Sequence[Update]:
        """Return what has happened, after waiting for that long at most.

        Raises:
            AvscliError: the weights do not load, a device does not work, or processes keep
                dying before they can work.
        """
        found: list[Update] = []
        for key, _events in self._selector.select(seconds):
            slot = key.data
            messages = slot.child.receive()
            if messages is None:
                found += self._after_death(slot)
                continue
            for message in messages:
                found += self._understood(slot, message)
        return found + overdue(self._slots, self._timeout, self._end)

    def _start(self, slot: _Slot) -> None:
        threads = os.environ.get("OMP_NUM_THREADS", str(max(1, len(slot.cores))))
        environment = {"OMP_NUM_THREADS": threads}
        slot.child = Child("avscli.batch.worker", environment=environment, inherit=(self._inherit,))
        self._selector.register(slot.child.answers, selectors.EVENT_READ, slot)
        options = replace(self._work.options, device=slot.device)
        slot.child.send(
            {"weights": self._work.weights, "options": to_json(options), "cores": slot.cores}
        )

    def _understood(self, slot: _Slot, message: Message) -> list[Update]:
        event = message["event"]
        if event == "ready":
            slot.is_ready, self._failed_starts = True, 0
            return [Warned(warning) for warning in message["warnings"]]
        if event == "unusable":
            raise error_from(message)
        assert slot.job is not None, "workers speak of their job only"
        if event == "started":
            if self._timeout is not None:
                slot.deadline = time.monotonic() + self._timeout
            return [Started(slot.index, slot.job)]
        if event == "advanced":
            return [Advanced(slot.index, message["seconds"])]
        job, slot.job, slot.deadline = slot.job, None, None
        if not message["is_clean"]:
            self._end(slot)
        return [Finished(slot.index, job, JobResult.from_json(message["result"]))]

    def _after_death(self, slot: _Slot) -> list[Update]:
        assert slot.child is not None
        job, was_ready, words = slot.job, slot.is_ready, slot.child.last_words()
        status = self._end(slot, kill=False)
        why = describe_end(status, words)
        if not was_ready:
            self._failed_starts += 1
            if self._failed_starts >= MAX_FAILED_STARTS:
                raise DeviceError(
                    f"workers keep dying before they can work: {why}",
                    hint="try fewer --workers, or avs segment with one of the files",
                )
        if job is None:
            return []
        if not was_ready or status in (-signal.SIGKILL, -signal.SIGTERM):
            return [Lost(slot.index, job, why, was_ready)]
        return [Finished(slot.index, job, JobResult("crashed", message=why))]

    def _end(self, slot: _Slot, *, kill: bool = True) -> int:
        """End a slot's process, and remove what its job has half written."""
        assert slot.child is not None
        self._selector.unregister(slot.child.answers)
        status = slot.child.end(kill=kill)
        if slot.job is not None:
            clear_partial(Path(slot.job.folder), Path(slot.job.source).name)
        slot.child, slot.is_ready, slot.job, slot.deadline = None, False, None, None
        return status


class Slot(Protocol):
    """A place that does one job at a time.

    Attributes:
        index: its number, as updates have it.
        job: what it does; None when it is free.
        deadline: when that has to be done, on the monotonic clock; None without a time-out.
    """

    index: int
    job: Job | None
    deadline: float | None


SlotT = TypeVar("SlotT", bound=Slot)


def overdue(
    slots: Sequence[SlotT], timeout_seconds: float | None, end: Callable[[SlotT], object]
) -> list[Update]:
    """End what takes longer than it may, and return how those jobs ended."""
    now, found = time.monotonic(), list[Update]()
    late = [slot for slot in slots if slot.deadline is not None and now >= slot.deadline]
    for slot in late:
        assert slot.job is not None, "only jobs have deadlines"
        assert timeout_seconds is not None, "or there would be no deadlines"
        message = f"it took longer than {timeout_seconds:g} s"
        result = JobResult("timed_out", wall_seconds=timeout_seconds, message=message)
        found.append(Finished(slot.index, slot.job, result))
        end(slot)
    return found


def divide_cores(num_workers: int) -> list[tuple[int, ...]]:
    """Share the cores of this process out, so that workers do not stand in each other's way.

    Every worker has one at least; with more workers than cores they take turns. Where a process
    cannot be kept to cores, the shares still say how many threads each may have.
    """
    cores = (
        sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else range(os.cpu_count() or 1)
    )
    total = len(cores)
    if num_workers >= total:
        return [(cores[i % total],) for i in range(num_workers)]
    bounds = [i * total // num_workers for i in range(num_workers + 1)]
    return [tuple(cores[a:b]) for a, b in pairwise(bounds)]


def error_from(message: Message) -> AvscliError:
    """Rebuild an error that ended a worker's setup."""
    kind = getattr(errors, message["kind"])
    error = kind(message["message"], hint=message["hint"])
    assert isinstance(error, AvscliError)
    return error

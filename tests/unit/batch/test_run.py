"""What a run makes of what its workers report, whatever they report."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import pytest

from avscli.batch.events import (
    BatchEvent,
    JobEnded,
    JobRepeated,
    JobStarted,
    Looked,
    Stopping,
    Ticked,
)
from avscli.batch.executors import Finished, Lost, Started, Update, Work
from avscli.batch.jobs import Job, JobResult
from avscli.batch.manifest import Manifest, latest_records
from avscli.batch.run import _Run
from avscli.config import BatchOptions, SegmentOptions, Shard

Event = BatchEvent | Looked | Ticked
LOST = "lost"
DONE = JobResult("done", 3, 1.0, 1.0)
NO_MEMORY = JobResult("failed", message="no memory", can_pass=True)
BROKEN = JobResult("failed", message="broken")


class OneWorker:
    """An executor whose worker does to each job what it is told, try after try."""

    num_workers = 1

    def __init__(self, **fates: list[JobResult | str]) -> None:
        self._fates = {f"{name}.mp4": deque(fate) for name, fate in fates.items()}
        self._updates: deque[Update] = deque()
        self.num_free = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None: ...

    def submit(self, job: Job) -> None:
        self.num_free -= 1
        self._updates.append(Started(0, job))
        fate = self._fates[job.key].popleft()
        if isinstance(fate, JobResult):
            self._updates.append(Finished(0, job, fate))
        else:
            self._updates.append(Lost(0, job, fate, had_begun=True))

    def updates(self, _seconds: float) -> Sequence[Update]:
        update = self._updates.popleft()
        self.num_free += not isinstance(update, Started)
        return [update]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., _Run]]:
    """Return a function that does jobs of given fates, and tells `watch`."""
    with Manifest(tmp_path, Shard(), lambda _: None) as manifest:

        def call(watch: Callable[[Event], None], batch: BatchOptions, **fates: object) -> _Run:
            work = Work("none", "ab", SegmentOptions())
            running = _Run(manifest, work, batch, watch, lambda _: None, {})
            keys = [f"{name}.mp4" for name in fates]
            jobs = [Job(key, key, str(tmp_path), 1, 1.0, False, {}, f"/./{key}") for key in keys]
            running.do(jobs, OneWorker(**fates))
            return running

        yield call


@pytest.mark.parametrize(
    ("fate", "retries", "status", "num_repeats"),
    [
        ([DONE], 0, "done", 0),
        ([LOST, DONE], 0, "done", 1),
        ([LOST, LOST], 0, "crashed", 1),
        ([LOST, LOST, LOST, DONE], 3, "done", 3),
        ([NO_MEMORY], 0, "failed", 0),
        ([NO_MEMORY, DONE], 1, "done", 1),
        ([NO_MEMORY, NO_MEMORY, NO_MEMORY], 2, "failed", 2),
        ([BROKEN], 5, "failed", 0),
        ([JobResult("timed_out")], 5, "timed_out", 0),
    ],
)
def test_a_file_gets_as_many_tries_as_it_deserves(
    run: Callable[..., _Run],
    tmp_path: Path,
    fate: list[JobResult | str],
    retries: int,
    status: str,
    num_repeats: int,
) -> None:
    events: list[Event] = []
    run(events.append, BatchOptions(retries=retries), a=list(fate), b=[DONE])
    ended = {e.job.key: e.result.status for e in events if isinstance(e, JobEnded)}
    assert ended == {"a.mp4": status, "b.mp4": "done"}
    assert sum(isinstance(event, JobRepeated) for event in events) == num_repeats
    records = {record.key: record for record in latest_records(tmp_path)}
    assert records["a.mp4"].result.status == status
    assert records["a.mp4"].attempt == num_repeats + 1


def test_ctrl_c_in_the_middle_of_a_line_is_told_after_it(run: Callable[..., _Run]) -> None:
    told: list[type] = []
    is_telling = False

    def watch(event: Event) -> None:
        nonlocal is_telling
        assert not is_telling, "a line within a line"
        is_telling = True
        if isinstance(event, JobStarted):
            signal.raise_signal(signal.SIGINT)
        told.append(type(event))
        is_telling = False

    before = signal.getsignal(signal.SIGINT)
    ended = run(watch, BatchOptions(), a=[DONE], b=[DONE])
    assert signal.getsignal(signal.SIGINT) is before
    assert ended.was_interrupted
    assert ended.counts == {"done": 1}
    assert [kind for kind in told if kind is not Ticked] == [JobStarted, Stopping, JobEnded]


def test_time_passes_while_nothing_happens(run: Callable[..., _Run]) -> None:
    events: list[Event] = []
    run(events.append, BatchOptions(), a=[DONE])
    assert [type(event) for event in events] == [JobStarted, Ticked, JobEnded, Ticked]

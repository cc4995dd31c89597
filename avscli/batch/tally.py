"""How far a batch has come, counted from its events: `Tally`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from avscli.batch.events import JobAdvanced, JobEnded, JobRepeated, JobStarted, Looked, Planned

if TYPE_CHECKING:
    from avscli.batch.events import BatchEvent

MAX_ROWS = 50  # of the table at the end; summary.csv has all


@dataclass(slots=True)
class InWork:
    """What one worker is doing.

    Attributes:
        key: the file.
        length: its media seconds, declared or guessed.
        media_seconds: how far it is.
    """

    key: str
    length: float
    media_seconds: float = 0.0


@dataclass(slots=True)
class Tally:
    """Counts in files and in media seconds; the time left follows from the latter.

    Attributes:
        num_looked: files that were looked at to make a plan.
        num_files, num_ended, num_failed: of this run.
        media_total: seconds of video to do.
        media_ended: of files that have ended.
        in_work: what each worker does, by its number.
        rows: the last files that ended, failures before others, for a table.
        started: when the plan was known, on the monotonic clock.
    """

    num_looked: int = 0
    num_files: int = 0
    num_ended: int = 0
    num_failed: int = 0
    media_total: float = 0.0
    media_ended: float = 0.0
    in_work: dict[int, InWork] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    _finished: list[JobEnded] = field(default_factory=list)
    _failed: list[JobEnded] = field(default_factory=list)

    def count(self, event: BatchEvent | Looked) -> None:
        """Take note of an event."""
        match event:
            case Looked(num_files):
                self.num_looked = num_files
            case Planned():
                self.num_files, self.media_total = event.num_jobs, event.media_seconds
                self.started = time.monotonic()
            case JobStarted(worker, job):
                self.in_work[worker] = InWork(job.key, job.seconds or 0.0)
            case JobAdvanced(worker, media_seconds):
                if worker in self.in_work:
                    self.in_work[worker].media_seconds = media_seconds
            case JobRepeated(worker, _job, _why):
                self.in_work.pop(worker, None)
            case JobEnded(worker, _job, result, media_seconds):
                if worker is None:
                    self.num_files += 1
                else:
                    self.in_work.pop(worker, None)
                self.num_ended += 1
                self.num_failed += not result.is_finished
                self.media_ended += media_seconds
                kept = self._finished if result.is_finished else self._failed
                if len(kept) < MAX_ROWS:
                    kept.append(event)

    @property
    def rows(self) -> list[JobEnded]:
        """The first files that failed, and after them the first that did not."""
        return (self._failed + self._finished)[:MAX_ROWS]

    @property
    def media_done(self) -> float:
        """Seconds of video that are done, those of files in work among them."""
        return self.media_ended + sum(
            min(work.media_seconds, work.length or work.media_seconds)
            for work in self.in_work.values()
        )

    @property
    def times_real_time(self) -> float | None:
        """Seconds of video per second since the start; None before anything is done."""
        elapsed = time.monotonic() - self.started
        return self.media_done / elapsed if self.media_done and elapsed > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """How long it will take at this speed; None before there is one."""
        speed = self.times_real_time
        return None if speed is None else max(0.0, self.media_total - self.media_done) / speed

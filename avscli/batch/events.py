"""What happens in a batch, told to whoever watches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from avscli.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from avscli.batch.jobs import Job, JobResult, Status


@dataclass(frozen=True, slots=True)
class Planned:
    """What will be done.

    Attributes:
        num_jobs: files to do.
        num_up_to_date: files whose results are good as they are.
        num_workers: how many are done at once; None when only a Ray cluster knows, and it has not
            been asked.
        media_seconds: length of what is to be done, estimated where files do not declare it.
        num_bytes: about what the results will take.
        wall_seconds: about how long it will take, from earlier results here; None without
            any, or when `num_workers` is None.
    """

    num_jobs: int
    num_up_to_date: int
    num_workers: int | None
    media_seconds: float
    num_bytes: int
    wall_seconds: float | None


@dataclass(frozen=True, slots=True)
class JobStarted:
    """A worker begins with a file."""

    worker: int
    job: Job


@dataclass(frozen=True, slots=True)
class JobAdvanced:
    """A worker has come this far with its file."""

    worker: int
    media_seconds: float


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A file is done, or has failed for good.

    Attributes:
        worker: None for results that were found lying there.
        media_seconds: the share of `Planned.media_seconds` that this file stood for.
    """

    worker: int | None
    job: Job
    result: JobResult
    media_seconds: float


@dataclass(frozen=True, slots=True)
class JobRepeated:
    """A file will be done once more."""

    worker: int
    job: Job
    why: str


@dataclass(frozen=True, slots=True)
class Stopping:
    """No more files are begun; those in work are finished."""

    num_in_work: int
    why: str


@dataclass(frozen=True, slots=True)
class Looked:
    """So many files have been looked at, before it is known what will be done."""

    num_files: int


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time has passed; it comes every half second, so that progress speaks while workers do not."""


BatchEvent = Planned | JobStarted | JobAdvanced | JobEnded | JobRepeated | Stopping
Watch = Callable[[BatchEvent | Looked | Ticked], None]  # the last two are for people only


def event_json(event: BatchEvent) -> dict[str, object]:
    """Return an event as JSON values."""
    match event:
        case Planned():
            return {"event": "planned", **asdict(event)}
        case JobStarted(worker, job):
            return {"event": "started", "file": job.key, "worker": worker}
        case JobAdvanced(worker, media_seconds):
            return {"event": "advanced", "worker": worker, "media_seconds": media_seconds}
        case JobRepeated(worker, job, why):
            return {"event": "repeated", "file": job.key, "worker": worker, "why": why}
        case JobEnded(worker, job, result, _):
            ended = {"event": "ended", "file": job.key, "worker": worker, "source": job.source}
            return {**ended, "output": str(job.output), **asdict(result)}
        case Stopping(num_in_work, why):
            return {"event": "stopping", "num_in_work": num_in_work, "why": why}


@dataclass(frozen=True, slots=True)
class BatchReport:
    """The end of a batch.

    Attributes:
        output: the folder of all results and records.
        counts: how many files ended how in this run.
        num_up_to_date: how many were good before.
        num_incomplete: how many of both lack an output that could not be made.
        num_left: how many were not begun, or not ended.
        was_interrupted: a person stopped it.
        files: records that were written at the end.
    """

    output: Path
    counts: Counter[Status] = field(default_factory=Counter)
    num_up_to_date: int = 0
    num_incomplete: int = 0
    num_left: int = 0
    was_interrupted: bool = False
    files: tuple[Path, ...] = ()

    @property
    def num_finished(self) -> int:
        """How many files have new results."""
        return self.counts["done"] + self.counts["truncated"]

    @property
    def num_failed(self) -> int:
        """How many files have none."""
        return self.counts.total() - self.num_finished

    @property
    def exit_code(self) -> ExitCode:
        """What to tell the shell."""
        if self.was_interrupted:
            return ExitCode.INTERRUPTED
        if self.num_failed:
            return ExitCode.PARTIAL
        return ExitCode.INCOMPLETE if self.num_incomplete else ExitCode.OK

    def to_json(self) -> dict[str, object]:
        """Return the report as JSON values, as the last event of ``--json``."""
        return {
            "event": "end",
            "output": str(self.output),
            "counts": dict(self.counts),
            "num_up_to_date": self.num_up_to_date,
            "num_incomplete": self.num_incomplete,
            "num_left": self.num_left,
            "files": [str(path) for path in self.files],
            "exit_code": int(self.exit_code),
        }

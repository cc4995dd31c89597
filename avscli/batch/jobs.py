"""One file of a batch: `Job`, `JobResult`, and `run_job` between them."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from avscli.config import SegmentOptions
from avscli.errors import AvscliError, DeviceError, NoAudioError, OutputError
from avscli.json_values import decoded
from avscli.outputs.artifacts import wanted
from avscli.outputs.disk import output_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from avscli.devices import Runtime
    from avscli.results import Progress, SegmentationReport

Status = Literal["done", "truncated", "no_audio", "failed", "crashed", "timed_out"]
FINISHED: tuple[Status, ...] = ("done", "truncated")
MEBIBYTE = 1024 * 1024
SPARE_BYTES = MEBIBYTE  # left free beside what a file is expected to need
_CAN_PASS = {
    *(errno.EIO, errno.EAGAIN, errno.EBUSY, errno.ENOMEM, errno.ENOBUFS, errno.ETIMEDOUT),
    *(errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ENOLCK),
    *(errno.ECONNRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EREMOTEIO),
}


@dataclass(frozen=True, slots=True)
class Job:
    """One source and where its results go; nothing in it but what JSON holds.

    Attributes:
        key: its place below the output folder, and its name in every record.
        source: path of the file.
        folder: the folder that receives ``<name>/``.
        size_bytes: of the source.
        seconds: declared length; None when unknown.
        overwrite: replace the results of an earlier run.
        fingerprint: of what the result will depend on.
        marked_source: absolute path that gives the same key wherever it is named.
    """

    key: str
    source: str
    folder: str
    size_bytes: int
    seconds: float | None
    overwrite: bool
    fingerprint: Mapping[str, str | int]
    marked_source: str

    @property
    def output(self) -> Path:
        """Where the results will be."""
        return Path(self.folder) / Path(self.source).name


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job ended; nothing in it but what JSON holds.

    Attributes:
        status: ``done`` and ``truncated`` have results, the others have none.
        frames: source frames written.
        media_seconds: how much of the source that was.
        wall_seconds: how long it took.
        mean_score, sounding_share: as in the report of the file.
        num_bytes: of the results.
        files: names of the results.
        source_sha256: of every byte of the source; empty without results.
        message, hint: what went wrong.
        can_pass: the failure lies outside of the file and may be gone at another try.
        warnings: what the run of this file warned of.
        failed_outputs: why there is none, by the name of each output that could not be made. They
            would fail again, so such a result counts as up to date.
        sounding: what sounds for how long.
    """

    status: Status
    frames: int = 0
    media_seconds: float = 0.0
    wall_seconds: float = 0.0
    mean_score: float | None = None
    sounding_share: float | None = None
    num_bytes: int = 0
    files: tuple[str, ...] = ()
    source_sha256: str = ""
    message: str = ""
    hint: str = ""
    can_pass: bool = False
    warnings: tuple[str, ...] = field(default=())
    failed_outputs: Mapping[str, str] = field(default_factory=dict)
    sounding: str = ""

    @property
    def is_finished(self) -> bool:
        """Say whether there are results."""
        return self.status in FINISHED

    @property
    def speed(self) -> float | None:
        """Seconds of video per second; None where nothing was written."""
        return self.media_seconds / self.wall_seconds if self.frames and self.wall_seconds else None

    @property
    def note(self) -> str:
        """One line for people."""
        if self.message:
            return self.message
        if self.failed_outputs:
            return "; ".join(f"no {name}: {why}" for name, why in self.failed_outputs.items())
        if self.sounding_share == 0.0:
            return "nothing in it sounds"
        return self.warnings[0] if self.warnings else ""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> JobResult:
        """Rebuild a result from its `dataclasses.asdict` that went through JSON.

        Raises:
            ValueError: it is not one.
        """
        return decoded(cls, values)


def options_from_json(values: Mapping[str, Any]) -> SegmentOptions:
    """Rebuild options from their `dataclasses.asdict` that went through JSON.

    Raises:
        ValueError, UsageError: they are not that, or out of range.
    """
    return decoded(SegmentOptions, values)


def run_job(
    job: Job, runtime: Runtime, options: SegmentOptions, on_progress: Callable[[Progress], None]
) -> JobResult:
    """Segment the file of a job; whatever is wrong with the file becomes a result.

    Args:
        job: what to do.
        runtime: a network on its device.
        options: of every file of the batch.
        on_progress: called after every frame.
    """
    from avscli.pipeline import segment_file

    reached = _Reached(on_progress)
    started = time.monotonic()
    try:
        require_space(job, options)
        report = segment_file(
            Path(job.source),
            Path(job.folder),
            runtime,
            replace(options, overwrite=job.overwrite),
            reached,
        )
    except AvscliError as err:
        return failure(err, wall_seconds=time.monotonic() - started)
    # Time stamps are those of frame starts: one frame's length is missing at the end.
    length = reached.media_seconds * report.num_frames / max(1, report.num_frames - 1)
    return success(job, report, length, time.monotonic() - started)


def failure(err: AvscliError, *, wall_seconds: float = 0.0) -> JobResult:
    """Return what an error means for one file of a batch."""
    cause = err.__cause__
    can_pass = isinstance(err, DeviceError) or (
        isinstance(cause, OSError) and cause.errno in _CAN_PASS
    )
    return JobResult(
        "no_audio" if isinstance(err, NoAudioError) else "failed",
        wall_seconds=round(wall_seconds, 3),
        message=str(err),
        hint=err.hint,
        can_pass=can_pass,
    )


def require_space(job: Job, options: SegmentOptions) -> None:
    """Check that the results of a job are likely to fit on the disk.

    Raises:
        OutputError: they are not.
    """
    folder = next(p for p in (Path(job.folder), *Path(job.folder).parents) if p.exists())
    with output_errors(folder):
        free = shutil.disk_usage(folder).free
    needed = expected_bytes(job, options) + SPARE_BYTES
    if free < needed:
        full = OSError(errno.ENOSPC, "No space left on device")
        raise OutputError(
            f"{folder} has {free // MEBIBYTE} MiB left, {job.key} may need "
            f"{-(-needed // MEBIBYTE)} MiB",
            hint="free some space, then run the same command again",
        ) from full


def expected_bytes(job: Job, options: SegmentOptions) -> int:
    """Return about how much a job will write.

    An overlay is about as large as its source; masks, scores and the journal together are small
    beside it (docs/scaling.md has the measurements).
    """
    shares = (artifact.source_share for artifact in wanted(options).values())
    return max(job.size_bytes // 10, round(job.size_bytes * max(shares)))


class _Reached:
    """Passes progress on and remembers how far it came."""

    def __init__(self, on_progress: Callable[[Progress], None]) -> None:
        self._on_progress = on_progress
        self.media_seconds = 0.0

    def __call__(self, progress: Progress) -> None:
        self.media_seconds = progress.media_seconds_done
        self._on_progress(progress)


def success(
    job: Job, report: SegmentationReport, media_seconds: float, wall_seconds: float
) -> JobResult:
    """Return what a finished run means for its file.

    Args:
        job: what was done.
        report: of the run, whose files lie in the job's output folder.
        media_seconds: how much of the source was segmented; 0 takes the job's word.
        wall_seconds: how long it took.

    Raises:
        OSError: a file is not there.
    """
    return JobResult(
        report.status,
        frames=report.num_frames,
        media_seconds=round(media_seconds or job.seconds or 0.0, 3),
        wall_seconds=round(wall_seconds, 3),
        mean_score=report.mean_score,
        sounding_share=report.sounding_share,
        num_bytes=sum((job.output / name).stat().st_size for name in report.files),
        files=report.files,
        source_sha256=report.source.sha256,
        warnings=report.warnings,
        failed_outputs=report.failed_outputs,
        sounding=report.sounding,
    )


def to_json(value: Job | JobResult | SegmentOptions) -> dict[str, Any]:
    """Return plain JSON values."""
    return asdict(value)

"""What a batch is going to do, decided before anything runs: `find_videos`, `make_plan`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from sys import intern
from typing import TYPE_CHECKING

from avscli.batch.adoption import existing_result
from avscli.batch.fingerprint import Fingerprint, source_identity
from avscli.batch.jobs import Job, JobResult
from avscli.batch.manifest import latest_records, read_records
from avscli.batch.names import write_name
from avscli.batch.sources import Found, Narrowing, find_sources, settle
from avscli.errors import UsageError

if TYPE_CHECKING:
    from avscli.batch.executors import Work
    from avscli.batch.manifest import Record
    from avscli.batch.prober import Prober
    from avscli.config import BatchOptions, Shard

SHOWN_NAMES = 5  # of files that are left out


@dataclass(frozen=True, slots=True)
class Known:
    """What the manifest says of a key, as far as planning needs it."""

    is_finished: bool
    source: str
    fingerprint: Mapping[str, object]
    source_sha256: str
    media_seconds: float
    files: tuple[str, ...]
    is_incomplete: bool

    @classmethod
    def of(cls, record: Record) -> Known:
        """Keep of a record what counts, sharing what many records have in common."""
        result = record.result
        return cls(
            result.is_finished,
            record.source,
            {part: _shared(value) for part, value in record.fingerprint.items()},
            result.source_sha256,
            result.media_seconds,
            tuple(intern(name) for name in result.files),
            bool(result.failed_outputs),
        )


@dataclass(slots=True)
class Plan:
    """The jobs of a batch and what need not be done.

    Attributes:
        jobs: (job, why it has to run), in the order of the inputs.
        adopted: jobs whose results lie there whole, though the manifest does not know them: a
            run was killed between the one and the other.
        num_up_to_date: how many results are good as they are.
        num_incomplete: how many of those lack an output that could not be made.
        seconds_per_second: how long a second of video took in this folder so far; None at first.
    """

    jobs: list[tuple[Job, str]] = field(default_factory=list)
    adopted: list[tuple[Job, JobResult]] = field(default_factory=list)
    num_up_to_date: int = 0
    num_incomplete: int = 0
    up_to_date: list[str] = field(default_factory=list)
    seconds_per_second: float | None = None


def find_videos(
    inputs: Sequence[str],
    output: Path,
    batch: BatchOptions,
    prober: Prober,
    warn: Callable[[str], None],
) -> list[Found]:
    """Find the videos that inputs mean, each once, with places in the output of their own.

    Files whose ending says nothing are looked into, unless a manifest knows them already: pictures
    and music are no jobs, nor are animations without sound, which are named once.

    Raises:
        UsageError: inputs that do not exist, that collide, or no video among them.
        OutputError: results would land in an input.
        DataError: a manifest in the output folder is damaged.
    """
    known = {record.key for record in read_records(output)}
    narrowing = Narrowing(batch.extensions, batch.exclude)
    names = sys.stdin.buffer if sys.stdin else BytesIO()  # a shell can close it: <&-
    found = find_sources(inputs, narrowing, standard_input=names, warn=warn)
    left_out: list[str] = []
    sources = settle((one for one in found if _is_meant(one, known, prober, left_out)), output)
    if left_out:
        shown = ", ".join([*left_out[:SHOWN_NAMES], *["..."][: len(left_out) - SHOWN_NAMES]])
        warn(f"animations have no sound and are left out ({len(left_out)}): {shown}")
    if not sources:
        raise UsageError(
            f"there is no video in {', '.join(inputs)}",
            hint="files are recognised by what is in them; check --ext and --exclude",
        )
    return sources


def make_plan(
    sources: Iterable[Found],
    output: Path,
    work: Work,
    batch: BatchOptions,
    prober: Prober,
    *,
    looked: Callable[[int], None],
) -> Plan:
    """Decide which sources of this run's shard have to be done.

    Args:
        sources: of the whole batch.
        output: the batch's output folder; it need not exist.
        work: weights and options of all jobs.
        batch: what to skip.
        prober: asked for the lengths of files.
        looked: told after each source how many there were.

    Raises:
        DataError: a manifest in the output folder is damaged.
        UsageError: the output folder holds results of another file for one of the sources.
    """
    decide = _Decider(output, work, batch)
    plan = Plan(seconds_per_second=decide.seconds_per_second)
    for number, source in enumerate(sources, start=1):
        if in_shard(source.key, batch.shard):
            decide.add(plan, source, prober)
        looked(number)
    return plan


def in_shard(key: str, shard: Shard) -> bool:
    """Say whether a shard does this key, which does not depend on what else is in the batch."""
    number = int.from_bytes(sha256(key.encode(errors="surrogateescape")).digest()[:8])
    return number % shard.count == shard.index - 1


def _is_meant(found: Found, known: set[str], prober: Prober, left_out: list[str]) -> bool:
    """Say whether a file is to be a job; names of animations without sound are noted."""
    if found.is_certain or found.key in known:
        return True
    headers = prober.headers(found.path)
    if headers is None:
        return True  # what kills a decoder is not passed over in silence
    if headers.kind == "animation":
        left_out.append(write_name(found.key))
    return headers.kind == "video"


class _Decider:
    """Decides for one source after the other, from what the manifests know."""

    def __init__(self, output: Path, work: Work, batch: BatchOptions) -> None:
        self._output, self._work, self._batch = output, work, batch
        self.known: dict[str, Known] = {}
        self.seconds_per_second: float | None = None
        wall = media = 0.0
        for record in latest_records(output):
            self.known[record.key] = Known.of(record)
            if record.result.is_finished:
                wall += record.result.wall_seconds
                media += record.result.media_seconds
        if media:
            self.seconds_per_second = wall / media

    def add(self, plan: Plan, source: Found, prober: Prober) -> None:
        """Put a source where it belongs in a plan."""
        known = self.known.get(source.key)
        identity = source_identity(source.path, self._batch.hashing)
        fingerprint = Fingerprint.of(identity, self._work.weights_sha256, self._work.options)
        reason = self._reason(source, known, fingerprint)
        if not reason:
            plan.num_up_to_date += 1
            plan.num_incomplete += known is not None and known.is_incomplete
            if self._batch.dry_run:
                plan.up_to_date.append(source.key)
            return
        job = self._job(source, known, fingerprint, prober)
        result = None if self._batch.resume == "off" else self._adoptable(job)
        if result is None:
            plan.jobs.append((job, reason))
        else:
            plan.adopted.append((job, result))

    def _reason(self, source: Found, known: Known | None, now: Fingerprint) -> str:
        """Return why a source has to be done; empty when it has not."""
        if known is None:
            return "new"
        if not known.is_finished:
            return "failed before"
        folder = self._output / source.key
        if not all((folder / name).is_file() for name in known.files):
            return "results are gone"
        if self._batch.resume == "force":
            return ""
        changes = now.changes_since(known.fingerprint)
        if "source" in changes and now.source == f"full:{known.source_sha256}":
            changes = tuple(change for change in changes if change != "source")
        if "source" in changes and not self._work.options.overwrite:
            _require_same_path(source, known, folder)
        if self._batch.resume == "off":
            return "--resume off"
        return f"{', '.join(changes)} changed" if changes else ""

    def _job(
        self, source: Found, known: Known | None, fingerprint: Fingerprint, prober: Prober
    ) -> Job:
        seconds = known.media_seconds if known is not None and known.media_seconds else None
        if seconds is None:
            headers = prober.headers(source.path)
            declared = None if headers is None else headers.seconds
            seconds = self._work.options.read.expected_seconds(declared)
        try:
            size = source.path.stat().st_size
        except OSError:
            size = 0  # the job itself will say what is wrong
        return Job(
            key=source.key,
            source=str(source.path),
            folder=str((self._output / source.key).parent),
            size_bytes=size,
            seconds=seconds,
            overwrite=self._work.options.overwrite or known is not None,
            fingerprint=asdict(fingerprint),
            marked_source=source.marked,
        )

    def _adoptable(self, job: Job) -> JobResult | None:
        return existing_result(
            job, self._work.options, whatever_shaped_it=self._batch.resume == "force"
        )


def _require_same_path(source: Found, known: Known, folder: Path) -> None:
    """Check that a changed source is a later version of the one with results, not another one.

    Raises:
        UsageError: it is another one, whose results would be lost.
    """
    if os.path.realpath(source.path) != os.path.realpath(known.source):
        raise UsageError(
            f"{folder} holds the results of {known.source}, not of {source.path}",
            hint="choose another folder with -o, or replace them with --overwrite; "
            "--hash full knows files that were moved",
        )


def _shared(value: object) -> object:
    return intern(value) if isinstance(value, str) else value

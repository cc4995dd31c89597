"""manifest.jsonl: what a batch has done, one line per result, each on the disk before the next.

{"v":1,"event":"run","at":…,"pid":4711,"host":"node3","tool":"avs 0.1.0","shard":"1/1"}
{"v":1,"event":"result","at":…,"key":"day/a.mp4","source":"/data/./day/a.mp4","attempt":1,
 "fingerprint":{"source":"quick:…","weights":"…","options":"…","schema":1},
 "result":{"status":"done","frames":240,…}}

Lines are only ever appended. A last line without its line feed is what a killed run leaves, and is
dropped. Every shard has a file of its own; readers take all of them together, and the latest line
about a key counts.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from avscli import __version__
from avscli.batch.jobs import JobResult
from avscli.errors import DataError, OutputError
from avscli.json_values import decoded, parsed
from avscli.outputs.disk import output_errors
from avscli.outputs.locks import hold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from avscli.batch.jobs import Job
    from avscli.config import Shard

VERSION = 1
LOCK_PATIENCE_SECONDS = 5.0  # the workers of a killed run need a moment to notice


@dataclass(frozen=True, slots=True)
class Record:
    """One result as the manifest keeps it."""

    at: float
    key: str
    source: str
    attempt: int
    fingerprint: Mapping[str, str | int]
    result: JobResult


def shard_name(name: str, shard: Shard) -> str:
    """Return the name of a file that every shard has for itself.

    >>> from avscli.config import Shard
    >>> shard_name("manifest.jsonl", Shard()), shard_name("manifest.jsonl", Shard(2, 8))
    ('manifest.jsonl', 'manifest.2-of-8.jsonl')
    """
    stem, _, ending = name.rpartition(".")
    return name if shard.count == 1 else f"{stem}.{shard.index}-of-{shard.count}.{ending}"


class Manifest:
    """The manifest of one run, open for appending, and the lock that keeps other runs away.

    Runs of different shards of one split may write to one folder at the same time; anything else
    is refused. The lock ends with the last process that has inherited it, however that ends.

    Args:
        output: the batch's output folder; created when missing.
        shard: what this run does.
        warn: told when the file system knows no locks.
    """

    def __init__(self, output: Path, shard: Shard, warn: Callable[[str], None]) -> None:
        self._output, self._shard, self._warn = output, shard, warn
        self.path = output / shard_name("manifest.jsonl", shard)
        self._descriptor = -1

    @property
    def descriptor(self) -> int:
        """The open file, for workers to inherit together with its lock."""
        return self._descriptor

    def __enter__(self) -> Self:
        """Lock the output folder and note the run.

        Raises:
            OutputError: another run writes there, or the file cannot be written.
        """
        with output_errors(self.path):
            self._output.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
            self._descriptor = os.open(self.path, flags, 0o666)
        try:
            self._lock_out_others()
            with output_errors(self.path):
                _drop_torn_line(self._descriptor)
            self._append(
                {
                    "event": "run",
                    "pid": os.getpid(),
                    "host": socket.gethostname(),
                    "tool": f"avs {__version__}",
                    "shard": f"{self._shard.index}/{self._shard.count}",
                }
            )
        except BaseException:
            os.close(self._descriptor)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let others in."""
        os.close(self._descriptor)

    def add(self, job: Job, result: JobResult, attempt: int) -> None:
        """Put a result on the disk.

        Raises:
            OutputError: the disk is full or gone.
        """
        self._append(
            {
                "event": "result",
                "key": job.key,
                "source": job.marked_source,
                "attempt": attempt,
                "fingerprint": job.fingerprint,
                "result": asdict(result),
            }
        )

    def _append(self, values: Mapping[str, object]) -> None:
        line = json.dumps({"v": VERSION, "at": round(time.time(), 3), **values}, allow_nan=False)
        with output_errors(self.path):
            data = line.encode() + b"\n"
            if os.write(self._descriptor, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._descriptor)

    def _lock_out_others(self) -> None:
        if not _locked(self._descriptor, self.path, self._warn):
            raise _in_use(self.path)
        for other in self._output.glob("manifest*.jsonl"):
            if other == self.path or other.name.endswith(f"-of-{self._shard.count}.jsonl"):
                continue
            # NFS locks only files that may be written; closing it lets go of the lock again.
            with output_errors(other), other.open("r+b") as file:
                if not _locked(file.fileno(), other, self._warn):
                    raise _in_use(other)


def read_records(output: Path) -> Iterator[Record]:
    """Yield every result in the manifests of an output folder, oldest first in each.

    Raises:
        DataError: a whole line is not a record, or a manifest cannot be read.
    """
    return (record for _place, record in _placed_records(_manifests(output)))


def latest_records(output: Path) -> Iterator[Record]:
    """Yield the record that counts for each key; memory holds a few bytes per key.

    Raises:
        DataError: a whole line is not a record.
    """
    paths = _manifests(output)
    newest: dict[str, tuple[float, int]] = {}
    for place, record in _placed_records(paths):
        newest[record.key] = max(newest.get(record.key, (0.0, -1)), (record.at, place))
    places = {place for _at, place in newest.values()}
    yield from (record for place, record in _placed_records(paths) if place in places)


def _manifests(output: Path) -> list[Path]:
    return sorted(output.glob("manifest*.jsonl"))


def _placed_records(paths: Sequence[Path]) -> Iterator[tuple[int, Record]]:
    """Yield results with a number for the place of each, growing, and the same at every reading.

    Other parts of a batch may write to their manifests between two readings.
    """
    for index, path in enumerate(paths):
        for number, values in _lines(path):
            if values.get("event") == "result":
                yield (index << 32) + number, _record(path, number, values)


def _record(path: Path, number: int, values: Mapping[str, Any]) -> Record:
    try:
        return decoded(Record, {key: values[key] for key in values.keys() - {"v", "event"}})
    except ValueError as err:
        raise _damaged(path, number, str(err)) from err


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        opened = path.open("rb")
    except OSError as err:
        raise DataError(
            f"cannot read {path}: {err.strerror}", hint="choose another folder with -o"
        ) from err
    with opened as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                values = parsed(line)
            except ValueError as err:
                raise _damaged(path, number, str(err)) from err
            if not isinstance(values, dict) or values.get("v") != VERSION:
                raise _damaged(path, number, f"it is not of version {VERSION}")
            yield number, values


def _damaged(path: Path, number: int, reason: str) -> DataError:
    return DataError(
        f"{path} line {number} is not a record of a batch: {reason}",
        hint="delete the line if it is damaged; its file will be done again",
    )


def _drop_torn_line(descriptor: int) -> None:
    with os.fdopen(os.dup(descriptor), "rb") as lines:
        lines.seek(0)
        whole = sum(len(line) for line in lines if line.endswith(b"\n"))
    os.ftruncate(descriptor, whole)


def _locked(descriptor: int, path: Path, warn: Callable[[str], None]) -> bool:
    """Try to lock an open file, patiently; say whether nobody else holds it."""
    try:
        return hold(descriptor, patience_seconds=LOCK_PATIENCE_SECONDS)
    except OSError as err:
        warn(f"{path} cannot be locked ({err.strerror}); see that no other run writes there")
        return True


def _in_use(path: Path) -> OutputError:
    runs = [values for _number, values in _lines(path) if values.get("event") == "run"]
    who = f"process {runs[-1].get('pid')} on {runs[-1].get('host')}" if runs else "another run"
    return OutputError(
        f"{path.parent} is in use by {who}",
        hint="wait for it to end, or choose another folder with -o; "
        "runs of one --shard split may share a folder",
    )

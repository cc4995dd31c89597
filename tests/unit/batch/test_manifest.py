"""The manifest: what it was told last is what it says, whatever happened to the process."""

import errno
import fcntl
import json
import multiprocessing
import os
import socket
from pathlib import Path

import pytest

from avscli.batch import manifest as manifest_module
from avscli.batch.jobs import Job, JobResult
from avscli.batch.manifest import Manifest, latest_records, read_records
from avscli.config import Shard
from avscli.errors import DataError, OutputError


def never(message: str) -> None:
    raise AssertionError(message)


def job(key: str) -> Job:
    return Job(key, f"/v/{key}", "/out", 10, 1.0, False, {"source": "quick:1"}, f"/v/./{key}")


def write(output: Path, *results: tuple[str, JobResult], shard: Shard = Shard()) -> Path:  # noqa: B008
    with Manifest(output, shard, never) as manifest:
        for key, result in results:
            manifest.add(job(key), result, 1)
    return manifest.path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    done = JobResult("done", 240, 10.0, 5.0, 0.9, 0.5, 1000, ("run.json",), "ab", warnings=("w",))
    failed = JobResult("failed", message="broken", hint="mend it", can_pass=True)
    write(tmp_path / "new" / "out", ("two\nlines \udce9.mp4", done), ("b.mp4", failed))
    records = list(read_records(tmp_path / "new" / "out"))
    assert [(r.key, r.result) for r in records] == [
        ("two\nlines \udce9.mp4", done),
        ("b.mp4", failed),
    ]
    assert records[0].fingerprint == {"source": "quick:1"}
    assert records[0].source == "/v/./two\nlines \udce9.mp4"


@pytest.mark.parametrize("cut", [1, 7, 60])
def test_a_torn_last_line_is_dropped_and_the_next_one_is_whole(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path, ("a.mp4", JobResult("done")), ("b.mp4", JobResult("done")))
    path.write_bytes(path.read_bytes()[:-cut])
    assert [r.key for r in read_records(tmp_path)] == ["a.mp4"]
    write(tmp_path, ("c.mp4", JobResult("done")))
    assert [r.key for r in read_records(tmp_path)] == ["a.mp4", "c.mp4"]
    assert all(json.loads(line) for line in path.read_bytes().splitlines())


def test_the_latest_line_counts_across_shards(tmp_path: Path) -> None:
    write(tmp_path, ("a.mp4", JobResult("failed")), ("b.mp4", JobResult("done")), shard=Shard(1, 2))
    write(tmp_path, ("a.mp4", JobResult("done")), shard=Shard(2, 2))
    write(tmp_path, ("b.mp4", JobResult("crashed")))
    latest = {r.key: r.result.status for r in latest_records(tmp_path)}
    assert latest == {"a.mp4": "done", "b.mp4": "crashed"}


def test_other_parts_may_write_while_records_are_read(tmp_path: Path) -> None:
    done, failed = JobResult("done"), JobResult("failed")
    first = write(tmp_path, ("a.mp4", done), shard=Shard(1, 2))
    write(tmp_path, ("b.mp4", failed), ("b.mp4", done), ("c.mp4", done), shard=Shard(2, 2))
    records = latest_records(tmp_path)
    assert next(records).key == "a.mp4"
    line = first.read_text().splitlines()[-1].replace("a.mp4", "d.mp4")
    with first.open("a") as file:
        file.write(f"{line}\n{line}\n")
    rest = {r.key: r.result.status for r in records}
    rest.pop("d.mp4", None)
    assert rest == {"b.mp4": "done", "c.mp4": "done"}


@pytest.mark.parametrize(
    "line", ["{}", "[]", "nonsense", '{"v":2,"event":"result"}', '{"v":1,"event":"result"}']
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, ("a.mp4", JobResult("done")))
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=r"manifest\.jsonl line 3"):
        list(read_records(tmp_path))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("at", "now"),
        ("key", 3),
        ("attempt", None),
        ("fingerprint", ["quick:1"]),
        ("result", {"status": "done", "media_seconds": []}),
        ("result", {"status": "well"}),
        ("result", {"status": "done", "files": "run.json"}),
    ],
)
def test_a_value_of_another_type_is_named_with_its_line(
    tmp_path: Path, place: str, value: object
) -> None:
    path = write(tmp_path, ("a.mp4", JobResult("done")))
    *others, last = path.read_text().splitlines()
    path.write_text("\n".join([*others, json.dumps(json.loads(last) | {place: value}), ""]))
    with pytest.raises(DataError, match=rf"manifest\.jsonl line 2 .*{place}"):
        list(read_records(tmp_path))


def test_a_line_nested_without_end_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, ("a.mp4", JobResult("done")))
    path.write_text(path.read_text() + "[" * 100_000 + "\n")
    with pytest.raises(DataError, match=r"manifest\.jsonl line 3 .*nested too deeply"):
        list(read_records(tmp_path))


def test_an_absent_folder_has_no_records(tmp_path: Path) -> None:
    assert list(read_records(tmp_path / "absent")) == []


@pytest.mark.parametrize(
    ("mine", "other", "is_allowed"),
    [
        (Shard(), Shard(), False),
        (Shard(1, 4), Shard(2, 4), True),
        (Shard(1, 4), Shard(1, 4), False),
        (Shard(1, 4), Shard(2, 14), False),
        (Shard(), Shard(2, 4), False),
        (Shard(2, 4), Shard(), False),
    ],
    ids=str,
)
def test_only_other_parts_of_one_split_may_share_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mine: Shard, other: Shard, is_allowed: bool
) -> None:
    monkeypatch.setattr(manifest_module, "LOCK_PATIENCE_SECONDS", 0.1)
    with Manifest(tmp_path, other, never):
        if is_allowed:
            write(tmp_path, shard=mine)
            return
        with pytest.raises(OutputError, match="is in use by") as refused:
            write(tmp_path, shard=mine)
    assert f"process {os.getpid()} on {socket.gethostname()}" in str(refused.value)
    write(tmp_path, shard=mine)


def test_locks_hold_where_only_files_open_for_writing_can_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS turns flock into record locks, which ask for a file that may be written."""
    monkeypatch.setattr(manifest_module, "LOCK_PATIENCE_SECONDS", 0.1)
    flock = fcntl.flock

    def flock_of_nfs(descriptor: int, operation: int) -> None:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock_of_nfs)
    with Manifest(tmp_path, Shard(1, 2), never), pytest.raises(OutputError, match="is in use by"):
        write(tmp_path)
    write(tmp_path)


def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").mkdir()
    with pytest.raises(DataError, match=r"cannot read .*manifest\.jsonl: Is a directory"):
        list(read_records(tmp_path))


def _hold(output: Path, has_it: object, may_end: object) -> None:
    with Manifest(output, Shard(), never):
        has_it.set()
        may_end.wait(30)


def test_the_lock_ends_with_the_process_that_held_it(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    has_it, may_end = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_hold, args=(tmp_path, has_it, may_end))
    other.start()
    assert has_it.wait(60)
    other.kill()
    other.join()
    write(tmp_path, ("a.mp4", JobResult("done")))
    assert [r.key for r in read_records(tmp_path)] == ["a.mp4"]


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Manifest(tmp_path, Shard(), never) as manifest:
        size = manifest.path.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, hard))
        try:
            with pytest.raises(OutputError, match="cannot write"):
                manifest.add(job("a.mp4"), JobResult("done"), 1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(read_records(tmp_path)) == []
    write(tmp_path, ("b.mp4", JobResult("done")))
    assert [r.key for r in read_records(tmp_path)] == ["b.mp4"]


def test_results_of_a_version_that_knew_no_failed_outputs_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, ("a.mp4", JobResult("done", 240, 10.0, 5.0, 0.9, 0.5, 1000)))
    path.write_text(path.read_text().replace(', "failed_outputs": {}', ""))
    assert "failed_outputs" not in path.read_text()
    (record,) = latest_records(tmp_path)
    assert record.result.failed_outputs == {}

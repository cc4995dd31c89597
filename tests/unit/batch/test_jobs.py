"""A job's result says what happened, and whether another try could change it."""

import errno
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from avscli.batch.jobs import (
    Job,
    JobResult,
    expected_bytes,
    failure,
    options_from_json,
    require_space,
    to_json,
)
from avscli.config import ReadOptions, SegmentOptions
from avscli.errors import AvscliError, DeviceError, MediaError, NoAudioError, OutputError


def caused_by(err: AvscliError, cause: Exception) -> AvscliError:
    err.__cause__ = cause
    return err


def job(folder: Path, *, size_bytes: int = 10) -> Job:
    return Job(
        "a.mp4", "in/a.mp4", str(folder), size_bytes, 1.0, False, {"schema": 1}, "in/./a.mp4"
    )


@pytest.mark.parametrize(
    ("err", "status", "can_pass"),
    [
        (MediaError("broken"), "failed", False),
        (caused_by(MediaError("gone"), OSError(errno.ENOENT, "no")), "failed", False),
        (caused_by(MediaError("nfs"), OSError(errno.ESTALE, "stale")), "failed", True),
        (caused_by(MediaError("disk"), OSError(errno.EIO, "io")), "failed", True),
        (caused_by(OutputError("full"), OSError(errno.ENOSPC, "full")), "failed", True),
        (OutputError("exists already"), "failed", False),
        (DeviceError("out of memory"), "failed", True),
        (NoAudioError("mute"), "no_audio", False),
    ],
    ids=lambda value: str(value),
)
def test_only_failures_outside_of_the_file_can_pass(
    err: AvscliError, status: str, can_pass: bool
) -> None:
    result = failure(err, wall_seconds=1.23456)
    assert (result.status, result.can_pass, result.message) == (status, can_pass, str(err))
    assert result.wall_seconds == 1.235
    assert not result.is_finished


def test_jobs_results_and_options_survive_json(tmp_path: Path) -> None:
    options = SegmentOptions(ReadOptions(fps=2.5, no_audio="empty"), threshold=0.4, write=("csv",))
    result = JobResult("done", 3, 1.0, 2.0, 0.5, 1.0, 9, ("run.json",), "ab", warnings=("w",))
    result = replace(result, failed_outputs={"overlay": "too wide"})
    for value in (job(tmp_path), result, options):
        again = json.loads(json.dumps(to_json(value)))
        assert json.dumps(again) == json.dumps(asdict(value))
    assert JobResult.from_json(json.loads(json.dumps(to_json(result)))) == result
    assert options_from_json(json.loads(json.dumps(to_json(options)))) == options
    assert Job(**json.loads(json.dumps(to_json(job(tmp_path))))) == job(tmp_path)


def test_a_disk_with_room_is_fine_and_one_without_is_not(tmp_path: Path) -> None:
    deep = tmp_path / "not" / "there" / "yet"
    require_space(job(deep), SegmentOptions())
    with pytest.raises(OutputError, match=r"MiB left, a\.mp4 may need") as refused:
        require_space(job(deep, size_bytes=1 << 60), SegmentOptions())
    assert failure(refused.value).can_pass


def test_without_an_overlay_little_is_written(tmp_path: Path) -> None:
    big = job(tmp_path, size_bytes=1000)
    assert expected_bytes(big, SegmentOptions()) == 1000
    assert expected_bytes(big, SegmentOptions(write=("coco", "csv"))) == 100


@pytest.mark.parametrize(
    ("result", "note"),
    [
        (JobResult("failed", message="broken", warnings=("w",)), "broken"),
        (JobResult("done", sounding_share=0.0, warnings=("w",)), "nothing in it sounds"),
        (
            JobResult("done", sounding_share=0.0, failed_outputs={"overlay": "x", "csv": "y"}),
            "no overlay: x; no csv: y",
        ),
        (JobResult("done", sounding_share=0.5, warnings=("w",)), "w"),
        (JobResult("done", sounding_share=0.5), ""),
    ],
)
def test_the_note_is_what_matters_most(result: JobResult, note: str) -> None:
    assert result.note == note

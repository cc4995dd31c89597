"""Fingerprints change with everything that shapes a result, and with nothing else."""

import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from avscli.batch.fingerprint import END_BYTES, Fingerprint, source_identity
from avscli.batch.jobs import options_from_json
from avscli.config import Hashing, ReadOptions, SegmentOptions

OPTIONS = SegmentOptions()
DATA = Path(__file__).parents[2] / "data"


def identity(path: Path) -> str:
    return source_identity(path, "quick")


def change_byte(path: Path, at: int) -> None:
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.mp4"
    path.write_bytes(bytes(4 * END_BYTES))
    return path


@pytest.mark.parametrize("at", [0, END_BYTES - 1, 3 * END_BYTES, 4 * END_BYTES - 1])
def test_a_changed_end_is_noticed_even_with_the_time_put_back(source: Path, at: int) -> None:
    before = identity(source)
    change_byte(source, at)
    assert identity(source) != before


def test_a_change_of_time_or_size_is_noticed(source: Path) -> None:
    seen = {identity(source)}
    os.utime(source, ns=(0, 1))
    seen.add(identity(source))
    os.utime(source, ns=(0, 2))
    seen.add(identity(source))
    with source.open("ab") as file:
        file.write(b"\0")
    os.utime(source, ns=(0, 2))
    seen.add(identity(source))
    assert len(seen) == 4


def test_only_the_full_hash_sees_the_middle_and_it_ignores_the_time(source: Path) -> None:
    quick, full = identity(source), source_identity(source, "full")
    assert full == f"full:{hashlib.sha256(source.read_bytes()).hexdigest()}"
    change_byte(source, 2 * END_BYTES)
    assert identity(source) == quick
    changed = source_identity(source, "full")
    assert changed != full
    os.utime(source, ns=(0, 1))
    assert source_identity(source, "full") == changed


@pytest.mark.parametrize("num_bytes", [0, 1, END_BYTES, END_BYTES + 1])
def test_short_files_have_an_identity_too(tmp_path: Path, num_bytes: int) -> None:
    (tmp_path / "a").write_bytes(bytes(num_bytes))
    assert identity(tmp_path / "a").startswith("quick:")


def test_an_absent_file_is_no_finished_one(tmp_path: Path) -> None:
    assert identity(tmp_path / "absent") == "unreadable"


@pytest.mark.parametrize("hashing", ["quick", "full"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, hashing: Hashing) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    assert source_identity(tmp_path / "a.mp4", hashing) == "unreadable"


@pytest.mark.parametrize(
    "options",
    [
        replace(OPTIONS, threshold=0.4),
        replace(OPTIONS, prefer="recall"),
        replace(OPTIONS, labels=False),
        replace(OPTIONS, overlay_height=480),
        replace(OPTIONS, min_area=0.1),
        replace(OPTIONS, precision="bf16"),
        replace(OPTIONS, write=("coco",)),
        replace(OPTIONS, read=ReadOptions(fps=2)),
        replace(OPTIONS, read=ReadOptions(start_seconds=1)),
        replace(OPTIONS, read=ReadOptions(no_audio="empty")),
    ],
    ids=lambda options: str(options)[:60],
)
def test_options_that_shape_results_count(options: SegmentOptions) -> None:
    before = asdict(Fingerprint.of("s", "w", OPTIONS))
    assert Fingerprint.of("s", "w", options).changes_since(before) == ("options",)


def test_options_of_the_first_version_are_those_of_runs_that_leave_later_ones_alone() -> None:
    folder = DATA / "version1" / "clip.mp4"
    noted = json.loads((folder / "masks.coco.json").read_text())["info"]["avs"]["options_sha256"]
    options = options_from_json(json.loads((folder / "run.json").read_text())["options"])
    assert options.prefer == "balanced"
    assert options.labels
    assert Fingerprint.of("s", "w", options).options == noted


@pytest.mark.parametrize(
    "options",
    [
        replace(OPTIONS, device="cuda:1"),
        replace(OPTIONS, batch_clips=2),
        replace(OPTIONS, overwrite=True),
    ],
    ids=lambda options: f"{options.device} {options.batch_clips} {options.overwrite}",
)
def test_where_masks_are_computed_does_not_count(options: SegmentOptions) -> None:
    before = asdict(Fingerprint.of("s", "w", OPTIONS))
    assert Fingerprint.of("s", "w", options).changes_since(before) == ()


def test_sources_weights_and_newer_versions_count() -> None:
    before = asdict(Fingerprint("s", "w", "o", 1))
    assert Fingerprint("t", "w", "o", 1).changes_since(before) == ("source",)
    assert Fingerprint("s", "x", "p", 1).changes_since(before) == ("weights", "options")
    assert Fingerprint("s", "w", "o", 2).changes_since(before) == ()
    assert Fingerprint("s", "w", "o", 0).changes_since(before) == ("schema",)
    assert Fingerprint("s", "w", "o").changes_since({}) == (
        *("source", "weights", "options", "schema"),
    )

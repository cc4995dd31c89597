"""Folders of small videos, calls of ``avs batch`` on them, and what must hold of every result."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.builders import make_video, tone
from tests.e2e.results import ALL_FILES

RECORDS = {"manifest.jsonl", "summary.csv", "failures.txt", "combined.coco.json"}
SMALL: dict[str, Any] = {"seconds": 0.5, "fps": 10, "size_hw": (64, 96)}
# Times, paths and dates differ from run to run; all else must not.
VOLATILE = {"timings_seconds", "date_created", "output", "device"}


def make_clips(folder: Path, names: Iterable[str], **changes: Any) -> Path:
    """Write a clip per name, each with a sound of its own."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        sound = tone(300 + 40 * number)
        make_video(path, **{**SMALL, "audio": sound, **changes})
    return folder


def batch_command(*args: object) -> list[str]:
    return [sys.executable, "-m", "avscli", "batch", *map(str, args)]


def start_batch(*args: object, **popen: Any) -> subprocess.Popen[str]:
    """Start ``avs batch`` as a process of its own."""
    return subprocess.Popen(
        batch_command(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **popen
    )


def manifest_lines(output: Path) -> list[dict[str, Any]]:
    """Return the results in all manifests of an output folder, torn lines left out."""
    found = []
    for path in sorted(output.glob("manifest*.jsonl")):
        for line in path.read_bytes().split(b"\n")[:-1]:
            values = json.loads(line)
            if values["event"] == "result":
                found.append(values)
    return found


def statuses(output: Path) -> dict[str, str]:
    """Return the last status of each key."""
    return {line["key"]: line["result"]["status"] for line in manifest_lines(output)}


def times_finished(output: Path) -> Counter[str]:
    """Count how often each key was noted as finished."""
    finished = ("done", "truncated")
    lines = manifest_lines(output)
    return Counter(line["key"] for line in lines if line["result"]["status"] in finished)


def result_folders(output: Path) -> set[str]:
    """Return the keys of all folders with results, and check that nothing else is there."""
    folders = {path.parent for path in output.rglob("run.json")}
    for path in output.rglob("*"):
        is_record = path.parent == output and path.name.split(".")[0] in {
            name.split(".")[0] for name in RECORDS
        }
        is_inside = path in folders or path.parent in folders
        is_above = path.is_dir() and any(path in folder.parents for folder in folders)
        assert is_record or is_inside or is_above, f"{path} has no business here"
    return {folder.relative_to(output).as_posix() for folder in folders}


def require_whole(output: Path, files: list[str] = ALL_FILES) -> None:
    """Check that every folder of results has all its files and agrees with itself."""
    for key in result_folders(output):
        folder = output / key
        assert sorted(path.name for path in folder.iterdir()) == files
        record = json.loads((folder / "run.json").read_text())
        assert record["files"] == files
        lines = (folder / "frames.jsonl").read_text().splitlines()
        assert len(lines) == record["num_frames"]


def deterministic_parts(folder: Path) -> dict[str, object]:
    """Return everything of a result that two runs on one machine must agree on to the byte."""
    record = json.loads((folder / "run.json").read_text())
    del record["options"]["overwrite"]  # a file that failed before may replace what it left
    coco = json.loads((folder / "masks.coco.json").read_text())
    del coco["info"]["date_created"]
    return {
        "run.json": {key: value for key, value in record.items() if key not in VOLATILE},
        "masks.coco.json": coco,
        **{
            name: (folder / name).read_bytes()
            for name in ("frames.jsonl", "confidence.csv", "overlay.mp4")
        },
    }


def require_same(output: Path, reference: Path) -> None:
    """Check that two batches have the same results, byte for byte."""
    keys = result_folders(reference)
    assert result_folders(output) == keys
    for key in keys:
        ours, theirs = deterministic_parts(output / key), deterministic_parts(reference / key)
        different = [name for name in ours if ours[name] != theirs[name]]
        assert different == [], key

"""What finished runs say of the weights that made them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avscli.errors import DataError
from avscli.evaluation.stored.runs import recorded_weights


def write_run(folder: Path, record: str) -> Path:
    folder.mkdir()
    (folder / "frames.jsonl").touch()
    (folder / "run.json").write_text(record)
    return folder


def test_the_weights_of_all_runs_are_named_once(tmp_path: Path) -> None:
    for name, sha256 in (("a", "1"), ("b", "2"), ("c", "1")):
        checkpoint = {"name": "mini", "sha256": sha256, "licence": "none"}
        write_run(tmp_path / name, json.dumps({"checkpoint": checkpoint, "status": "done"}))
    assert recorded_weights(tmp_path) == [
        {"name": "mini", "sha256": "1"},
        {"name": "mini", "sha256": "2"},
    ]


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ("[]", "expected an object"),
        ("{}", "lacks 'checkpoint'"),
        ('{"checkpoint": "mini"}', "checkpoint is 'mini', expected an object"),
        ('{"checkpoint": {"name": 3, "sha256": "1"}}', "checkpoint.name is 3"),
        ('{"checkpoint": ' * 100_000, "nested too deeply"),
        ("{", "Expecting property name"),
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, record: str, says: str) -> None:
    write_run(tmp_path / "a", record)
    with pytest.raises(DataError, match=rf"a/run\.json is not the record of a run: .*{says}"):
        recorded_weights(tmp_path)

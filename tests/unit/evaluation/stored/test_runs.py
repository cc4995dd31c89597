"""What finished runs say of the weights that made them."""

from __future__ import annotations

from pathlib import Path

import pytest

from avscli.errors import DataError
from avscli.evaluation.stored.runs import recorded_weights
from tests.run_folders import recorded_source, spec_of, write_record


def write_run(folder: Path, checkpoint: tuple[str, str] = ("mini", "1")) -> Path:
    folder.mkdir()
    (folder / "frames.jsonl").touch()
    source = recorded_source(Path("clip.mp4"))
    write_record(folder, source=source, spec=spec_of(["dog"]), num_frames=0, checkpoint=checkpoint)
    return folder


def test_the_weights_of_all_runs_are_named_once(tmp_path: Path) -> None:
    for name, sha256 in (("a", "1"), ("b", "2"), ("c", "1")):
        write_run(tmp_path / name, ("mini", sha256))
    assert recorded_weights(tmp_path) == [
        {"name": "mini", "sha256": "1"},
        {"name": "mini", "sha256": "2"},
    ]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (write_run(tmp_path / "a") / "run.json").write_text("{}")
    with pytest.raises(DataError, match=r"a/run\.json is not the record of a run: it lacks"):
        recorded_weights(tmp_path)

"""avs export: what it lists, refuses, replaces and leaves behind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from avscli.exports.formats import FORMATS
from tests.conftest import Avs
from tests.run_folders import scene, write_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "runs" / "clip.mp4", scene())


def test_the_list_names_every_format_and_needs_nothing_else(avs: Avs) -> None:
    listed = avs("export", "--list")
    assert listed.code == 0
    assert all(name in listed.out for name in FORMATS)


def test_the_folder_says_what_it_was_made_from(avs: Avs, run: Path, tmp_path: Path) -> None:
    done = avs("export", run, "--to", "png", "-o", tmp_path / "out")
    assert (done.code, done.out) == (0, f"{tmp_path / 'out'}\n")
    record = json.loads((tmp_path / "out" / "avs-export.json").read_text())
    assert record["format"] == "png"
    assert record["videos"] == [{"name": "clip.mp4", "source": "clip.mp4"}]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--to", "png", "-o", "out"], 2, "nothing to export"),
        (["RUN", "-o", "out"], 2, "nothing to export"),
        (["RUN", "--to", "png"], 2, "nothing to export"),
        (["RUN", "--to", "jpeg2000", "-o", "out"], 2, "no format 'jpeg2000'"),
        (["nowhere", "--to", "png", "-o", "out"], 3, "no finished run"),
        (["RUN", "RUN", "--to", "png", "-o", "out"], 3, "2 runs are called clip.mp4"),
        (["RUN", "--to", "png", "-o", "."], 7, "no name for a new folder"),
        (["RUN", "--to", "davis", "-o", "out", "--track", "1"], 2, "--track has no meaning for"),
        (["RUN", "--to", "cvat", "-o", "out", "--tolerance", "0.9"], 2, "it is of cvat-tracks"),
        (["RUN", "--to", "matte", "-o", "out", "--split", "val"], 2, "it is of avsbench"),
        (["RUN", "--to", "png", "-o", "RUN"], 7, "would replace the input"),
        (["RUN", "--to", "png", "-o", "RUNS"], 7, "would replace the input"),
    ],
)
def test_what_cannot_be_done_is_said(
    avs: Avs, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], code: int, says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    places = {"RUN": str(run), "RUNS": str(run.parent)}
    done = avs("export", *(places.get(each, each) for each in arguments))
    assert done.code == code
    assert says in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_an_earlier_export_is_replaced_only_when_asked(avs: Avs, run: Path, tmp_path: Path) -> None:
    arguments = ("export", run, "-o", tmp_path / "out", "--to")
    assert avs(*arguments, "png").code == 0
    assert avs(*arguments, "davis").code == 7
    assert (tmp_path / "out" / "clip.mp4").is_dir()
    assert avs(*arguments, "davis", "--overwrite").code == 0
    assert not (tmp_path / "out" / "clip.mp4").exists()


def test_a_damaged_journal_leaves_nothing_behind(avs: Avs, run: Path, tmp_path: Path) -> None:
    journal = run / "frames.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([*lines[:5], "{\n", *lines[5:]]))
    done = avs("export", run, "--to", "png", "-o", tmp_path / "out")
    assert done.code == 3
    assert "line 6 is not a journal entry" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda text: re.sub(r'"counts": ?"[^"]*"', '"counts":"zzzzzzzz"', text), "run lengths"),
        (lambda text: re.sub(r'("counts": ?")[^"]*"', r'\g<1>52"', text), "run lengths cover"),
        (lambda text: "".join(text.splitlines(keepends=True)[:-1]), "has 11 frames of 12"),
        (lambda _text: "", "has 0 frames of 12"),
    ],
    ids=["no run lengths", "too few pixels", "a frame less", "empty"],
)
@pytest.mark.parametrize("to", ["png", "datumaro", "supervision"])
def test_a_journal_that_was_edited_is_not_exported(
    avs: Avs, run: Path, tmp_path: Path, edit: Callable[[str], str], says: str, to: str
) -> None:
    journal = run / "frames.jsonl"
    journal.write_text(edit(journal.read_text()))
    done = avs("export", run, "--to", to, "-o", tmp_path / "out")
    assert done.code == 3
    assert says in done.err
    assert "frames.jsonl" in done.err
    assert not (tmp_path / "out").exists()


def test_a_damaged_record_is_named(avs: Avs, run: Path, tmp_path: Path) -> None:
    (run / "run.json").write_text('{"source": {}}')
    done = avs("export", run, "--to", "png", "-o", tmp_path / "out")
    assert done.code == 3
    assert "run.json is not the record of a run" in done.err


def test_runs_of_other_classes_do_not_go_into_one_file(avs: Avs, tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a.mp4", scene(3))
    write_run(tmp_path / "runs" / "b.mp4", scene(3), names=["cat", "person"])
    done = avs("export", tmp_path / "runs", "--to", "coco-polygons", "-o", tmp_path / "out")
    assert done.code == 3
    assert "other classes" in done.err

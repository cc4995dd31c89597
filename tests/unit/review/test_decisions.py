"""Reading review.json: what is right comes back, what is not is refused by name."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from avscli.errors import DataError
from avscli.review.decisions import MOST_BYTES, MOST_DECISIONS, Accept, RenamePart, read_review

RUN = {"source": "clip.mp4", "source_sha256": "ab" * 32, "journal_sha256": "cd" * 32}


def review(**changes: Any) -> dict[str, Any]:
    return {"format": "avs-review", "version": 1, "run": RUN, "decisions": []} | changes


def stored(folder: Path, content: object) -> Path:
    path = folder / "review.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def test_a_review_comes_back_as_it_was_stored(tmp_path: Path) -> None:
    decisions = [
        {"do": "accept", "object": 1},
        {
            "do": "rename",
            "object": 1,
            "name": "Bär",
            "first_frame": 0,
            "last_frame": 3,
            "new_object": 7,
        },
    ]
    path = stored(tmp_path, review(decisions=decisions))
    found = read_review(path)
    assert found.decisions == (Accept(1), RenamePart(1, "Bär", 0, 3, 7))
    assert found.run.source_sha256 == "ab" * 32
    assert found.sha256 == sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "Expecting value"),
        ('{"format": "avs-review"', "delimiter"),
        ("[" * 100_000, "nested too deeply"),
        (review(decisions=[{"do": "trim", "object": float("inf")}]), "not JSON"),
        ([], "does not say"),
        ({"images": [], "annotations": []}, "does not say"),
        (review(format="avs-reviews"), "does not say"),
        (review(version=2), "is of version 2, this program reads 1"),
        (review(version=10**30), "is of version 1000"),
        (review(version="1"), "version is '1'"),
        (review(version=True), "version is True"),
        (review(run=None), "run is None"),
        (review(run={**RUN, "source_sha256": 5}), "run.source_sha256 is 5"),
        (review(run={"source": "clip.mp4"}), "run lacks"),
        (review(decisions={}), "decisions is {}"),
        (
            review(decisions=[{"do": "accept", "object": 1}] * (MOST_DECISIONS + 1)),
            "10001 decisions",
        ),
        (review(decisions=[3]), "decision 1: it does not say what to do"),
        (review(decisions=[{"do": "accept", "object": 1}, {"do": []}]), "decision 2: it does not"),
        (review(decisions=[{"do": "accept", "object": True}]), "decision 1: object is True"),
        (
            review(decisions=[{"do": "accept", "object": 1, "x\u001b[2J": 1}]),
            r"'x\x1b[2J' is unknown",
        ),
        (
            review(decisions=[{"do": "rename", "object": 1, "name": "\ud800"}]),
            "decision 1: '\\ud800'",
        ),
        (review(comment="x"), "'comment' is unknown"),
    ],
)
def test_what_is_no_review_is_refused_by_what_is_wrong(
    content: object, told: str, tmp_path: Path
) -> None:
    path = stored(tmp_path, content)
    with pytest.raises(DataError) as caught:
        read_review(path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "review.json"
    path.write_bytes(b'{"format": "\xff\xfe"}')
    with pytest.raises(DataError, match="no review"):
        read_review(path)


def test_a_file_too_large_is_not_parsed(tmp_path: Path) -> None:
    path = stored(tmp_path, '"' + " " * MOST_BYTES + '"')
    with pytest.raises(DataError, match="larger than 4 MB"):
        read_review(path)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_review(tmp_path / "review.json")
    with pytest.raises(DataError, match="is not a file"):
        read_review(tmp_path)

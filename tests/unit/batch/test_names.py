"""Lists of names: what people, find and our own failures.txt write is what is read."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avscli.batch.names import read_list, read_names, write_name
from avscli.errors import UsageError

ODD_NAMES = [
    "plain.mp4",
    " leading and trailing ",
    "two\nlines.mp4",
    '"quoted".mp4',
    "# no comment.mp4",
    "emoji 😀.mp4",
    "umlaut ä.mp4",
    "carriage\rreturn",
    "tab\t.mp4",
    os.fsdecode(b"latin1 \xe9.mp4"),
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_a_written_name_is_read_back(name: str) -> None:
    assert read_names(os.fsencode(write_name(name)) + b"\n", "a list") == [name]


@settings(deadline=None)  # machines under load stop for seconds
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_any_name_survives(name: str) -> None:
    assert read_names(write_name(name).encode(), "a list") == [name]


def test_names_of_find_print0_are_read(tmp_path: Path) -> None:
    for name in ("a b.mp4", "two\nlines.mp4"):
        (tmp_path / name).touch()
    listed = subprocess.run(
        ["find", tmp_path, "-type", "f", "-print0"], capture_output=True, check=True
    )
    names = {Path(name).name for name in read_names(listed.stdout, "standard input")}
    assert names == {"a b.mp4", "two\nlines.mp4"}


def test_lists_of_windows_and_empty_lines_are_read() -> None:
    assert read_names(b"a.mp4\r\n\r\nb.mp4", "a list") == ["a.mp4", "b.mp4"]


def test_a_broken_string_names_its_line() -> None:
    with pytest.raises(UsageError, match="a list, line 2"):
        read_names(b'a.mp4\n"b.mp4\n', "a list")


def test_an_absent_list_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the list .*absent"):
        read_list(tmp_path / "absent")

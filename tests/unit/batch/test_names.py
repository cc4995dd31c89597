"""Lists of names: what people, find, other systems and failures.txt write is what is read."""

import io
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avscli.batch.names import Origin, read_list, read_names, write_name
from avscli.batch.sources import Narrowing, find_sources
from avscli.errors import UsageError

ODD_NAMES = [
    "plain.mp4",
    " leading and trailing ",
    "two\nlines.mp4",
    '"quoted".mp4',
    "'quoted'",
    "# no comment.mp4",
    "file 'a.mp4'",
    "file:a.mp4",
    "http://a.mp4",
    "emoji 😀.mp4",
    "umlaut ä.mp4",
    "carriage\rreturn",
    "tab\t.mp4",
    "\ufeffmark.mp4",
    "escape \x1b[2J.mp4",
    os.fsdecode(b"latin1 \xe9.mp4"),
]


def names_in(data: bytes) -> list[str]:
    return read_names(data, Origin("a list"), pytest.fail)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with a few files."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "a.mp4",
        "c d.mp4",
        "größe.mp4",
        os.fsdecode(b"caf\xe9.mp4"),
        "sub/x.mp4",
        "#1.mp4",
    ):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    return tmp_path


From = Callable[[bytes], list[str]]


@pytest.fixture(params=["@list.txt", "-"])
def read(request: pytest.FixtureRequest, here: Path) -> Iterator[From]:
    """Return a function that gives the paths a list means, from a file and from a pipe."""

    def call(data: bytes, warn: Any = pytest.fail) -> list[str]:
        Path("list.txt").write_bytes(data)
        pipe = io.BytesIO(data)
        found = find_sources([request.param], Narrowing(), standard_input=pipe, warn=warn)
        return [str(one.path) for one in found]

    return call


# --- our own lists --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_a_written_name_is_read_back(name: str) -> None:
    assert names_in(os.fsencode(write_name(name)) + b"\n") == [name]


@settings(deadline=None)  # machines under load stop for seconds
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_any_name_survives(name: str) -> None:
    assert names_in(write_name(name).encode()) == [name]


# --- other systems' lists -------------------------------------------------------------------

BOTH = "a.mp4\ngröße.mp4\n"
WRITTEN: dict[str, bytes] = {
    "UTF-8": BOTH.encode(),
    "UTF-8 with a mark": BOTH.encode("utf-8-sig"),
    "UTF-8 with a mark and CRLF": BOTH.replace("\n", "\r\n").encode("utf-8-sig"),
    "UTF-16 with a mark": BOTH.replace("\n", "\r\n").encode("utf-16"),
    "UTF-16-BE with a mark": b"\xfe\xff" + BOTH.encode("utf-16-be"),
    "UTF-16-LE without a mark": BOTH.replace("\n", "\r\n").encode("utf-16-le"),
    "UTF-16-BE without a mark": BOTH.encode("utf-16-be"),
    "UTF-16-LE without a mark and a last line feed": BOTH.strip().encode("utf-16-le"),
    "UTF-32 with a mark": BOTH.encode("utf-32"),
    "old Mac": BOTH.replace("\n", "\r").encode(),
    "NUL": BOTH.replace("\n", "\0").encode(),
    "NUL with a mark": BOTH.replace("\n", "\0").encode("utf-8-sig"),
    "blank lines and blanks": b"\n a.mp4\t\n \n" + "größe.mp4  \r\n".encode(),
    "quotes": "'a.mp4'\n\"größe.mp4\"\n".encode(),
    "JSON": b'"a.mp4"\n"gr\\u00f6\\u00dfe.mp4"\n',
}


@pytest.mark.parametrize("data", WRITTEN.values(), ids=WRITTEN)
def test_lists_are_read_as_other_systems_write_them(read: From, data: bytes) -> None:
    assert read(data) == ["a.mp4", "größe.mp4"]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"caf\xe9.mp4", b"caf\xe9.mp4"),
        (b"#1.mp4", b"#1.mp4"),
        (b"'c d.mp4'", b"c d.mp4"),
        (b'"c d.mp4"', b"c d.mp4"),
        (b'"caf\\udce9.mp4"', b"caf\xe9.mp4"),
    ],
)
def test_a_name_that_is_there_is_meant(read: From, line: bytes, name: bytes) -> None:
    assert list(map(os.fsencode, read(line))) == [name]


def test_addresses_of_files_are_names(read: From, here: Path) -> None:
    typed = (here / "c d.mp4").as_uri().encode()
    assert b"%20" in typed
    assert read(typed + b"\r\n") == [str(here / "c d.mp4")]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", ["x.mp4", "./x.mp4", "'x.mp4'"])
def test_names_may_be_relative_to_their_list(name: str) -> None:
    Path("sub/list.txt").write_text(name)
    assert list(map(Path, read_list(Path("sub/list.txt"), pytest.fail))) == [Path("sub/x.mp4")]


def test_comments_are_left_out_and_said(read: Callable[..., list[str]]) -> None:
    warnings: list[str] = []
    assert read(b"# my videos\na.mp4\n#EXTINF:1\n#1.mp4\n", warnings.append) == ["a.mp4", "#1.mp4"]
    (warning,) = warnings
    assert warning.endswith("lines that start with # are taken for comments (2)")


def test_a_file_that_is_gone_is_for_its_job_to_say(read: From) -> None:
    assert read(b"gone.mp4\na.mp4\n") == ["gone.mp4", "a.mp4"]


REFUSED: dict[str, tuple[bytes, str, str]] = {
    "nothing": (b"", "there is no name in", "one name per line"),
    "blank lines": (b"\r\n\r\n", "there is no name in", "one name per line"),
    "only a mark": (b"\xff\xfe", "there is no name in", "one name per line"),
    "latin-1": (b"a.mp4\ngr\xf6\xdfe.mp4\n", "line 2 is no file name", "save the list as UTF-8"),
    "UTF-16, cut off": (BOTH.encode("utf-16")[:-1], "is damaged after", "save the list as UTF-8"),
    "UTF-16, half a pair": (b"\xff\xfe\x00\xd8a\0", "is damaged after", "save the list as UTF-8"),
    "a string without an end": (b'a.mp4\n"b.mp4\n', "line 2 is no JSON string", "JSON string"),
    "a string with NUL": (b'"a\\u0000.mp4"', "line 1 is no file name", "one name per line"),
    "a string with half a pair": (b'"a\\ud83d.mp4"', "line 1 is no file name", "one name per line"),
    "a long string without an end": (b'"' + b"x" * 5000, "line 1 is no JSON string", "JSON string"),
    "quotes around nothing": (b"'gone.mp4'", "line 1 is no file name", "without quotes"),
    "a script for ffmpeg": (b"file 'a.mp4'\n", "line 1 is no file name", "script for ffmpeg"),
    "an address": (b"https://example.org/a.mp4", "line 1 is no file name", "save what is there"),
    "an address that is no UTF-8": (
        b"file:a\xb1.mp4",
        "line 1 is no file name",
        "check the address",
    ),
    "an address with brackets": (b"file://[a.mp4", "line 1 is no file name", "check the address"),
    "a file's address": (b"file:///gone.mp4", "line 1 is no file name", "check the address"),
    "a video": (b"\0\0\0\x20ftypisom\0\0\2\0", "name 6 is no file name", "is this file a list"),
    "a sound": (b"ID3\4\n\xff\xfb\x90d\n", "line 1 is no file name", "is this file a list"),
    "too long a name": (b"x" * 5000, "line 1 is no file name: xxx", "one name per line"),
}


@pytest.mark.parametrize(("data", "message", "hint"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_list_of_names_is_refused_by_line(
    read: From, data: bytes, message: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        read(data)
    assert hint in refused.value.hint
    assert len(str(refused.value)) < 200


# --- where lists come from ------------------------------------------------------------------


def test_names_of_find_print0_are_read(tmp_path: Path) -> None:
    for name in ("a b.mp4", "two\nlines.mp4", "c"):
        (tmp_path / name).touch()
    listed = subprocess.run(
        ["find", ".", "-type", "f", "-print0"], capture_output=True, check=True, cwd=tmp_path
    )
    assert set(listed.stdout.split(b"\0")) == {b"./a b.mp4", b"./two\nlines.mp4", b"./c", b""}
    everything = b".\0" + listed.stdout
    missing = [name for name in everything.split(b"\0") if name and b"\n" not in name]
    assert names_in(b"\0".join(missing)) == list(map(os.fsdecode, missing))


@pytest.mark.parametrize(
    ("path", "reason"), [("absent", "No such file"), (".", "Is a directory")], ids=str
)
@pytest.mark.usefixtures("here")
def test_a_list_that_cannot_be_read_is_said(path: str, reason: str) -> None:
    with pytest.raises(UsageError, match=f"cannot read the list .*{reason}"):
        read_list(Path(path), pytest.fail)

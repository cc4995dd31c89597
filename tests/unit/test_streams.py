"""Results reach stdout whatever its encoding, and a byte that is no text comes back as it came."""

import io
import sys

import pytest

from avscli import console

NAMES = [
    "plain.mp4",
    "😀.mp4",
    "βίντεο.mp4",
    "e\N{COMBINING ACUTE ACCENT}.mp4",
    "bad\udcff\udc80.mp4",
]


def as_shown(name: str, encoding: str) -> bytes:
    """Encode a name letter by letter: a byte that is no text as itself, what is lacking escaped."""
    raw = [letter.encode("utf-8", "surrogateescape") for letter in name]
    return b"".join(
        byte if "\udc80" <= letter <= "\udcff" else letter.encode(encoding, "backslashreplace")
        for letter, byte in zip(name, raw, strict=True)
    )


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252", "latin-1", "cp437", "koi8-r"])
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_is_told_in_any_encoding(
    monkeypatch: pytest.MonkeyPatch, name: str, encoding: str
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding, errors="strict"))
    with console.standard_streams():
        console.result(name)
    assert written.getvalue() == as_shown(name, encoding) + b"\n"


def test_the_streams_are_given_back_open(capfd: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with console.standard_streams():
        console.result("result")
        console.warn("something")
        assert (sys.stdout, sys.stderr) != before
    assert (sys.stdout, sys.stderr) == before
    sys.stdout.write("later\n")
    assert capfd.readouterr() == ("result\nlater\n", "warning: something\n")

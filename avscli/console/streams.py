"""Standard streams whose failures are known: `standard_streams`.

stdout may be closed, a full disk, a pipe whose reader has left, or in an encoding that lacks the
letters of a file name; stderr all of these as well. Whatever writes there, Rich and Typer included,
then fails in one of the ways that ``avs`` documents.
"""

from __future__ import annotations

import codecs
import io
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, TextIO

from avscli.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

READER_LEFT = 128 + getattr(signal, "SIGPIPE", 13)  # what a shell says of a program SIGPIPE ended
_AS_NAMED = "avscli-as-named"


@contextmanager
def standard_streams() -> Iterator[None]:
    """Replace ``sys.stdout`` and ``sys.stderr`` for the length of the ``with`` block.

    Writing results raises `OutputError` where they cannot be written, and ends the program with
    `READER_LEFT` where nobody reads them any more. Messages that cannot be written are dropped:
    there is no place left to say so, and the exit code still tells.
    """
    _occupy_closed_descriptors()
    before = sys.stdout, sys.stderr
    results = _Results(_binary(before[0], 1), _encoding(before[0]), _AS_NAMED)
    messages = _Messages(_binary(before[1], 2), _encoding(before[1]), "backslashreplace")
    sys.stdout, sys.stderr = results, messages
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in (results, messages):
            stream.detach()  # or it would close the descriptor when it goes


class _Results(io.TextIOWrapper):
    def write(self, text: str, /) -> int:
        with self._failures():
            return super().write(text)

    def flush(self) -> None:
        with self._failures():
            super().flush()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            _point_nowhere(self)
            raise SystemExit(READER_LEFT) from None
        except OSError as err:
            _point_nowhere(self)
            raise OutputError(
                f"cannot write to standard output: {err.strerror}",
                hint="see where it goes: to a full disk, or to a stream that is closed",
            ) from err


class _Messages(io.TextIOWrapper):
    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError:
            _point_nowhere(self)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            _point_nowhere(self)


def _point_nowhere(stream: TextIO) -> None:
    """Let what is still in a buffer go nowhere, or Python would fail again when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _occupy_closed_descriptors() -> None:
    """Open what a shell has closed (``<&-``), for reading only, so that writing still fails.

    The next file that is opened would get the number instead, and the words of a library that
    writes to descriptor 2, FFmpeg's for instance, would land in it.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # gets the lowest number that is free


def _binary(stream: TextIO | None, descriptor: int) -> BinaryIO:
    return open(descriptor, "wb", closefd=False) if stream is None else stream.buffer


def _encoding(stream: TextIO | None) -> str:
    return "utf-8" if stream is None else stream.encoding


def _as_named(err: UnicodeError) -> tuple[str | bytes, int]:
    """Give the bytes of a file name back as they came, and escape what the encoding lacks."""
    if not isinstance(err, UnicodeEncodeError):
        raise err
    letter = err.object[err.start]
    if "\udc80" <= letter <= "\udcff":  # how Python holds a byte that is no UTF-8
        return bytes([ord(letter) - 0xDC00]), err.start + 1
    return letter.encode("ascii", "backslashreplace").decode(), err.start + 1


codecs.register_error(_AS_NAMED, _as_named)

"""Lists of file names, as people, ``find -print0`` and other systems' programs write them.

One name per line. A line that starts with a quotation mark is a JSON string, for names that hold
line feeds or start with one themselves. A list that holds NUL bytes is separated by those instead.
A list in UTF-16 or with a byte order mark is decoded. A name that is there is meant as it stands;
what no file is called is tried as other programs write names (quoted, ``file://``, with blanks at
its end, relative to the list), and refused where it cannot be a name at all.
"""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from avscli.errors import UsageError

MAX_NAME_BYTES = 4096  # PATH_MAX of Linux; other systems allow less
SHOWN_LETTERS = 80  # of a line that is refused
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it starts with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# An ending or a line feed, two bytes to a letter. Names separated by NUL look so only when they
# are of one letter, a full stop or a line feed among them.
_UNMARKED_UTF_16 = re.compile(
    rb"\.\0(?:[0-9A-Za-z]\0){2}|[^\0]\0\n\0|\0\.(?:\0[0-9A-Za-z]){2}|\0[^\0]\0\n"
)
# What no list of names holds, unless there is such a file, and what to do about it.
_FOREIGN = {
    re.compile(r"(?!file:)[a-z][a-z0-9+.-]+://", re.IGNORECASE): "save what is there to a file",
    re.compile(r"file\s+\S", re.IGNORECASE): "give the names alone: this is a script for ffmpeg",
    re.compile(r"file:", re.IGNORECASE): "check the address, or write the path as it is",
    re.compile(r"'.*'$", re.DOTALL): "write names as they are, without quotes",
    re.compile(r".*[\0-\x1f\x7f]", re.DOTALL): "is this file a list, one name per line?",
    re.compile(r".*[\ud800-\udfff]", re.DOTALL): "it is not UTF-8; save the list as UTF-8",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a list comes from.

    Attributes:
        title: what it is called in messages.
        folder: where names may be relative to, besides the working directory.
    """

    title: str
    folder: Path | None = None


def read_names(data: bytes, origin: Origin, warn: Callable[[str], None]) -> list[str]:
    """Return the names in a list.

    Args:
        data: the whole list; names are bytes on most systems and come through unchanged.
        origin: where it comes from.
        warn: told of lines that are taken for comments.

    Raises:
        UsageError: there is no name in it, its encoding is broken, or a line is no name.
    """
    is_separated, lines = _lines(data, origin)
    names, num_comments = [], 0
    for number, line in enumerate(lines, start=1):
        where = f"{origin.title}, {'name' if is_separated else 'line'} {number}"
        if line and is_separated:
            names.append(_checked(line, where))
        elif line.strip():
            name = _name(line, origin, where)
            num_comments += name is None
            names += [] if name is None else [name]
    if num_comments:
        warn(f"{origin.title}: lines that start with # are taken for comments ({num_comments})")
    if not names:
        raise UsageError(f"there is no name in {origin.title}", hint="it takes one name per line")
    return names


def read_list(path: Path, warn: Callable[[str], None]) -> list[str]:
    """Return the names in a file.

    Raises:
        UsageError: the file cannot be read, or as `read_names`.
    """
    try:
        data = path.read_bytes()
    except OSError as err:
        raise UsageError(
            f"cannot read the list {path}: {err.strerror}",
            hint="@FILE takes the names of inputs from FILE, one per line",
        ) from err
    return read_names(data, Origin(str(path), path.parent), warn)


def write_name(name: str) -> str:
    """Return the line that `read_names` reads as `name`; any name survives, as ASCII if need be.

    >>> print(write_name("a b.mp4"), write_name("two\\nlines.mp4"))
    a b.mp4 "two\\nlines.mp4"
    """
    is_plain = name.isprintable() and name == name.strip() and not name.startswith(('"', "#"))
    return name if is_plain and _foreign_hint(name) is None else json.dumps(name)


def _lines(data: bytes, origin: Origin) -> tuple[bool, list[str]]:
    """Return whether names are separated by NUL, and the decoded names or lines."""
    encoding = _encoding(data)
    try:
        # Names that are no UTF-8 come through byte for byte.
        errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
        text = data.decode(encoding, errors)
    except UnicodeDecodeError as err:
        raise UsageError(
            f"{origin.title} begins as {encoding} and is damaged after {err.start} bytes",
            hint="save the list as UTF-8",
        ) from err
    if "\0" in text:
        return True, text.split("\0")
    lines = text.split("\n" if "\n" in text else "\r")  # the latter ended lines on old Macs
    return False, [line.removesuffix("\r") for line in lines]


def _encoding(data: bytes) -> str:
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return encoding
    if _UNMARKED_UTF_16.search(data) is None:
        return "utf-8"
    return "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"


def _name(line: str, origin: Origin, where: str) -> str | None:
    """Return the name that a line means; None for a comment."""
    quoted = _json_string(line)
    for name in _readings(line, quoted):
        if os.path.lexists(name):
            return name
        if origin.folder is not None and os.path.lexists(origin.folder / name):
            return str(origin.folder / name)
    if quoted is not None:
        return _checked(quoted, where, may_be_odd=True)
    if line.lstrip().startswith('"'):
        raise UsageError(
            f"{where} is no JSON string: {_shortened(line)}",
            hint='a line that starts with " is a JSON string; write any other name as it is',
        )
    return None if line.startswith("#") else _checked(line, where)


def _readings(line: str, quoted: str | None) -> Iterator[str]:
    """Yield what a line may mean, the likeliest first."""
    bare = line.strip()
    yield from [line] if quoted is None else [quoted]
    yield bare
    if bare[0] == bare[-1] and bare[0] in "'\"":
        yield bare[1:-1]
    if bare.lower().startswith("file:"):
        with suppress(ValueError):  # brackets that are no address, as in file://[
            # As bytes: a name that is no UTF-8 has letters that a URL cannot have.
            yield os.fsdecode(unquote_to_bytes(os.fsencode(urlsplit(bare).path)))


def _json_string(line: str) -> str | None:
    try:
        value = json.loads(line) if line.lstrip().startswith('"') else None
    except ValueError:
        return None
    return value if isinstance(value, str) else None


def _checked(name: str, where: str, *, may_be_odd: bool = False) -> str:
    """Return a name that a file can have; what is not there is for its job to say.

    Raises:
        UsageError: no file can be called so, or it is of another kind of list.
    """
    try:
        is_possible = "\0" not in name and len(os.fsencode(name)) < MAX_NAME_BYTES
    except UnicodeEncodeError:  # half a character, as JSON can hold
        is_possible = False
    hint = None if may_be_odd or os.path.lexists(name) else _foreign_hint(name)
    if not is_possible or hint is not None:
        raise UsageError(
            f"{where} is no file name: {_shortened(name)}",
            hint=hint or "is this file a list, one name per line?",
        )
    return name


def _foreign_hint(name: str) -> str | None:
    return next((hint for kind, hint in _FOREIGN.items() if kind.match(name)), None)


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_LETTERS else f"{text[:SHOWN_LETTERS]}..."

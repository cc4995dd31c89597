"""Lists of file names, as people write them and as ``find -print0`` does.

One name per line. A line that starts with a quotation mark is a JSON string, for names that hold
line feeds or start with one themselves. A list that holds a NUL byte is separated by those instead.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from avscli.errors import UsageError


def read_names(data: bytes, where: str) -> list[str]:
    """Return the names in a list.

    Args:
        data: the whole list; names are bytes on most systems and come through unchanged.
        where: what the list is called in error messages.

    Raises:
        UsageError: a line that starts with a quotation mark is no JSON string.
    """
    if b"\0" in data:
        return [os.fsdecode(name) for name in data.split(b"\0") if name]
    lines = [os.fsdecode(line.removesuffix(b"\r")) for line in data.split(b"\n")]
    return [_name(line, f"{where}, line {i}") for i, line in enumerate(lines, start=1) if line]


def read_list(path: Path) -> list[str]:
    """Return the names in a file.

    Raises:
        UsageError: the file cannot be read, or a line of it is no name.
    """
    try:
        data = path.read_bytes()
    except OSError as err:
        raise UsageError(
            f"cannot read the list {path}: {err.strerror}",
            hint="@FILE takes the names of inputs from FILE, one per line",
        ) from err
    return read_names(data, str(path))


def write_name(name: str) -> str:
    """Return the line that `read_names` reads as `name`; any name survives, as ASCII if need be.

    >>> print(write_name("a b.mp4"), write_name("two\\nlines.mp4"))
    a b.mp4 "two\\nlines.mp4"
    """
    plain = name.isprintable() and not name.startswith('"') and name == name.strip()
    return name if plain else json.dumps(name)


def _name(line: str, where: str) -> str:
    if not line.startswith('"'):
        return line
    try:
        name = json.loads(line)
    except json.JSONDecodeError as err:
        raise UsageError(
            f"{where} is no JSON string: {line}",
            hint='a line that starts with " is a JSON string; write any other name as it is',
        ) from err
    assert isinstance(name, str), "JSON that starts with a quotation mark is a string"
    return name

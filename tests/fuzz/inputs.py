"""What a damaged input is, and how files are copied and damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fuzz.corpus import Corpus
from tests.fuzz.mutators import damaged, dump_json, mutate_json

IN = "in"
CANARY = "canary"


@dataclass(frozen=True)
class Input:
    """One damaged input.

    Attributes:
        args: of ``avs``, with paths relative to the folder or absolute.
        told: what was damaged, and how.
        writes: the command may change `OUT`; else everything must stay as it was.
        fresh: what the command leaves in `OUT` is all its own, so it must be whole.
        max_file_bytes: no file may grow beyond this; None for no limit.
    """

    args: tuple[str, ...]
    told: str
    writes: bool = True
    fresh: bool = True
    max_file_bytes: int | None = None


Kind = Callable[[Random, Corpus, Path], Input]


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)  # times of files too: batch compares them
    else:
        shutil.copy2(source, target)


def harm(draw: Random, path: Path) -> str:
    data, told = damaged(draw, path.read_bytes(), ())
    path.write_bytes(data)
    return told


def harm_json(draw: Random, path: Path) -> str:
    document, told = mutate_json(draw, json.loads(path.read_bytes()))
    path.write_bytes(dump_json(draw, document))
    return told


def harm_json_lines(draw: Random, path: Path) -> str:
    """Damage a line as JSON, or the file as lines."""
    lines = path.read_bytes().splitlines(keepends=True)
    if draw.random() < 0.3:
        return harm(draw, path)
    place = draw.randrange(len(lines))
    document, told = mutate_json(draw, json.loads(lines[place]))
    lines[place] = dump_json(draw, document) + b"\n"
    path.write_bytes(b"".join(lines))
    return f"line {place + 1}: {told}"

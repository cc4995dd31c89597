"""Names of files and classes that try to be more than names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from avscli.exports.formats import FORMATS
from tests.builders import make_video
from tests.conftest import Avs
from tests.run_folders import HOSTILE_NAMES, scene, write_run

SIZE_HW = (48, 64)
FILES = (
    "a,b\"c'&<script>\n..=x.mp4",
    "</script><img src=x onerror=alert(1)>.mp4".replace("/", "\u2215"),
    "..mp4",
    "\x01\x1b[2J\udcff.mp4",
    "l" * 251 + ".mp4",
)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    source = make_video(tmp_path / "video.mp4", seconds=5.0, fps=2, size_hw=SIZE_HW)
    times = [k / 2 for k in range(10)]
    for name in FILES:
        frames = scene(10, every=1, times=times, size_hw=SIZE_HW)
        folder = tmp_path / "runs" / name
        write_run(folder, frames, source=source, frame_rate=2, size_hw=SIZE_HW, names=HOSTILE_NAMES)
    return tmp_path / "runs"


@pytest.mark.parametrize("to", FORMATS)
def test_hostile_names_harm_nothing(avs: Avs, runs: Path, tmp_path: Path, to: str) -> None:
    done = avs("export", runs, "--to", to, "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert {path.name for path in tmp_path.iterdir()} == {"video.mp4", "runs", "out"}
    found = set(names_in(tmp_path / "out"))
    if to in ("avsbench", "davis", "png", "matte", "gif-preview"):
        return  # these name no classes
    shown = HOSTILE_NAMES[:2] if to == "supervision" else HOSTILE_NAMES
    assert found >= set(shown)


def names_in(folder: Path) -> Iterator[str]:
    """Return every text in the files of a folder, as their formats are read."""
    for path in folder.rglob("*"):
        if path.suffix == ".xml":
            for element in ET.parse(path).iter():
                yield from filter(None, [element.text, *element.attrib.values()])
        elif path.suffix in (".json", ".jsonl"):
            for document in documents(path):
                yield from texts(document)


def documents(path: Path) -> Iterator[Any]:
    text = path.read_text("utf-8")
    yield from map(json.loads, text.splitlines() if path.suffix == ".jsonl" else [text])


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)

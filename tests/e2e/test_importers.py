"""Exports opened by the programs they are for, pixel for pixel and track for track.

Those programs live in an environment of their own, since they bring versions of their own:

    python -m venv /tmp/importers && /tmp/importers/bin/pip install --no-deps -r .ci/importers.txt
    AVSCLI_IMPORTERS=/tmp/importers/bin/python pytest tests/e2e/test_importers.py
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avscli.config import ReadOptions
from avscli.media.frames import FrameReader
from avscli.media.probe import probe
from avscli.media.stills import read_picture, read_png
from tests.builders import frame_number, is_upright, make_video
from tests.conftest import Avs
from tests.run_folders import HOSTILE_NAMES, Frame, scene, write_run

READER = Path(__file__).parents[1] / "importers" / "reading.py"
SIZE_HW = (72, 96)
VARIABLE = [0, 0.05, 0.1, 0.5, 0.55, 0.6, 1.4, 1.5, 1.6, 1.65, 1.9, 2.0]
SOURCES: dict[str, dict[str, Any]] = {
    "30 fps": {"fps": 30},
    "29.97 fps": {"fps": Fraction(30000, 1001)},
    "variable": {"fps": 6, "pts_seconds": VARIABLE},
    "rotated": {"fps": 30, "rotation": 90},
}


@dataclass(frozen=True)
class Made:
    """A run folder and what it holds."""

    folder: Path
    frames: list[Frame]

    @property
    def analysed(self) -> list[Frame]:
        return [frame for frame in self.frames if not frame.is_held]


@pytest.fixture(params=SOURCES)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    source = tmp_path / "a clip's.mp4"
    make_video(source, seconds=0.4, size_hw=SIZE_HW, **SOURCES[request.param])
    media = probe(source)
    stamps = [image.stamp for image in FrameReader(media, ReadOptions(), print)]
    times = [stamp.pts_seconds for stamp in stamps]
    assert len(times) == 12
    frames = scene(12, times=times, size_hw=SIZE_HW)
    folder = tmp_path / "runs" / source.name
    write_run(
        folder,
        frames,
        source=source,
        frame_rate=media.frame_rate,
        size_hw=SIZE_HW,
        names=HOSTILE_NAMES,
    )
    return Made(folder, frames)


def importers() -> str:
    """Return the interpreter that has the programs; skip without, or fail if it is required."""
    python = os.environ.get("AVSCLI_IMPORTERS")
    if python is None:
        message = "needs AVSCLI_IMPORTERS, an interpreter with .ci/importers.txt"
        if os.environ.get("AVSCLI_REQUIRE_IMPORTERS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return python


def read_by(program: str, folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [importers(), READER, program, folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def objects_of(frames: Iterable[Frame]) -> dict[tuple[int, int, str], bytes]:
    """Return every mask by frame, track and class, packed by rows."""
    return {
        (frame.index, label, HOSTILE_NAMES[label - 1]): np.packbits(mask).tobytes()
        for frame in frames
        for label, mask in frame.masks.items()
    }


def exported(avs: Avs, made: Made, to: str) -> Path:
    output = made.folder.parents[1] / "out"
    done = avs("export", made.folder, "--to", to, "-o", output)
    assert done.code == 0, done.err
    return output


PROGRAMS = {
    "coco-polygons": ("datumaro_coco", False),
    "datumaro": ("datumaro", False),
    "supervision": ("supervision", False),
    "ytvis": ("trackeval", False),
    "cvat": ("cvat", True),
}


@pytest.mark.parametrize("to", PROGRAMS)
def test_every_mask_is_read_with_its_frame_track_and_class(avs: Avs, made: Made, to: str) -> None:
    program, has_held = PROGRAMS[to]
    output = exported(avs, made, to)
    if to == "cvat":  # datumaro wants the pictures that CVAT packs beside its XML
        (output / "images").mkdir()
        for frame in made.frames:
            (output / "images" / f"frame_{frame.index:06d}").touch()
    found = {
        (each["frame"], each["track"], each["class"]): bytes.fromhex(each["mask"])
        for each in read_by(program, output)
    }
    assert found == objects_of(made.frames if has_held else made.analysed)


def test_label_studio_reads_brushed_masks_and_boxes(avs: Avs, made: Made) -> None:
    importers()
    if made.frames[3].seconds == VARIABLE[3]:
        output = made.folder.parents[1] / "out"
        done = avs("export", made.folder, "--to", "label-studio", "-o", output)
        assert done.code == 3
        assert "variable frame rate (frame 1 stands at 0.050 s" in done.err
        assert "-fps_mode cfr" in done.err
        assert not output.exists()
        return
    output = exported(avs, made, "label-studio")
    found = {
        (each["frame"], each["track"], each["class"]): bytes.fromhex(each["mask"])
        for each in read_by("label_studio", output)
    }
    assert found == objects_of(made.analysed)
    boxes = {
        (each["frame"], each["track"], each["class"]): each["box"]
        for each in read_by("label_studio_boxes", output)
    }
    height, width = SIZE_HW
    expected = {}
    for frame in made.frames:
        for label, mask in frame.masks.items():
            rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
            expected[frame.index, label, HOSTILE_NAMES[label - 1]] = pytest.approx(
                [
                    100 * columns[0] / width,
                    100 * rows[0] / height,
                    100 * (columns[-1] - columns[0] + 1) / width,
                    100 * (rows[-1] - rows[0] + 1) / height,
                ]
            )
    assert boxes == expected
    for frame in made.analysed:
        picture = read_picture(output / "media" / made.folder.name / f"frame_{frame.index:06d}.jpg")
        assert is_upright(picture)
        assert frame_number(picture) == frame.index


@pytest.mark.parametrize("to", ["cvat", "coco_instances"])
@pytest.mark.parametrize("known_as", ["cvat", "datumaro"])
def test_what_datumaro_writes_of_what_it_read_scores_1_and_comes_back(
    avs: Avs, made: Made, known_as: str, to: str
) -> None:
    place = made.folder.parents[1]
    output = exported(avs, made, known_as)
    (output / "images").mkdir()
    for frame in made.frames:
        (output / "images" / f"frame_{frame.index:06d}").touch()
    again = place / "again"
    program = READER.with_name("exporting.py")
    command = [importers(), program, known_as, output, to, again]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (back,) = (path for path in again.rglob("*") if path.suffix in (".xml", ".json"))
    crowds = ("--gt-marked", "crowds")  # as Datumaro calls run lengths
    scored = avs(
        "eval", "--pred", made.folder, "--gt", back, *crowds, "-o", place / "eval", "--json"
    )
    assert scored.code == 0, scored.err
    scores = json.loads(scored.out)["protocols"]["avs"]["scores"]
    assert scores["mean_iou"]["value"] == 1.0
    arguments = ("--to", "png", "-o", place / "png", "--from", back)
    assert avs("export", made.folder, *arguments).code == 0
    for frame in made.analysed:
        drawn = read_png(place / "png" / made.folder.name / f"frame_{frame.index:06d}.png").samples
        for label in (1, 2):
            expected = frame.masks.get(label, np.zeros(SIZE_HW, np.bool_))
            assert np.array_equal(drawn == label, expected)

"""A small folder of labelled videos, generated: tables, videos with sound, masks."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from tests.builders import FloatArray, make_video, tone
from tests.miniatures import write_picture, write_table

SIZE_HW = (48, 64)
FPS = 8
ROWS = (
    # video, second, state, classes, mask, heard
    ("videos/a.mp4", 0, "visible", "person", "masks/a_0.png", "Speech 0.98; Music 0.10"),
    ("videos/a.mp4", 1, "silent", "", "", ""),
    ("videos/a.mp4", 2, "off_screen", "", "", "Pop music 0.90"),
    ("videos/b.mp4", 0, "unclear", "", "", "Speech 0.30"),
    ("videos/b.mp4", 1, "visible", "dog|cat", "masks/b_1.png", "Bark 0.90"),
)
_COLUMNS = ("video", "second", "state", "classes", "mask", "heard")
MASKS = {
    "masks/a_0.png": (slice(8, 32), slice(8, 40)),
    "masks/b_1.png": (slice(0, 48), slice(32, 64)),
}


def quiet_in_the_second_second(times: FloatArray) -> FloatArray:
    """Return a tone that is not there from 0.7 to 2.3 s."""
    return np.where((times < 0.7) | (times >= 2.3), tone(300)(times), 0.0)


def write_clips(root: Path) -> Path:
    """Write two videos of 3 and 2 s with five labelled seconds, two of them with a mask."""
    (root / "videos").mkdir(parents=True)
    sounds = {"videos/a.mp4": (3.0, quiet_in_the_second_second), "videos/b.mp4": (2.0, tone(500))}
    for name, (seconds, audio) in sounds.items():
        make_video(root / name, seconds=seconds, fps=FPS, size_hw=SIZE_HW, audio=audio)
    for name, box in MASKS.items():
        mask = np.zeros(SIZE_HW, np.uint8)
        mask[box] = 255
        write_picture(root / name, mask)
    about = {"sounds": "", "remark": "", "source": "generated", "licence": "CC0"}
    write_table(root / "clips.csv", [{"video": name, **about} for name in sounds])
    write_table(root / "seconds.csv", [dict(zip(_COLUMNS, row, strict=True)) for row in ROWS])
    return root


def change_row(root: Path, number: int, **values: object) -> None:
    """Write other values into a row of seconds.csv, counted from 0; one past the end is added."""
    path = root / "seconds.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows: list[dict[str, object]] = list(csv.DictReader(file))
    rows += [dict(rows[-1])] * (number - len(rows) + 1)
    rows[number] = {**rows[number], **values}
    write_table(path, rows)

"""Exports in the layout of AVSBench, read as any copy of it is."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from avscli.datasets.avsbench import AvsBench
from tests.builders import frame_number, impulse, is_upright, make_video
from tests.conftest import Avs
from tests.run_folders import HOSTILE_NAMES, Frame, scene, write_run

SIZE_HW, FPS = (120, 160), 10


def make_run(folder: Path, source: Path, seconds: float, **video: object) -> list[Frame]:
    make_video(source, seconds=seconds, fps=FPS, size_hw=SIZE_HW, **video)
    num_frames = round(seconds * FPS)
    times = [k / FPS for k in range(num_frames)]
    frames = scene(num_frames, times=times, size_hw=SIZE_HW)
    write_run(folder, frames, source=source, size_hw=SIZE_HW, names=HOSTILE_NAMES)
    return frames


@pytest.mark.parametrize("rotation", [0, 90])
def test_clips_have_the_pictures_masks_and_sound_of_their_seconds(
    avs: Avs, tmp_path: Path, rotation: int
) -> None:
    source = tmp_path / "a.mov"
    click = impulse(6.5, 0.05)  # in second 2 of the second clip
    frames = make_run(tmp_path / "runs" / "a", source, 11.0, rotation=rotation, audio=click)
    done = avs("export", tmp_path / "runs", "--to", "avsbench", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert "1 clips are shorter than 5 s" in done.err
    data = AvsBench.open("avsbench-ms3", tmp_path / "out")
    first, second = (data.read(files) for files in data.files("train"))
    for k, clip in enumerate((first, second)):
        for step in range(5):
            picture = clip.pictures[step]
            frame = frames[frame_number(picture)]
            assert is_upright(picture)
            assert not frame.is_held
            assert 5 * k + step <= frame.seconds < 5 * k + step + 1
            assert abs(frame.seconds - (5 * k + step + 0.9375)) < 0.3
            expected = np.any([*frame.masks.values(), np.zeros(SIZE_HW)], axis=0)
            assert np.array_equal(clip.targets[step], expected)
    assert np.argmax(second.sound.levels_dbfs) == 1
    checked = avs("data", "check", "avsbench-ms3", tmp_path / "out", "--split", "train")
    assert checked.code == 0, checked.err


def test_every_fifth_clip_is_for_validation_unless_told(avs: Avs, tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "a,b.mov", tmp_path / "a,b.mov", 25.0)
    for arguments, splits in (
        ((), ["train"] * 4 + ["val"]),
        (("--split", "test", "--overwrite"), ["test"] * 5),
    ):
        done = avs(
            "export", tmp_path / "runs", "--to", "avsbench", "-o", tmp_path / "out", *arguments
        )
        assert done.code == 0, done.err
        with (tmp_path / "out" / "ms3_meta_data.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["split"] for row in rows] == splits
        assert all(row["video_id"].startswith("a-b.mov-") for row in rows)


def test_a_video_without_sound_gives_silence(avs: Avs, tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "a", tmp_path / "a.mp4", 5.0, audio=None)
    assert avs("export", tmp_path / "runs", "--to", "avsbench", "-o", tmp_path / "out").code == 0
    data = AvsBench.open("avsbench-ms3", tmp_path / "out")
    (files,) = data.files("train")
    assert np.all(np.isneginf(data.read(files).sound.levels_dbfs))


@pytest.mark.parametrize(
    ("seconds", "by_now", "says"),
    [
        (4.0, "the same", "no clip of AVSBench's form"),
        (5.0, "another", "is not the video that was segmented"),
        (5.0, "gone", "is not there"),
    ],
)
def test_what_cannot_be_laid_out_is_told(
    avs: Avs, tmp_path: Path, seconds: float, by_now: str, says: str
) -> None:
    source = tmp_path / "a.mp4"
    make_run(tmp_path / "runs" / "a", source, seconds)
    if by_now != "the same":
        source.unlink()
    if by_now == "another":  # of the same size and length, without sound
        make_video(source, seconds=seconds, fps=FPS, size_hw=SIZE_HW, audio=None)
    done = avs("export", tmp_path / "runs", "--to", "avsbench", "-o", tmp_path / "out")
    assert done.code == 3
    assert says in done.err
    assert not (tmp_path / "out").exists()

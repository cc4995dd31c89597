"""The overlay sink's thread: it blends what it is given, fails in the open, and always ends."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
import pytest

from avscli.config import ReadOptions
from avscli.datatypes import MediaInfo
from avscli.errors import MediaError, OutputError
from avscli.masks import palette
from avscli.media.frames import FrameReader
from avscli.media.probe import probe
from avscli.outputs.labels import SMALLEST_TEXT
from avscli.outputs.overlay import MAX_WAITING, OVERLAY_NAME, OverlaySink
from avscli.outputs.tint import OPACITY, limited_range_yuv
from avscli.results import FramePrediction
from tests.builders import make_video
from tests.unit.outputs.drawn import make_prediction

SIZE_HW = (96, 128)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [t.name for t in threading.enumerate() if t.name.startswith("avs-overlay")]


@pytest.fixture
def media(tmp_path: Path) -> MediaInfo:
    return probe(make_video(tmp_path / "clip.mp4", seconds=1.0, fps=30, size_hw=SIZE_HW))


def predictions(media: MediaInfo, options: ReadOptions | None = None) -> list[FramePrediction]:
    """A square in the middle of every frame, with the stamps of the source."""
    labels = np.zeros((media.height, media.width), np.uint8)
    labels[24:72, 32:96] = 1
    frames = FrameReader(media, options or ReadOptions(), pytest.fail)
    return [replace(make_prediction(0, labels), stamp=frame.stamp) for frame in frames]


def open_sink(
    folder: Path,
    media: MediaInfo,
    options: ReadOptions | None = None,
    offsets: list[float] | None = None,
) -> OverlaySink:
    return OverlaySink(
        folder,
        media,
        options or ReadOptions(),
        categories=None,
        on_warning=pytest.fail,
        on_offset=[].append if offsets is None else offsets.append,
    )


def write_all(
    media: MediaInfo, frames: list[FramePrediction], options: ReadOptions | None = None
) -> Path:
    folder = media.path.parent
    with open_sink(folder, media, options) as sink:
        for frame in frames:
            sink.write(frame)
    return folder / OVERLAY_NAME


def chroma(path: Path) -> np.ndarray:
    """[N, H/2, W/2] of the V planes."""
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="yuv420p") for f in container.decode(video=0)]
    quarter = SIZE_HW[0] // 4
    return np.stack([f[-quarter:].reshape(SIZE_HW[0] // 2, SIZE_HW[1] // 2) for f in frames])


def test_every_frame_is_tinted_inside_its_mask_and_nowhere_else(media: MediaInfo) -> None:
    source, written = chroma(media.path), chroma(write_all(media, predictions(media)))
    colour = limited_range_yuv(palette(2))[1, 2]
    expected = source.astype(float)
    expected[:, 12:36, 16:48] = (1 - OPACITY) * expected[:, 12:36, 16:48] + OPACITY * colour
    # Away from the outline, by more than the encoder smears its colour.
    away = np.ones(expected.shape[1:], bool)
    away[8:40, 12:52] = False
    away[18:30, 22:42] = True
    assert len(written) == 30
    assert np.abs(written - expected)[:, away].mean() < 2
    assert np.abs(source - expected)[:, 18:30, 22:42].mean() > 20


def test_labels_are_drawn_where_names_are_given(media: MediaInfo, tmp_path: Path) -> None:
    bare = write_all(media, predictions(media)).rename(tmp_path / "bare.mp4")
    sink = OverlaySink(
        tmp_path,
        media,
        ReadOptions(),
        categories={1: "dog"},
        on_warning=pytest.fail,
        on_offset=[].append,
    )
    with sink:
        for frame in predictions(media):
            sink.write(frame)
    without, labelled = (chroma(path)[15].astype(int) for path in (bare, tmp_path / OVERLAY_NAME))
    plate = np.s_[14:23]  # inside the square: above it are 24 rows, too few for 18 and two margins
    assert np.abs(labelled - without)[plate].mean() > 20
    assert np.abs(labelled - without)[:12].mean() < 1
    assert np.abs(labelled - without)[25:].mean() < 1


def smaller_overlay(media: MediaInfo, most_rows: int, categories: dict[int, str] | None) -> Path:
    folder = media.path.parent
    sink = OverlaySink(
        folder,
        media,
        ReadOptions(),
        most_rows=most_rows,
        categories=categories,
        on_warning=pytest.fail,
        on_offset=[].append,
    )
    with sink:
        for frame in predictions(media):
            sink.write(frame)
    return (folder / OVERLAY_NAME).rename(folder / f"{most_rows} {categories}.mp4")


def luma(path: Path, number: int) -> np.ndarray:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return frames[number].to_ndarray(format="gray").astype(float)


@pytest.mark.parametrize(
    ("size_hw", "rotation", "most_rows", "expected"),
    [
        ((96, 128), 0, 64, (64, 86)),
        ((96, 128), 0, 65, (64, 86)),
        ((95, 127), 0, 80, (80, 106)),
        ((128, 96), 90, 64, (64, 48)),
        ((96, 128), 0, 96, (96, 128)),
        ((96, 128), 0, 720, (96, 128)),
    ],
)
def test_a_smaller_overlay_has_so_many_rows_at_most_and_the_same_aspect(
    tmp_path: Path,
    size_hw: tuple[int, int],
    rotation: Literal[0, 90],
    most_rows: int,
    expected: tuple[int, int],
) -> None:
    pix_fmt = "yuv444p" if size_hw[0] % 2 else "yuv420p"
    path = make_video(tmp_path / "a.mp4", size_hw=size_hw, rotation=rotation, pix_fmt=pix_fmt)
    written = probe(smaller_overlay(probe(path), most_rows, None))
    assert (written.height, written.width) == expected


def test_masks_of_a_smaller_overlay_lie_where_they_do_in_the_large_one(media: MediaInfo) -> None:
    large, small = (luma(smaller_overlay(media, rows, None), 15) for rows in (96, 64))
    pixels = cv2.resize(large, small.shape[::-1], interpolation=cv2.INTER_AREA)
    edge = np.zeros(small.shape, bool)
    edge[12:52, 18:68] = True
    edge[20:44, 26:60] = False
    assert np.abs(pixels - small)[~edge].mean() < 4
    assert np.corrcoef(pixels.ravel(), small.ravel())[0, 1] > 0.95


def test_labels_of_a_smaller_overlay_are_no_smaller_than_can_be_read(tmp_path: Path) -> None:
    media = probe(make_video(tmp_path / "a.mp4", seconds=0.2, size_hw=(360, 480)))
    bare, named = (luma(smaller_overlay(media, 180, names), 2) for names in (None, {1: "dog"}))
    changed = np.abs(named - bare) > 24
    rows = np.flatnonzero(changed.sum(axis=1) > 10)
    assert SMALLEST_TEXT <= rows[-1] - rows[0] + 1 <= 2 * SMALLEST_TEXT


def test_a_range_is_written_as_a_range(media: MediaInfo) -> None:
    options = ReadOptions(start_seconds=0.2, end_seconds=0.5)
    frames = predictions(media, options)
    assert len(chroma(write_all(media, frames, options))) == len(frames) == 9


@pytest.mark.parametrize("start", [0.0, 0.5, 3600.0])
def test_where_its_time_line_starts_is_told_once_the_file_is_whole(
    tmp_path: Path, start: float
) -> None:
    media = probe(
        make_video(
            tmp_path / "late.mp4",
            size_hw=SIZE_HW,
            start_offset_seconds=start,
            audio_start_seconds=start,
        )
    )
    told: list[float] = []
    with open_sink(tmp_path, media, offsets=told) as sink:
        for frame in predictions(media):
            sink.write(frame)
        assert told == []
    assert told == [3600.0 if start == 3600.0 else 0.0]


def test_an_overlay_that_failed_tells_no_offset(media: MediaInfo) -> None:
    told: list[float] = []

    def write_too_many() -> None:
        with open_sink(media.path.parent, media, offsets=told) as sink:
            for frame in [*predictions(media), *predictions(media)]:
                sink.write(frame)

    with pytest.raises(MediaError):
        write_too_many()
    assert told == []


def test_no_more_than_the_bound_is_ever_waiting(media: MediaInfo) -> None:
    with open_sink(media.path.parent, media) as sink:
        most = 0
        for frame in predictions(media):
            sink.write(frame)
            most = max(most, len(sink._waiting))
    assert 1 <= most <= MAX_WAITING


def test_frames_that_do_not_match_the_source_end_the_run(media: MediaInfo) -> None:
    frames = predictions(media)
    with pytest.raises(MediaError, match="gives other frames"):
        write_all(media, frames[1:])
    assert not (media.path.parent / OVERLAY_NAME).exists()


def test_more_frames_than_the_source_has_end_the_run(media: MediaInfo) -> None:
    frames = predictions(media)
    with pytest.raises(MediaError, match="gives other frames"):
        write_all(media, [*frames, frames[-1]])


def test_an_error_in_the_thread_is_raised_by_a_later_write(media: MediaInfo) -> None:
    frames = predictions(media)
    wrong = frames[5:]
    written = 0

    def write_slowly() -> None:
        nonlocal written
        with open_sink(media.path.parent, media) as sink:
            for frame in wrong:
                sink.write(frame)
                written += 1
                time.sleep(0.02)

    with pytest.raises(MediaError, match="gives other frames"):
        write_slowly()
    assert written < len(wrong)


def test_an_error_beside_the_sink_drops_what_waits_and_the_file(media: MediaInfo) -> None:
    frames = predictions(media)

    def write_then_fail() -> None:
        with open_sink(media.path.parent, media) as sink:
            for frame in frames[:MAX_WAITING]:
                sink.write(frame)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_then_fail()
    assert not (media.path.parent / OVERLAY_NAME).exists()


def test_leaving_without_a_frame_leaves_no_file_and_no_thread(media: MediaInfo) -> None:
    assert not write_all(media, []).exists()


def test_a_target_folder_that_is_gone_is_an_output_error(media: MediaInfo, tmp_path: Path) -> None:
    frames = predictions(media)

    def write_nowhere() -> None:
        with open_sink(tmp_path / "gone", media) as sink:
            for frame in frames:
                sink.write(frame)

    with pytest.raises(OutputError, match="No such file"):
        write_nowhere()


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or os.system(f"mount -t tmpfs -o size=64k tmpfs {folder} 2>/dev/null"):
        pytest.skip("needs the right to mount a small file system")
    yield folder
    os.system(f"umount {folder}")


def test_a_disk_that_fills_up_is_an_output_error(full_disk: Path, tmp_path: Path) -> None:
    media = probe(make_video(tmp_path / "long.mp4", seconds=8, size_hw=(240, 320)))
    frames = predictions(media)

    def write_too_much() -> None:
        with open_sink(full_disk, media) as sink:
            for frame in frames:
                sink.write(frame)

    with pytest.raises(OutputError, match="No space left"):
        write_too_much()

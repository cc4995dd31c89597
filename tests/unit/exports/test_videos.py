"""Mattes and previews, decoded again."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avscli.config import ReadOptions
from avscli.media.frames import FrameReader
from avscli.media.probe import probe
from tests.builders import frame_number, is_upright, make_video
from tests.conftest import Avs
from tests.run_folders import Frame, scene, write_run

SIZE_HW = (90, 122)
SOURCES = {
    "29.97": {"fps": Fraction(30000, 1001)},
    "variable": {"fps": 6, "pts_seconds": [0, 0.05, 0.1, 0.5, 0.55, 0.6, 1.4, 1.5]},
    "rotated": {"fps": 30, "rotation": 90},
    "from 5 s": {"fps": 30, "start_offset_seconds": 5.0},
}
SUFFIXES = {"vp9": ".webm", "prores": ".mov", "white": ".mov"}


def make_run(tmp_path: Path, **video: object) -> list[Frame]:
    source = make_video(tmp_path / "a.mp4", seconds=8 / 30, size_hw=SIZE_HW, **video)
    media = probe(source)
    stamps = [image.stamp for image in FrameReader(media, ReadOptions(), print)]
    frames = scene(len(stamps), times=[stamp.pts_seconds for stamp in stamps], size_hw=SIZE_HW)
    write_run(tmp_path / "runs" / "a.mp4", frames, source=source, size_hw=SIZE_HW)
    return frames


def decoded(path: Path) -> list[av.VideoFrame]:
    """Decode with alpha, which FFmpeg's own decoder of VP9 does not know."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if stream.codec_context.codec.canonical_name == "vp9":
            decoder = av.CodecContext.create("libvpx-vp9", "r")
            packets = [*container.demux(stream)]
            frames = [f for p in packets if p.size for f in decoder.decode(p)]
            for frame, packet in zip(frames, packets, strict=False):
                frame.pts, frame.time_base = packet.pts, packet.time_base
            return frames
        return list(container.decode(stream))


def alpha_of(frame: av.VideoFrame, kind: str) -> np.ndarray:
    return (
        frame.to_ndarray(format="gray")
        if kind == "white"
        else frame.to_ndarray(format="rgba")[..., 3]
    )


def union(frame: Frame, size_hw: tuple[int, int] = SIZE_HW) -> np.ndarray:
    return np.any([*frame.masks.values(), np.zeros(size_hw)], axis=0)


@pytest.mark.parametrize("kind", SUFFIXES)
@pytest.mark.parametrize("source", SOURCES)
def test_a_matte_has_every_mask_at_the_time_of_its_frame(
    avs: Avs, tmp_path: Path, source: str, kind: str
) -> None:
    frames = make_run(tmp_path, **SOURCES[source])
    done = avs(
        "export", tmp_path / "runs", "--to", "matte", "-o", tmp_path / "out", "--video", kind
    )
    assert done.code == 0, done.err
    found = decoded(tmp_path / "out" / f"a.mp4{SUFFIXES[kind]}")
    assert len(found) == len(frames)
    zero = 5.0 if source == "from 5 s" else 0.0
    assert ("add 5 s" in done.err) == (zero > 0)
    for image, frame in zip(found, frames, strict=True):
        assert image.time == pytest.approx(frame.seconds - zero, abs=0.00051)
        wrong = (alpha_of(image, kind) > 127) != union(frame)
        if kind != "vp9":
            assert not wrong.any()
        elif 2 not in frame.masks:  # specks are beyond a codec that loses something
            assert wrong.mean() < 0.002
        if kind != "white":
            picture = image.to_ndarray(format="rgb24")
            assert is_upright(picture)
            assert frame_number(picture) == frame.index


def test_a_matte_can_show_one_track_or_all_but_what_sounds(avs: Avs, tmp_path: Path) -> None:
    frames = make_run(tmp_path)
    arguments = ("export", tmp_path / "runs", "--to", "matte", "--video", "white", "--overwrite")
    for options, expected in (
        (("--track", "2"), lambda frame: frame.masks.get(2, np.zeros(SIZE_HW, np.bool_))),
        (("--invert",), lambda frame: ~union(frame)),
        (("--track", "1", "--invert"), lambda f: ~f.masks.get(1, np.zeros(SIZE_HW, np.bool_))),
    ):
        assert avs(*arguments, "-o", tmp_path / "out", *options).code == 0
        for image, frame in zip(decoded(tmp_path / "out" / "a.mp4.mov"), frames, strict=True):
            assert np.array_equal(alpha_of(image, "white") > 127, expected(frame))
    refused = avs(*arguments, "-o", tmp_path / "out", "--track", "3")
    assert refused.code == 3
    assert "has no track 3" in refused.err
    assert "its tracks are: 1, 2" in refused.err


@pytest.mark.parametrize("first", [0, 9])
def test_a_video_that_has_lost_frames_is_told(avs: Avs, tmp_path: Path, first: int) -> None:
    source = make_video(tmp_path / "a.mp4", seconds=8 / 30, size_hw=SIZE_HW)
    frames = scene(12, size_hw=SIZE_HW)[first:]
    write_run(tmp_path / "a", frames, source=source, size_hw=SIZE_HW)
    done = avs("export", tmp_path / "a", "--to", "matte", "-o", tmp_path / "out")
    assert done.code == 3
    assert "any more" in done.err
    assert not (tmp_path / "out").exists()


def test_a_soft_edge_is_as_wide_as_told_and_keeps_the_middle_of_the_edge(
    avs: Avs, tmp_path: Path
) -> None:
    source = make_video(tmp_path / "a.mp4", seconds=0.1, fps=10, size_hw=SIZE_HW)
    half = np.zeros(SIZE_HW, np.bool_)
    half[:, 61:] = True
    write_run(tmp_path / "a", [Frame(0, 0, 0.0, {1: half})], source=source, size_hw=SIZE_HW)
    arguments = ("--to", "matte", "--video", "prores", "--feather", "12", "-o", tmp_path / "out")
    assert avs("export", tmp_path / "a", *arguments).code == 0
    row = alpha_of(decoded(tmp_path / "out" / "a.mov")[0], "prores")[45].astype(int)
    assert row[:54].max() < 10
    assert row[68:].min() > 245
    assert 100 < row[60] < 128 <= row[61] < 156
    assert (np.diff(row) >= 0).all()


@pytest.mark.parametrize(("option", "value"), [("--feather", "-1"), ("--video", "h264")])
def test_options_of_mattes_are_checked(avs: Avs, tmp_path: Path, option: str, value: str) -> None:
    done = avs("export", tmp_path, "--to", "matte", "-o", tmp_path / "out", option, value)
    assert done.code == 2


def test_a_preview_is_small_and_shows_where_it_sounds(avs: Avs, tmp_path: Path) -> None:
    size_hw = (240, 640)
    source = make_video(tmp_path / "a.mp4", seconds=20.0, fps=10, size_hw=size_hw)
    spot = np.zeros(size_hw, np.bool_)
    spot[60:100, 400:440] = True  # where the picture is blue
    frames = [Frame(k, k * 9000, k / 10, {1: spot} if 100 <= k < 150 else {}) for k in range(200)]
    write_run(tmp_path / "runs" / "a", frames, source=source, size_hw=size_hw)
    done = avs("export", tmp_path / "runs", "--to", "gif-preview", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    path = tmp_path / "out" / "a.gif"
    assert path.stat().st_size < 3_000_000
    with av.open(str(path)) as container:
        shown = list(container.decode(video=0))
    assert {(frame.height, frame.width) for frame in shown} == {(150, 400)}
    assert 4 < shown[-1].time <= 6.01
    numbers = [frame_number(frame.to_ndarray(format="rgb24")) for frame in shown]
    assert sum(100 <= number < 150 for number in numbers) >= 25
    for frame, number in zip(shown, numbers, strict=True):
        red, _, _ = frame.to_ndarray(format="rgb24")[42:57, 255:270].mean((0, 1))
        assert (red > 90) == (100 <= number < 150)

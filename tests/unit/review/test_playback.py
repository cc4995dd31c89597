"""Which sources browsers play as they are, and how a page names a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from avscli.datatypes import AudioInfo
from avscli.errors import OutputError
from avscli.media.probe import probe
from avscli.results import RecordedSource
from avscli.review.playback import embedded_proxy, relative_address, why_not_playable, write_proxy
from tests.builders import make_video
from tests.e2e.results import frame_times
from tests.run_folders import recorded_source

MP4 = replace(
    recorded_source(Path("clip.mp4")),
    container="mov,mp4,m4a,3gp,3g2,mj2",
    audio=AudioInfo(0, "aac", 48_000, 2, 0.0, 1.0),
)
WEBM = replace(
    MP4,
    container="matroska,webm",
    video_codec="vp9",
    audio=AudioInfo(0, "opus", 48_000, 2, 0.0, 1.0),
)


@pytest.mark.parametrize(
    ("source", "suffix"),
    [
        (MP4, ".mp4"),
        (MP4, ".MOV"),
        (replace(MP4, audio=None), ".mp4"),
        (replace(MP4, rotation_degrees=90), ".mp4"),
        (replace(MP4, video_codec="libdav1d"), ".mp4"),
        (WEBM, ".webm"),
    ],
)
def test_what_all_browsers_play_is_played_as_it_is(source: RecordedSource, suffix: str) -> None:
    assert why_not_playable(source, suffix) == ""


@pytest.mark.parametrize(
    ("source", "suffix", "reason"),
    [
        (MP4, ".avi", "do not play .avi"),
        (replace(MP4, container="avi"), ".mp4", "do not play .mp4"),
        (WEBM, ".mkv", "do not play .mkv"),
        (replace(MP4, video_codec="hevc"), ".mp4", "its pictures (hevc, yuv420p)"),
        (replace(MP4, pixel_format="yuv420p10le"), ".mp4", "its pictures (h264, yuv420p10le)"),
        (replace(MP4, audio=AudioInfo(0, "ac3", 48_000, 6, 0.0, 1.0)), ".mp4", "its sound (ac3)"),
        (replace(MP4, audio=AudioInfo(1, "aac", 48_000, 2, 0.0, 1.0)), ".mp4", "not track 1"),
        (replace(MP4, mirrored=True), ".mp4", "mirrored"),
        (replace(MP4, leftover_degrees=3.0), ".mp4", "mirrored or turned"),
    ],
)
def test_what_some_browser_does_not_play_is_named(
    source: RecordedSource, suffix: str, reason: str
) -> None:
    assert reason in why_not_playable(source, suffix)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("a b.mp4", "./../a%20b.mp4"),
        ("javascript:alert(1).mp4", "./../javascript%3Aalert%281%29.mp4"),
        ("100%#?.mp4", "./../100%25%23%3F.mp4"),
        ("\udcff.mp4", "./../%FF.mp4"),
    ],
)
def test_an_address_means_the_file_whatever_its_name(
    name: str, address: str, tmp_path: Path
) -> None:
    assert relative_address(tmp_path / name, tmp_path / "run" / "review.html") == address


def test_a_copy_has_every_frame_at_its_time_and_few_rows(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.9, 1.0]
    source = make_video(tmp_path / "a.avi", codec="mpeg4", size_hw=(1080, 64), seconds=0.5)
    varied = make_video(tmp_path / "b.mkv", pts_seconds=times)
    tall = write_proxy(probe(source), tmp_path / "a.html", print)
    assert probe(tall).height == 540
    copy = write_proxy(probe(varied), tmp_path / "b.html", print)
    assert frame_times(copy) == frame_times(varied)


def test_a_copy_never_replaces_its_source(tmp_path: Path) -> None:
    source = make_video(tmp_path / "look.proxy.mp4", seconds=0.5)
    before = source.read_bytes()
    with pytest.raises(OutputError, match="would replace the source"):
        write_proxy(probe(source), tmp_path / "look.html", print)
    assert source.read_bytes() == before


def test_a_copy_too_large_for_a_page_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avscli.review.playback.MOST_EMBEDDED_BYTES", 1000)
    source = make_video(tmp_path / "clip.mp4", seconds=0.5)
    with pytest.raises(OutputError, match="that a page may hold"):
        embedded_proxy(probe(source), tmp_path / "page.html", print)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]

"""What is in a folder beside videos: pictures, animations, music with covers, no media at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from avscli.batch.prober import Prober
from tests.builders import make_video, tone
from tests.pictures import make_picture, make_song

KindOf = Callable[[Path], object]


@pytest.fixture(scope="module")
def kind_of() -> Iterator[KindOf]:
    """Return a function that gives the kind of a file, by its headers."""
    with Prober() as prober:

        def kind_of(path: Path) -> object:
            headers = prober.headers(path)
            assert headers is not None, "it ended the process that looked"
            return headers.kind

        yield kind_of


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.tiff", "a.webp", "a.avif", "a.gif"])
def test_a_still_picture_is_no_video(kind_of: KindOf, tmp_path: Path, name: str) -> None:
    muxer = {"jpg": "image2", "png": "image2", "bmp": "image2", "tiff": "image2"}
    path = make_picture(tmp_path / name, 1, muxer=muxer.get(name[2:]))
    assert kind_of(path) == "still"


@pytest.mark.parametrize("ending", [".bin", "", ".jpg"])
def test_no_picture_is_known_by_its_name(kind_of: KindOf, tmp_path: Path, ending: str) -> None:
    still = make_picture(tmp_path / "a.avif", 1)
    assert kind_of(still.rename(tmp_path / f"b{ending}")) == "still"
    moving = make_picture(tmp_path / "a.gif", 3)
    assert kind_of(moving.rename(tmp_path / f"c{ending}")) == "animation"


@pytest.mark.parametrize("name", ["a.gif", "a.apng", "a.webp", "a.avif"])
@pytest.mark.parametrize("num_frames", [2, 9])
def test_moving_pictures_of_a_format_without_sound_are_animations(
    kind_of: KindOf, tmp_path: Path, name: str, num_frames: int
) -> None:
    assert kind_of(make_picture(tmp_path / name, num_frames)) == "animation"


@pytest.mark.parametrize(
    ("name", "codec", "cover"),
    [
        ("a.mp3", "libmp3lame", "mjpeg"),
        ("a.m4a", "aac", "mjpeg"),
        ("a.m4a", "aac", "png"),
        ("a.flac", "flac", "png"),
        ("a.mp3", "libmp3lame", "png"),
        ("a.flac", "flac", "mjpeg"),
        ("a.mka", "libopus", None),
        ("a.ogg", "libopus", None),
        ("a.wav", "pcm_s16le", None),
    ],
)
def test_music_is_no_video_whatever_its_cover(
    kind_of: KindOf, tmp_path: Path, name: str, codec: str, cover: str | None
) -> None:
    assert kind_of(make_song(tmp_path / name, codec, cover=cover)) is None


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi", ".ts"])
@pytest.mark.parametrize("has_sound", [True, False])
def test_a_video_is_one_with_and_without_sound(
    kind_of: KindOf, tmp_path: Path, suffix: str, has_sound: bool
) -> None:
    sound = tone(440) if has_sound else None
    path = tmp_path / f"a{suffix}"
    made = make_video(path, seconds=1, fps=10, size_hw=(64, 64), audio=sound)
    assert kind_of(made) == "video"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        b"GIF89a",
        b"\0\5\26\7",
        b"\0\0\0\x18ftypavif\0\0\0\0",
    ],
)
def test_what_is_no_media_has_no_kind(kind_of: KindOf, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    assert kind_of(path) is None


def test_a_missing_file_has_no_kind(kind_of: KindOf, tmp_path: Path) -> None:
    assert kind_of(tmp_path / "absent") is None

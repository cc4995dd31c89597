"""Videos, animations and still pictures are told apart by their headers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest

from avscli.config import ReadOptions
from avscli.errors import MediaError, NoAudioError
from avscli.media.identify import Identity, identify
from avscli.media.probe import probe
from avscli.media.reader import read_clips
from tests.builders import make_video
from tests.unit.media.test_reader import SPEC, clips_of, numbers

ANIMATIONS = {"a.gif": "gif", "a.apng": "apng", "a.avif": "avis"}
STILLS = {
    "a.png": "png_pipe", "a.jpg": "jpeg_pipe", "a.webp": "webp_pipe", "a.avif": "avif",
    "a.bmp": "bmp_pipe", "a.tiff": "tiff_pipe",
}  # fmt: skip


def drawn(path: Path, *, num_frames: int) -> Path:
    """Write the first drawn frames of a video as a picture or an animation."""
    video = make_video(path.with_name("v.mkv"), seconds=0.4, fps=10, size_hw=(64, 96), audio=None)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(video)]
    command += ["-frames:v", str(num_frames), "-update", "1"] if num_frames == 1 else []
    subprocess.run([*command, str(path)], check=True)
    return path


@pytest.mark.parametrize(("name", "container"), ANIMATIONS.items())
def test_an_animation_is_one_and_has_no_sound(tmp_path: Path, name: str, container: str) -> None:
    path = drawn(tmp_path / name, num_frames=4)
    assert identify(path).kind == "animation"
    with pytest.raises(NoAudioError) as caught:
        read_clips(probe(path), SPEC, ReadOptions(), pytest.fail)
    assert str(caught.value) == f"{path} is an animation ({container}), which has no sound"
    assert "--no-audio empty" in caught.value.hint


@pytest.mark.parametrize("name", ANIMATIONS)
def test_every_picture_of_an_animation_is_read_when_asked_for(tmp_path: Path, name: str) -> None:
    clips = clips_of(drawn(tmp_path / name, num_frames=4), no_audio="empty")
    assert numbers(clips) == [0, 1, 2, 3]


@pytest.mark.parametrize(("name", "container"), STILLS.items())
def test_a_still_picture_is_no_video(tmp_path: Path, name: str, container: str) -> None:
    path = drawn(tmp_path / name, num_frames=1)
    assert identify(path) == Identity("still")
    with pytest.raises(MediaError, match="not a video") as caught:
        probe(path)
    assert f"is a still picture or text ({container})" in str(caught.value)
    assert not isinstance(caught.value, NoAudioError)
    assert caught.value.hint


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi", ".flv", ".mov"])
@pytest.mark.parametrize("num_frames", [1, 12])
def test_a_video_is_one_however_short_and_mute(
    tmp_path: Path, suffix: str, num_frames: int
) -> None:
    path = make_video(tmp_path / f"a{suffix}", seconds=num_frames / 30, audio=None)
    assert identify(path).kind == "video"
    assert probe(path).unheard is None


def test_the_declared_length_comes_along(tmp_path: Path) -> None:
    assert identify(make_video(tmp_path / "a.mp4", seconds=2)).seconds == pytest.approx(2)


def test_text_and_sound_are_no_videos(tmp_path: Path) -> None:
    text, sound = tmp_path / "a.txt", tmp_path / "a.wav"
    text.write_text("These are words and not a video.\n" * 50)
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "sine=d=1", sound],
        check=True,
    )
    assert identify(text).kind == "still"
    with pytest.raises(MediaError, match="has no video stream"):
        identify(sound)

"""What `probe` says about good files, and how it refuses the others."""

import os
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from avscli.datatypes import Orientation
from avscli.errors import MediaError, UsageError
from avscli.media.probe import probe
from tests.broken_streams import copied
from tests.builders import drawn_frame, make_video, tone, truncated_copy


def test_a_plain_file_is_described(tmp_path: Path) -> None:
    media = probe(make_video(tmp_path / "a.mp4", seconds=2, fps=Fraction(30000, 1001)))
    assert (media.video_codec, media.pixel_format) == ("h264", "yuv420p")
    assert (media.height, media.width, media.orientation) == (120, 160, Orientation())
    assert media.frame_rate == Fraction(30000, 1001)
    assert media.num_frames == 60
    assert media.duration_seconds == pytest.approx(60 * 1001 / 30000)
    assert media.start_seconds == 0.0
    assert media.sample_aspect_ratio == 1
    assert not media.interlaced
    assert media.audio is not None
    assert (media.audio.codec, media.audio.sample_rate_hz) == ("aac", 44_100)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_size_and_aspect_are_those_after_rotation(tmp_path: Path, rotation: int) -> None:
    path = make_video(
        tmp_path / "r.mp4",
        rotation=rotation,
        size_hw=(96, 160),
        sample_aspect_ratio=Fraction(4, 3),
    )
    media = probe(path)
    assert (media.height, media.width) == (96, 160)
    assert media.orientation == Orientation(rotation)
    assert media.sample_aspect_ratio == (
        Fraction(3, 4) if rotation in (90, 270) else Fraction(4, 3)
    )


def _from_the_container(folder: Path, suffix: str, turn: int, *, mirrored: bool) -> Path:
    made = make_video(
        folder / "a.mp4", seconds=0.1, rotation=turn, mirrored=mirrored, size_hw=(96, 160)
    )
    return made if suffix == ".mp4" else copied(made, folder / f"a{suffix}")


def _from_the_bit_stream(folder: Path, suffix: str, turn: int, *, mirrored: bool) -> Path:
    made = make_video(folder / "plain.mp4", seconds=0.1, size_hw=(96, 160))
    flip = ":flip=horizontal" * mirrored
    inserted = f"h264_metadata=display_orientation=insert{flip}:rotate={turn}"
    return copied(made, folder / f"sei{suffix}", "-bsf:v", inserted)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(
    ("build", "suffix"),
    [
        (_from_the_container, ".mp4"),
        (_from_the_container, ".mov"),
        (_from_the_container, ".mkv"),
        (_from_the_bit_stream, ".ts"),
        (_from_the_bit_stream, ".mkv"),
    ],
)
def test_a_picture_lies_as_the_ffmpeg_program_shows_it(
    tmp_path: Path, rotation: int, mirrored: bool, build: Callable[..., Path], suffix: str
) -> None:
    path = build(tmp_path, suffix, rotation, mirrored=mirrored)
    media = probe(path)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path)]
    command += ["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    shown = subprocess.run(command, capture_output=True, check=True).stdout
    picture = np.frombuffer(shown, np.uint8).reshape(media.height, media.width, 3)
    with av.open(str(path)) as container:
        stored = next(container.decode(video=0)).to_ndarray(format="rgb24")
    difference = media.orientation.applied_to(stored).astype(int) - picture
    assert np.abs(difference).mean() < 4
    if build is _from_the_container:
        assert media.orientation == Orientation(rotation, mirrored=mirrored)
        assert np.abs(picture.astype(int) - drawn_frame(0, (96, 160))).mean() < 8


def test_an_unknown_number_of_frames_is_none(tmp_path: Path) -> None:
    assert probe(make_video(tmp_path / "a.mkv")).num_frames is None


def test_odd_sizes_ten_bit_and_interlacing_are_seen(tmp_path: Path) -> None:
    odd = probe(make_video(tmp_path / "odd.mkv", size_hw=(121, 161), pix_fmt="yuv444p"))
    assert (odd.height, odd.width) == (121, 161)
    deep = probe(make_video(tmp_path / "deep.mkv", pix_fmt="yuv420p10le"))
    assert deep.pixel_format == "yuv420p10le"
    assert probe(make_video(tmp_path / "tv.mkv", interlaced=True)).interlaced


def test_start_offsets_of_picture_and_sound_are_kept(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", start_offset_seconds=0.5, audio_start_seconds=0.25)
    media = probe(path)
    assert media.start_seconds == pytest.approx(0.5)
    assert media.audio is not None
    assert media.audio.start_seconds == pytest.approx(0.25)


def test_the_chosen_audio_track_is_described(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", audio=[tone(440), tone(880)], layout="stereo")
    media = probe(path, audio_track=1)
    assert media.num_audio_tracks == 2
    assert media.audio is not None
    assert (media.audio.track, media.audio.num_channels) == (1, 2)


def test_a_missing_audio_track_is_a_usage_error_that_counts_them(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", audio=[tone(440), tone(880)])
    with pytest.raises(UsageError, match=r"--audio-track 2 does not exist: .* has 2"):
        probe(path, audio_track=2)


def test_no_audio_is_none_whatever_track_is_asked_for(tmp_path: Path) -> None:
    media = probe(make_video(tmp_path / "a.mp4", audio=None), audio_track=3)
    assert media.audio is None
    assert media.num_audio_tracks == 0


def test_cover_art_is_not_taken_for_video(tmp_path: Path) -> None:
    video = make_video(tmp_path / "v.mp4", seconds=0.1, codec="mjpeg", pix_fmt="yuvj420p")
    cover = tmp_path / "song.m4a"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(video), "-map", "0"]
    command += ["-c", "copy", "-frames:v", "1", "-disposition:v", "attached_pic", "-f", "mp4"]
    subprocess.run([*command, str(cover)], check=True)
    with pytest.raises(MediaError, match="no video stream"):
        probe(cover)


def _missing(folder: Path) -> Path:
    return folder / "nowhere.mp4"


def _directory(folder: Path) -> Path:
    return folder


def _empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def _text(folder: Path) -> Path:
    (folder / "text.mp4").write_text("These are words and not a video.\n" * 50)
    return folder / "text.mp4"


def _without_index(folder: Path) -> Path:
    return truncated_copy(make_video(folder / "whole.mp4"), folder / "cut.mp4", 0.5)


def _sound_only(folder: Path) -> Path:
    path = folder / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    return path


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.mp4")
    return folder / "pipe.mp4"


def _noise_inside(folder: Path) -> Path:
    path = make_video(folder / "noise.mkv", audio=None)
    data = bytearray(path.read_bytes())
    data[700:] = np.random.default_rng(0).bytes(len(data) - 700)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (_missing, "No such file"),
        (_directory, "is a directory"),
        (_empty, "is empty"),
        (_text, "cannot read .* as a media file"),
        (_without_index, "cannot read .* as a media file"),
        (_sound_only, "has no video stream"),
        (_pipe, "not a regular file"),
        (_noise_inside, "no frame of .* can be decoded"),
    ],
)
def test_what_cannot_be_probed_is_refused_in_one_line_with_a_hint(
    tmp_path: Path, build: object, says: str
) -> None:
    assert callable(build)
    with pytest.raises(MediaError, match=says) as caught:
        probe(build(tmp_path))
    assert caught.value.exit_code == 3
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_device_is_refused() -> None:
    with pytest.raises(MediaError, match="not a regular file"):
        probe(Path("/dev/zero"))


def test_a_name_that_looks_like_a_protocol_is_only_a_name(tmp_path: Path) -> None:
    path = make_video(tmp_path / "plain.mp4").rename(tmp_path / "concat:a|b.mp4")
    assert probe(path).num_frames == 30

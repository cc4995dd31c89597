"""Whole-file jobs: what they write, and that they leave nothing behind when they fail."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avscli.errors import MediaError, OutputError
from avscli.media.ffmpeg_jobs import mux, remux
from avscli.media.probe import probe
from avscli.media.sound import MonoSound
from tests.builders import drawn_frame, frame_number, make_video

RATE = 16_000
SIZE = (96, 160)


def drawn(count: int) -> Iterator[np.ndarray]:
    return (drawn_frame(number, SIZE) for number in range(count))


def click(at_seconds: float, seconds: float) -> np.ndarray:
    samples = np.zeros(round(seconds * RATE), np.float32)
    samples[round(at_seconds * RATE)] = 0.9
    return samples


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def test_muxed_pictures_and_sound_are_the_given_ones_in_time(tmp_path: Path) -> None:
    target = tmp_path / "demo.mp4"
    fps = Fraction(30000, 1001)
    mux(drawn(60), click(1.25, 2.0), target, fps=fps, sample_rate_hz=RATE)
    media = probe(target)
    assert (media.video_codec, media.pixel_format) == ("h264", "yuv420p")
    assert (media.height, media.width, media.frame_rate) == (*SIZE, fps)
    assert media.audio is not None
    assert (media.audio.codec, media.audio.num_channels) == ("aac", 1)
    with av.open(str(target)) as container:
        frames = list(container.decode(video=0))
    assert [frame_number(f.to_ndarray(format="rgb24")) for f in frames] == list(range(60))
    assert [f.pts * f.time_base for f in frames] == [k / fps for k in range(60)]
    sound = MonoSound(media, pytest.fail)
    heard = sound.stretch(0.0, 2.0)
    sound.close()
    assert int(np.argmax(np.abs(heard.samples))) / RATE == pytest.approx(1.25, abs=0.001)
    data = target.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert [path.name for path in tmp_path.iterdir()] == ["demo.mp4"]


def test_no_frame_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        mux([], click(0, 1), tmp_path / "a.mp4", fps=Fraction(30), sample_rate_hz=RATE)


def test_an_error_among_the_frames_leaves_nothing_behind(tmp_path: Path) -> None:
    def failing() -> Iterator[np.ndarray]:
        yield from drawn(5)
        raise RuntimeError("scene broke")

    with pytest.raises(RuntimeError, match="scene broke"):
        mux(failing(), click(0, 1), tmp_path / "a.mp4", fps=Fraction(30), sample_rate_hz=RATE)
    assert list(tmp_path.iterdir()) == []


def test_what_the_program_complains_about_is_an_output_error(tmp_path: Path) -> None:
    odd = (np.zeros((33, 35, 3), np.uint8) for _ in range(50))
    with pytest.raises(OutputError, match=r"cannot write .*a\.mp4"):
        mux(odd, click(0, 1), tmp_path / "a.mp4", fps=Fraction(30), sample_rate_hz=RATE)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    target = tmp_path / "no" / "a.mp4"
    with pytest.raises(OutputError, match="No such file"):
        mux(drawn(2), click(0, 1), target, fps=Fraction(30), sample_rate_hz=RATE)


def test_remuxing_copies_the_packets(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.avi", codec="mpeg4")
    target = tmp_path / "a.mkv"
    remux(source, target)
    assert packets(target) == packets(source)
    assert probe(target).audio is not None


def test_what_the_program_cannot_read_either_is_a_media_error(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video\n")
    with pytest.raises(MediaError, match=r"either: .*Invalid data") as caught:
        remux(text, tmp_path / "a.mkv")
    assert caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["text.mp4"]

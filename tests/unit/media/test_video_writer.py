"""The overlay keeps time, sound and geometry of its source, and notices when it does not."""

from array import array
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Thread

import av
import numpy as np
import pytest

from avscli.config import ReadOptions
from avscli.datatypes import MediaInfo
from avscli.errors import ExtraOutputError, OutputError
from avscli.media.probe import probe
from avscli.media.sound import MonoSound
from avscli.media.video_writer import OverlayFrame, OverlayWriter, WrittenVideo, verify_video
from tests.builders import drawn_frame, frame_number, impulse, is_upright, make_video, tone


def transcribe(
    source: Path, *, audio_track: int = 0, blend: object = None, **range_options: float
) -> Path:
    """Write the overlay of `source`, changing each frame with `blend`, and return its path."""
    target = source.parent / "overlay.mp4"
    media = probe(source, audio_track=audio_track)
    with OverlayWriter(media, target, ReadOptions(**range_options), pytest.fail) as writer:
        for frame in writer.frames():
            if callable(blend):
                blend(frame)
            writer.write(frame)
    return target


def frame_times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def sound_packets(path: Path, track: int = 0) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        packets = container.demux(audio=track)
        return [(p.pts * p.time_base, bytes(p)) for p in packets if p.dts is not None]


# --- time -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts"])
@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_frame_timestamps_equal_those_of_the_source(
    tmp_path: Path, suffix: str, b_frames: int, offset: float
) -> None:
    source = make_video(
        tmp_path / f"a{suffix}",
        fps=Fraction(30000, 1001),
        b_frames=b_frames,
        start_offset_seconds=offset,
    )
    target = transcribe(source)
    assert frame_times(target) == frame_times(source)
    assert [frame_number(p) for p in pictures(target)] == list(range(30))


def test_variable_frame_rate_is_kept(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, 0.5, 0.54, 1.9, 1.95, 2.0]
    source = make_video(tmp_path / "a.mp4", pts_seconds=times, seconds=2.1)
    assert frame_times(transcribe(source)) == frame_times(source)


def test_a_start_that_milliseconds_cannot_hold_is_kept(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.ts", start_offset_seconds=1 / 7)
    target = transcribe(source)
    assert frame_times(target)[0] == frame_times(source)[0]
    assert frame_times(source)[0] * 1000 % 1 != 0


def test_a_start_before_zero_moves_picture_and_sound_together(tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "a.ts",
        start_offset_seconds=-0.3,
        audio_start_seconds=-0.3,
        audio=impulse(0.2, width_seconds=0.01),
    )
    before, after = frame_times(source), frame_times(transcribe(source))
    assert before[0] < 0
    assert after == [time - before[0] for time in before]
    clicks = [click_seconds(path) for path in (source, tmp_path / "overlay.mp4")]
    assert clicks[1] - clicks[0] == pytest.approx(float(-before[0]), abs=0.001)


def test_a_range_keeps_source_times_and_only_its_sound(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", fps=10, seconds=3)
    target = transcribe(source, start_seconds=1.0, end_seconds=2.0)
    assert frame_times(target) == frame_times(source)[10:20]
    assert sound_packets(target) == [p for p in sound_packets(source) if 1 <= p[0] < 2]


# --- sound ----------------------------------------------------------------------------------


def click_seconds(path: Path) -> float:
    sound = MonoSound(probe(path), pytest.fail)
    track = sound.stretch(-1.0, 3.0)
    sound.close()
    return track.start_seconds + int(np.argmax(np.abs(track.samples))) / 16_000


@pytest.mark.parametrize(
    ("suffix", "codec", "rate"),
    [
        (".mp4", "aac", 44_100),
        (".mkv", "aac", 44_100),
        (".mp4", "libmp3lame", 48_000),
        (".mkv", "libopus", 48_000),
        (".mkv", "flac", 96_000),
        (".mp4", "ac3", 48_000),
    ],
)
def test_sound_is_copied_packet_for_packet(
    tmp_path: Path, suffix: str, codec: str, rate: int
) -> None:
    source = make_video(
        tmp_path / f"a{suffix}", audio_codec=codec, sample_rate=rate, layout="stereo"
    )
    before, after = sound_packets(source), sound_packets(transcribe(source))
    assert [data for _, data in after] == [data for _, data in before]
    tick = 1 / Fraction(rate)
    assert all(abs(a[0] - b[0]) <= tick for a, b in zip(after, before, strict=True))


def test_copied_sound_that_starts_later_or_earlier_keeps_its_place(tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "a.mp4",
        start_offset_seconds=0.4,
        audio_start_seconds=0.2,
        audio=impulse(0.9, width_seconds=0.01),
        sample_rate=48_000,
    )
    assert click_seconds(transcribe(source)) == pytest.approx(0.9, abs=0.001)


def test_sound_from_a_transport_stream_is_copied_without_its_wrapping(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.ts", audio=impulse(0.5, width_seconds=0.01))
    before, after = sound_packets(source), sound_packets(transcribe(source))
    assert [data for _, data in after] == [data[7:] for _, data in before]  # ADTS header: 7 bytes
    assert click_seconds(tmp_path / "overlay.mp4") == pytest.approx(click_seconds(source), abs=1e-3)


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
def test_sound_mp4_players_cannot_read_becomes_aac_in_place(
    tmp_path: Path, layout: str, rate: int
) -> None:
    source = make_video(
        tmp_path / "a.mkv",
        audio=impulse(0.6, width_seconds=0.01),
        audio_start_seconds=0.3,
        layout=layout,
        sample_rate=rate,
    )
    target = transcribe(source)
    audio = probe(target).audio
    assert audio is not None
    assert audio.codec == "aac"
    assert audio.sample_rate_hz == (48_000 if rate > 48_000 else rate)
    assert audio.num_channels == (1 if layout == "mono" else 2)
    smear = 0.008 if rate == 8_000 else 0.001  # at 8 kHz a block of AAC lasts 128 ms
    assert click_seconds(target) == pytest.approx(0.6, abs=smear)


def test_gaps_in_encoded_sound_are_filled_with_silence(tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "a.mkv", audio=impulse(0.8, width_seconds=0.01), audio_gap_seconds=(0.2, 0.6)
    )
    assert click_seconds(transcribe(source)) == pytest.approx(0.8, abs=0.002)


def test_the_chosen_track_is_the_one_kept(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", audio=[tone(440), tone(880)])
    target = transcribe(source, audio_track=1)
    with av.open(str(target)) as container:
        assert len(container.streams.audio) == 1
    assert [d for _, d in sound_packets(target)] == [d for _, d in sound_packets(source, track=1)]


def test_a_source_without_sound_gives_a_video_without_sound(tmp_path: Path) -> None:
    target = transcribe(make_video(tmp_path / "a.mp4", audio=None))
    assert probe(target).audio is None


# --- pixels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("size_hw", [(96, 160), (97, 161), (96, 161)])
def test_rotation_is_applied_and_odd_sides_are_padded(
    tmp_path: Path, rotation: int, size_hw: tuple[int, int]
) -> None:
    source = make_video(
        tmp_path / "a.mkv", size_hw=size_hw, rotation=rotation, pix_fmt="yuv444p", seconds=0.2
    )
    height, width = size_hw
    media = probe(transcribe(source))
    assert (media.height, media.width) == (height + height % 2, width + width % 2)
    assert media.orientation.is_upright
    for number, picture in enumerate(pictures(tmp_path / "overlay.mp4")):
        assert is_upright(picture)
        assert frame_number(picture[:height, :width]) == number
        expected = drawn_frame(number, size_hw).astype(int)
        assert np.abs(picture[:height, :width] - expected).mean() < 8


def test_an_odd_side_repeats_its_last_row_and_column(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mkv", size_hw=(97, 161), pix_fmt="yuv444p", seconds=0.1)

    def whiten_the_edge(frame: OverlayFrame) -> None:
        assert frame.y.shape == (97, 161)
        assert frame.u.shape == frame.v.shape == (49, 81)
        frame.y[-1], frame.y[:, -1] = 235, 235

    picture = pictures(transcribe(source, blend=whiten_the_edge))[0].astype(int)
    assert np.abs(picture[97, :160] - picture[96, :160]).mean() < 6
    assert np.abs(picture[:, 161] - picture[:, 160]).mean() < 6


@pytest.mark.parametrize("rotation", [0, 90])
def test_blending_changes_the_frame_it_is_done_to_and_no_other(
    tmp_path: Path, rotation: int
) -> None:
    source = make_video(tmp_path / "a.mp4", rotation=rotation, size_hw=(96, 160), b_frames=2)

    def green_corner_every_fifth(frame: OverlayFrame) -> None:
        assert frame.y.flags.writeable
        if frame.stamp.index % 5 == 0:
            frame.y[:32, :48], frame.u[:16, :24], frame.v[:16, :24] = 145, 54, 34

    for number, picture in enumerate(pictures(transcribe(source, blend=green_corner_every_fifth))):
        corner = picture[4:28, 4:44].mean((0, 1))
        is_green = corner[1] > corner[0] + 100
        assert is_green == (number % 5 == 0)
        assert frame_number(picture) == number


@pytest.mark.parametrize(
    ("pix_fmt", "codec"),
    [("yuv420p10le", "libx264"), ("yuvj420p", "mjpeg"), ("bgr0", "ffv1"), ("gray", "ffv1")],
)
def test_every_pixel_format_becomes_8_bit_yuv420p_of_the_same_colours(
    tmp_path: Path, pix_fmt: str, codec: str
) -> None:
    source = make_video(tmp_path / "a.mkv", pix_fmt=pix_fmt, codec=codec, seconds=0.2)
    target = transcribe(source)
    media = probe(target)
    assert (media.video_codec, media.pixel_format) == ("h264", "yuv420p")
    before, after = pictures(source)[3].astype(int), pictures(target)[3].astype(int)
    assert np.abs(after - before).mean() < 5


def test_pixel_aspect_and_colour_tags_are_kept(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", sample_aspect_ratio=Fraction(4, 3), seconds=0.1)
    tagged = tmp_path / "tagged.mp4"
    with av.open(str(source)) as given, av.open(str(tagged), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for name, value in (("color_range", 1), ("colorspace", 9), ("color_primaries", 9)):
            setattr(stream.codec_context, name, value)
        stream.codec_context.color_trc = 16
        for frame in given.decode(video=0):
            out.mux(stream.encode(frame.reformat(format="yuv420p")))
        out.mux(stream.encode(None))
    target = transcribe(tagged)
    assert probe(target).sample_aspect_ratio == Fraction(4, 3)
    with av.open(str(target)) as container:
        frame = next(container.decode(video=0))
    tags = (frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc)
    assert tags == (1, 9, 9, 16)


def test_pixel_aspect_turns_with_the_picture(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", sample_aspect_ratio=Fraction(4, 3), rotation=90)
    assert probe(transcribe(source)).sample_aspect_ratio == Fraction(3, 4)


# --- the file -------------------------------------------------------------------------------


def test_the_index_stands_in_front(tmp_path: Path) -> None:
    data = transcribe(make_video(tmp_path / "a.mp4")).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_it_can_be_used_from_another_thread(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4")
    worker = Thread(target=transcribe, args=(source,))
    worker.start()
    worker.join(timeout=20)
    assert len(frame_times(tmp_path / "overlay.mp4")) == 30


def write_all(media: MediaInfo, target: Path) -> None:
    with OverlayWriter(media, target, ReadOptions(), pytest.fail) as writer:
        for frame in writer.frames():
            writer.write(frame)


def test_an_error_inside_removes_the_file_and_closes_the_source(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4")

    def fail_at_ten(frame: OverlayFrame) -> None:
        if frame.stamp.index == 10:
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        transcribe(source, blend=fail_at_ten)
    assert not (tmp_path / "overlay.mp4").exists()
    opened = [link.readlink().name for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert not {"a.mp4", "overlay.mp4"} & set(opened)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_is_an_output_error(tmp_path: Path) -> None:
    target = tmp_path / "overlay.mp4"
    target.symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"cannot write .*No space left on device") as caught:
        write_all(probe(make_video(tmp_path / "a.mp4")), target)
    assert caught.value.exit_code == 7
    assert caught.value.hint


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        write_all(probe(make_video(tmp_path / "a.mp4")), tmp_path / "no" / "overlay.mp4")


def written(path: Path) -> WrittenVideo:
    times = array("q", range(30))
    return WrittenVideo(120, 160, times, Fraction(1, 30), has_audio=True)


def test_a_finished_file_that_is_right_passes(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", b_frames=2)
    verify_video(path, written(path))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"height": 122}, "instead of"),
        ({"has_audio": False}, "it has sound"),
        ({"times": array("q", range(31))}, "30 of 31 frames"),
        ({"times": array("q", [*range(29), 30])}, "frame 29 stands at 29 instead of 30"),
    ],
)
def test_a_finished_file_that_differs_is_refused(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    path = make_video(tmp_path / "a.mp4")
    with pytest.raises(ExtraOutputError, match=says):
        verify_video(path, replace(written(path), **change))


def test_a_finished_file_without_its_sound_or_end_is_refused(tmp_path: Path) -> None:
    silent = make_video(tmp_path / "silent.mp4", audio=None)
    with pytest.raises(ExtraOutputError, match="its sound is missing"):
        verify_video(silent, written(silent))
    silent.write_bytes(silent.read_bytes()[:2000])
    with pytest.raises(ExtraOutputError, match="cannot be read back"):
        verify_video(silent, written(silent))

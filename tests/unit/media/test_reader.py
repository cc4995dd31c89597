"""Which frames are read, when they stand, how they lie, and what sound is around them."""

import math
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avscli.config import ReadOptions
from avscli.datatypes import Clip, FrameStamp, MediaInfo, NetworkSpec, Orientation
from avscli.errors import MediaError, NoAudioError, UsageError
from avscli.media.probe import probe
from avscli.media.reader import interleave, network_frame_size, read_clips
from tests.builders import (
    StreamOrder,
    Waveform,
    frame_number,
    impulse,
    in_all_orders,
    is_upright,
    make_video,
    silence,
    tone,
    truncated_copy,
    write_display_matrix,
)
from tests.odd_recordings import resized

SPEC = NetworkSpec(
    network="test",
    task="binary",
    clip_length=1,
    seconds_per_step=1.0,
    frame_size_hw=(64, 64),
    pixel_mean=(0.0, 0.0, 0.0),
    pixel_std=(1.0, 1.0, 1.0),
    resize_mode="squash",
    num_classes=1,
    class_names=("sounding",),
    padding="repeat_last",
)


def clips_of(path: Path, *, spec: NetworkSpec = SPEC, **options: object) -> list[Clip]:
    return list(read_clips(probe(path), spec, ReadOptions(**options), pytest.fail))


def picture(clip: Clip, step: int = 0) -> np.ndarray:
    return clip.frames[step].transpose(1, 2, 0)


def numbers(clips: list[Clip]) -> list[int]:
    return [frame_number(picture(clip)) for clip in clips]


def stamps(clips: list[Clip]) -> list[FrameStamp]:
    frames = sorted((f for c in clips for f in c.analysed), key=lambda f: f.sequence)
    return [stamp for frame in frames for stamp in (frame.stamp, *frame.held)]


def decoded_pts(path: Path) -> list[int | None]:
    with av.open(str(path)) as container:
        return [frame.pts for frame in container.decode(video=0)]


# --- time -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "order"), in_all_orders(".mp4", ".mkv", ".mov", ".ts", ".nut", ".avi", ".flv")
)
@pytest.mark.parametrize("b_frames", [0, 3])
@pytest.mark.parametrize("num_frames", [1, 3, 30])
def test_every_frame_comes_once_in_order_with_its_own_timestamp(
    tmp_path: Path, suffix: str, order: StreamOrder, b_frames: int, num_frames: int
) -> None:
    path = make_video(
        tmp_path / f"a{suffix}",
        seconds=num_frames / 30,
        fps=Fraction(30000, 1001),
        b_frames=b_frames,
        stream_order=order,
    )
    clips = clips_of(path)
    assert numbers(clips) == list(range(num_frames))
    assert [s.index for s in stamps(clips)] == list(range(num_frames))
    assert [s.pts for s in stamps(clips)] == decoded_pts(path)


def test_variable_frame_rate_keeps_the_true_times(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, 0.5, 0.54, 1.9, 1.95, 2.0]
    clips = clips_of(make_video(tmp_path / "a.mp4", pts_seconds=times, seconds=2.1))
    assert [s.pts_seconds for s in stamps(clips)] == pytest.approx(times, abs=1e-4)
    assert numbers(clips) == list(range(8))


def test_2997_does_not_drift(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.mp4", seconds=20, fps=Fraction(30000, 1001), size_hw=(32, 32), audio=silence
    )
    last = stamps(clips_of(path, fps=1.0))[-1]
    assert last.index == 598
    assert last.pts_seconds == pytest.approx(598 * 1001 / 30000, abs=1e-9)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_start_offset_is_part_of_the_frame_times_but_not_of_the_range(
    tmp_path: Path, suffix: str
) -> None:
    path = make_video(tmp_path / f"a{suffix}", start_offset_seconds=0.5, fps=10)
    found = stamps(clips_of(path, start_seconds=0.3, end_seconds=0.6))
    assert [s.index for s in found] == [3, 4, 5]
    assert [s.pts_seconds for s in found] == pytest.approx([0.8, 0.9, 1.0])


def test_frames_without_timestamps_follow_each_other_at_the_nominal_rate(tmp_path: Path) -> None:
    bare = make_video(tmp_path / "a.h264", audio=None, fps=25, b_frames=2)
    assert decoded_pts(bare) == [None] * 25
    clips = clips_of(bare, no_audio="empty")
    assert numbers(clips) == list(range(25))
    assert [s.pts_seconds for s in stamps(clips)] == pytest.approx([k / 25 for k in range(25)])


def test_timestamps_that_stand_still_are_made_to_rise(tmp_path: Path) -> None:
    # Times before zero, which Matroska cannot hold, come out as None, None, None, 0, 33, 67 …
    path = make_video(tmp_path / "a.mkv", start_offset_seconds=-0.1)
    assert decoded_pts(path)[:4] == [None, None, None, 0]
    found = stamps(clips_of(path))
    assert all(b.pts > a.pts for a, b in pairwise(found))
    assert [s.pts for s in found[6:]] == decoded_pts(path)[6:]


# --- selection ------------------------------------------------------------------------------


def test_ranges_are_half_open_and_partition_the_file(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", fps=10)
    early = stamps(clips_of(path, end_seconds=0.4))
    late = stamps(clips_of(path, start_seconds=0.4))
    assert [s.index for s in early + late] == list(range(10))
    assert late[0].index == 4


def test_a_range_past_the_end_is_a_usage_error(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4")
    with pytest.raises(UsageError, match=r"no frame of .* range from 5 s") as caught:
        clips_of(path, start_seconds=5)
    assert "0.967 s" in caught.value.hint


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("fps", [1.0, 4.0, 7.5, 29.97, 30.0, 100.0])
def test_frames_that_first_reach_a_tick_are_analysed_and_the_rest_are_held(
    tmp_path: Path, suffix: str, fps: float
) -> None:
    path = make_video(tmp_path / f"a{suffix}", seconds=2, size_hw=(32, 32))
    clips = clips_of(path, fps=fps)
    assert [s.index for s in stamps(clips)] == list(range(60))
    analysed = [frame.stamp.index for clip in clips for frame in clip.analysed]
    exact, next_tick = [], 0
    for stamp in stamps(clips):  # 0.6 ms is allowed for because Matroska rounds to 1 ms
        tick = (Fraction(stamp.pts_seconds) + Fraction(6, 10_000)) * Fraction(fps) // 1
        if tick >= next_tick:
            exact.append(stamp.index)
            next_tick = tick + 1
    assert analysed == exact
    assert numbers(clips) == exact


def test_ticks_count_from_the_start_of_the_range(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", fps=10, seconds=2)
    clips = clips_of(path, fps=2.0, start_seconds=0.3)
    assert [f.stamp.index for c in clips for f in c.analysed] == [3, 8, 13, 18]


def test_a_frame_stands_for_all_that_it_holds_for(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", fps=10, seconds=2)
    every, fourth = clips_of(path), clips_of(path, fps=2.5)
    assert every[5].analysed[0].stands_for == pytest.approx((-0.1, 0.1))
    assert fourth[2].analysed[0].stands_for == pytest.approx((-0.1, 0.3 + 0.1))


# --- clips ----------------------------------------------------------------------------------


def three_steps(padding: str = "repeat_last") -> NetworkSpec:
    return replace(SPEC, clip_length=3, padding=padding)


def test_steps_of_a_clip_are_one_second_apart_and_every_frame_is_in_one_clip(
    tmp_path: Path,
) -> None:
    path = make_video(tmp_path / "a.mp4", fps=5, seconds=6)
    clips = clips_of(path, spec=three_steps())
    members = [[f.stamp.index for f in clip.analysed] for clip in clips]
    assert members == [[k, k + 5, k + 10] for k in (*range(5), *range(15, 20))]
    for clip, indices in zip(clips, members, strict=True):
        assert [frame_number(picture(clip, step)) for step in range(3)] == indices
        assert [f.sequence for f in clip.analysed] == indices


@pytest.mark.parametrize("padding", ["repeat_last", "zeros_with_flag"])
def test_the_last_clip_is_padded_as_the_spec_says(tmp_path: Path, padding: str) -> None:
    path = make_video(tmp_path / "a.mp4", fps=2, seconds=2)
    clips = clips_of(path, spec=three_steps(padding))
    assert [clip.valid.tolist() for clip in clips] == [[True, True, False]] * 2
    for clip in clips:
        expected = clip.frames[1] if padding == "repeat_last" else np.zeros_like(clip.frames[1])
        assert np.array_equal(clip.frames[2], expected)


@given(
    gaps=st.lists(st.floats(0.001, 0.9), max_size=60),
    clip_length=st.integers(1, 10),
    step=st.sampled_from([0.5, 1.0, 2.0]),
)
def test_interleaving_deals_every_frame_once_in_order(
    gaps: list[float], clip_length: int, step: float
) -> None:
    times = [t for t in np.cumsum([3.0, *gaps]).tolist() if t < 3.0 + clip_length * step]
    dealt = interleave(times, clip_length, step)
    assert sorted(i for clip in dealt for i in clip) == list(range(len(times)))
    for clip in dealt:
        assert 1 <= len(clip) <= clip_length
        assert list(clip) == sorted(clip)


# --- pixels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize(
    ("suffix", "mirrored"), [(".mp4", False), (".mp4", True), (".mov", True), (".mkv", False)]
)
def test_turned_and_mirrored_files_are_handed_out_upright(
    tmp_path: Path, rotation: int, suffix: str, mirrored: bool
) -> None:
    path = make_video(
        tmp_path / f"a{suffix}",
        rotation=rotation,
        mirrored=mirrored,
        size_hw=(96, 160),
        seconds=0.2,
    )
    clips = clips_of(path, spec=replace(SPEC, frame_size_hw=(64, 128)))
    assert clips[0].frames.shape == (1, 3, 64, 128)
    assert all(is_upright(picture(clip)) for clip in clips)
    assert numbers(clips) == list(range(6))


def test_a_slant_is_rounded_to_a_quarter_turn_and_told_once(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", size_hw=(96, 160), seconds=0.2)
    cos, sin = math.cos(math.radians(60)), math.sin(math.radians(60))
    write_display_matrix(path, (cos, sin, -sin, cos))
    told: list[str] = []
    clips = list(read_clips(probe(path), SPEC, ReadOptions(), told.append))
    assert told == ["a.mp4 asks to be shown at a slant; it is turned by 90°, and -30° are left out"]
    assert is_upright(np.rot90(picture(clips[0])))


@pytest.mark.parametrize(
    ("suffix", "codec", "sizes_hw"),
    [
        (".ts", "libx264", [(48, 64), (96, 128), (64, 48)]),
        (".mkv", "mjpeg", [(48, 64), (24, 32)]),
        (".webm", "libvpx-vp9", [(48, 64), (96, 64)]),
        (".webm", "libvpx", [(64, 64), (48, 96), (64, 64)]),
    ],
)
def test_a_picture_that_changes_its_size_is_scaled_to_the_first_and_told_once(
    tmp_path: Path, suffix: str, codec: str, sizes_hw: list[tuple[int, int]]
) -> None:
    path = resized(tmp_path / f"a{suffix}", codec, sizes_hw)
    media = probe(path)
    told: list[str] = []
    clips = list(read_clips(media, SPEC, ReadOptions(no_audio="empty"), told.append))
    assert (media.height, media.width) == sizes_hw[0]
    assert numbers(clips) == list(range(5 * len(sizes_hw)))
    assert all(is_upright(picture(clip)) for clip in clips)
    (first_height, first_width), (height, width) = sizes_hw[:2]
    change = f"changes from {first_width}×{first_height} to {width}×{height} at "
    assert [change in line for line in told] == [True]


@pytest.mark.parametrize(
    ("size_hw", "pix_fmt", "codec"),
    [
        ((121, 161), "yuv444p", "libx264"),
        ((121, 161), "yuv420p", "libvpx-vp9"),
        ((120, 160), "yuv420p10le", "libx264"),
        ((120, 160), "yuv422p10le", "prores_ks"),
        ((33, 35), "yuv420p", "mpeg4"),
        ((120, 160), "gray", "ffv1"),
    ],
)
def test_odd_sizes_and_deep_pixels_are_read(
    tmp_path: Path, size_hw: tuple[int, int], pix_fmt: str, codec: str
) -> None:
    path = make_video(tmp_path / "a.mkv", size_hw=size_hw, pix_fmt=pix_fmt, codec=codec)
    clips = clips_of(path)
    assert numbers(clips) == list(range(30))
    assert pix_fmt == "gray" or is_upright(picture(clips[0]))


def test_pixels_agree_with_the_ffmpeg_program(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", seconds=0.1, size_hw=(240, 320))
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-frames:v", "1"]
    command += ["-vf", "scale=64:64:flags=area", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    expected = np.frombuffer(raw, np.uint8).reshape(64, 64, 3)
    difference = np.abs(picture(clips_of(path)[0]).astype(int) - expected)
    assert difference.mean() < 0.5
    assert difference.max() < 16  # where colours meet the program sites chroma differently


def media(size_hw: tuple[int, int], aspect: Fraction = Fraction(1)) -> MediaInfo:
    return MediaInfo(
        Path("a.mp4"), Path("a.mp4"), "mp4", "h264", *size_hw, Fraction(30), None, 1.0, 0.0,
        Orientation(), aspect, "yuv420p", False, None, 0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("size_hw", "aspect", "expected"),
    [
        ((1080, 1080), Fraction(1), (224, 224)),
        ((1080, 1920), Fraction(1), (160, 288)),
        ((1920, 1080), Fraction(1), (288, 160)),
        ((480, 640), Fraction(1), (192, 256)),
        ((576, 720), Fraction(64, 45), (160, 288)),  # 16:9 PAL
        ((100, 10_000), Fraction(1), (32, 1568)),
    ],
)
def test_keep_aspect_follows_the_picture_as_it_is_seen(
    size_hw: tuple[int, int], aspect: Fraction, expected: tuple[int, int]
) -> None:
    spec = replace(SPEC, frame_size_hw=(224, 224), resize_mode="keep_aspect")
    assert network_frame_size(media(size_hw, aspect), spec) == expected


def test_squash_takes_the_size_of_the_network() -> None:
    assert network_frame_size(media((1080, 1920)), SPEC) == (64, 64)


# --- sound ----------------------------------------------------------------------------------


def click_offset(clip: Clip) -> float:
    """Seconds from the clip's first frame to the loudest sample around it."""
    peak = clip.audio.start_seconds + int(np.argmax(np.abs(clip.audio.samples))) / 16_000
    return peak - clip.analysed[0].stamp.pts_seconds


@pytest.mark.parametrize("offset", [0.0, 0.5])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_click_lands_in_the_window_of_the_frame_it_belongs_to(
    tmp_path: Path, offset: float, suffix: str
) -> None:
    path = make_video(
        tmp_path / f"a{suffix}",
        seconds=2,
        audio=impulse(1.0, width_seconds=0.004),
        audio_seconds=3,
        start_offset_seconds=offset,
        b_frames=2,
    )
    clips = clips_of(path)
    frame = next(c for c in clips if c.analysed[0].stamp.pts_seconds == pytest.approx(1.0))
    assert click_offset(frame) == pytest.approx(0.0, abs=0.001)
    assert len(frame.audio.samples) in (15_600, 15_601)
    outside = clips[-1]  # stands more than half a window after the click
    assert np.abs(outside.audio.samples).max() < 0.05 if offset else True


def test_sound_of_a_longer_clip_covers_the_windows_of_all_its_frames(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", fps=5, seconds=3, audio=tone(440))
    for clip in clips_of(path, spec=three_steps()):
        first, last = clip.analysed[0].stamp.pts_seconds, clip.analysed[-1].stamp.pts_seconds
        end = clip.audio.start_seconds + len(clip.audio.samples) / 16_000
        assert clip.audio.start_seconds <= first - 0.4875
        assert end >= last + 0.4875


def test_sound_reaches_as_far_as_the_network_hears(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", fps=5, seconds=3, audio=tone(440))
    spec = replace(SPEC, sound_offsets_seconds=(-2.0, 1.0))
    for near, far in zip(clips_of(path), clips_of(path, spec=spec), strict=True):
        lead = round((near.audio.start_seconds - far.audio.start_seconds) * 16_000)
        assert lead in (31_999, 32_000)
        assert len(far.audio.samples) >= len(near.audio.samples) + 2 * 32_000 - 1
        common = far.audio.samples[lead : lead + len(near.audio.samples)]
        np.testing.assert_array_equal(common, near.audio.samples)


def test_no_audio_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", audio=None)
    with pytest.raises(NoAudioError, match="no audio track") as caught:
        read_clips(probe(path), SPEC, ReadOptions(), pytest.fail)
    assert "--no-audio empty" in caught.value.hint
    assert caught.value.exit_code == 4


def test_no_audio_can_be_read_as_silence(tmp_path: Path) -> None:
    clips = clips_of(make_video(tmp_path / "a.mp4", audio=None), no_audio="empty")
    assert len(clips) == 30
    assert all(len(clip.audio.samples) == 0 for clip in clips)


# --- damage ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_cut_file_is_read_to_its_end_and_flagged(tmp_path: Path, suffix: str) -> None:
    whole = make_video(tmp_path / f"a{suffix}", seconds=5, faststart=suffix == ".mp4")
    path = truncated_copy(whole, tmp_path / f"cut{suffix}", 0.6)
    warnings: list[str] = []
    reader = read_clips(probe(path), SPEC, ReadOptions(), warnings.append)
    clips = list(reader)
    assert reader.truncated
    assert 50 < len(clips) < 120
    assert numbers(clips)[:50] == list(range(50))
    assert sum("truncated" in w for w in warnings) == 1


def test_a_whole_file_is_not_called_truncated(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", seconds=1, audio_seconds=4)
    reader = read_clips(probe(path), SPEC, ReadOptions(), pytest.fail)
    assert len(list(reader)) == 30
    assert not reader.truncated


def test_damage_in_the_middle_is_warned_of_once_and_read_past(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", seconds=4, codec="mjpeg", pix_fmt="yuvj420p", audio=None)
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 3, len(data) // 2, 7):
        data[at] ^= 0x5A
    path.write_bytes(data)
    warnings: list[str] = []
    options = ReadOptions(no_audio="empty")
    clips = list(read_clips(probe(path), SPEC, options, warnings.append))
    assert frame_number(picture(clips[-1])) == 119
    assert sum("damaged pictures" in w for w in warnings) == 1


def test_interlaced_sources_are_warned_of_once(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", interlaced=True)
    warnings: list[str] = []
    assert len(list(read_clips(probe(path), SPEC, ReadOptions(), warnings.append))) == 30
    assert ["interlaced" in w for w in warnings] == [True]


def test_a_file_that_loses_every_frame_after_probing_is_a_media_error(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", audio=None)
    described = probe(path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(MediaError):
        list(read_clips(described, SPEC, ReadOptions(no_audio="empty"), lambda _: None))


def test_closing_early_closes_the_file(tmp_path: Path) -> None:
    clips: Iterator[Clip] = iter(
        read_clips(probe(make_video(tmp_path / "a.mp4")), SPEC, ReadOptions(), pytest.fail)
    )
    next(clips)
    opened = [p.readlink().name for p in Path("/proc/self/fd").iterdir() if p.is_symlink()]
    assert "a.mp4" in opened
    clips.close()  # type: ignore[attr-defined]
    opened = [p.readlink().name for p in Path("/proc/self/fd").iterdir() if p.is_symlink()]
    assert "a.mp4" not in opened


@pytest.mark.parametrize(("suffix", "order"), in_all_orders(".ts", ".mkv", ".mp4", ".flv"))
@pytest.mark.parametrize("audio", [None, tone(440)])
def test_noise_over_a_third_of_a_file_is_told_and_costs_only_what_it_covers(
    tmp_path: Path, suffix: str, order: StreamOrder, audio: Waveform | None
) -> None:
    path = make_video(
        tmp_path / f"a{suffix}",
        seconds=9,
        fps=10,
        audio=audio,
        audio_codec="aac",
        faststart=suffix == ".mp4",
        stream_order=order,
    )
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(1)
    for at in range(len(data) * 2 // 5, len(data) * 3 // 5):
        if noise.random() < 0.2:
            data[at] = noise.integers(256)
    path.write_bytes(data)
    told: list[str] = []
    clips = list(read_clips(probe(path), SPEC, ReadOptions(no_audio="empty"), told.append))
    indices = [s.index for s in stamps(clips)]
    assert indices == list(range(len(clips)))
    assert 20 < len(clips) <= 90
    assert numbers(clips[:20]) == list(range(20))
    # Where not even the container's next part can be found, a file ends there.
    about_pictures = [line for line in told if "damaged pictures" in line or "truncated" in line]
    assert about_pictures, told
    assert len(told) == len(set(told))

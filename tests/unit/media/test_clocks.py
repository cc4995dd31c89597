"""Whatever a clock does, times rise, sound stays with its picture, and steps are told."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from avscli.config import ReadOptions
from avscli.datatypes import Clip
from avscli.media.probe import probe
from avscli.media.reader import read_clips
from tests.builders import STREAM_ORDERS, StreamOrder, impulse, make_video, tone
from tests.odd_recordings import FPS, joined
from tests.unit.media.test_reader import SPEC, click_offset, clips_of, numbers, stamps

TEN_HOURS = 36_000.0


def read(path: Path) -> tuple[list[Clip], list[str]]:
    told: list[str] = []
    return list(read_clips(probe(path), SPEC, ReadOptions(), told.append)), told


def steps(clips: list[Clip]) -> list[float]:
    return [b.pts_seconds - a.pts_seconds for a, b in pairwise(stamps(clips))]


@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".nut", ".flv"])
@pytest.mark.parametrize("order", ["picture-first", "sound-first"])
def test_a_clock_that_has_run_for_ten_hours_stays_as_it_is(
    tmp_path: Path, suffix: str, order: StreamOrder
) -> None:
    path = make_video(
        tmp_path / f"a{suffix}",
        seconds=2,
        fps=FPS,
        start_offset_seconds=TEN_HOURS,
        audio_start_seconds=TEN_HOURS,
        audio=impulse(TEN_HOURS + 1.0, width_seconds=0.01),
        stream_order=order,
    )
    clips = clips_of(path)  # which fails on any warning
    assert numbers(clips) == list(range(20))
    # A transport stream moves both clocks by the same amount.
    first = stamps(clips)[0].pts_seconds
    assert first == pytest.approx(TEN_HOURS, abs=2.0)
    assert steps(clips) == pytest.approx([1 / FPS] * 19, abs=0.002)
    assert click_offset(clips[10]) == pytest.approx(0.0, abs=0.03)


def test_a_clock_that_wraps_round_goes_on(tmp_path: Path) -> None:
    start = 2**33 / 90_000 - 2.5  # transport streams count 33 bits; FFmpeg adds 1.4 s
    path = joined(tmp_path / "a.ts", [start], audio=impulse(start + 1.5, width_seconds=0.01))
    clips = clips_of(path)
    assert numbers(clips) == list(range(20))
    assert steps(clips) == pytest.approx([1 / FPS] * 19, abs=0.002)
    assert click_offset(clips[15]) == pytest.approx(0.0, abs=0.03)


@pytest.mark.parametrize("order", STREAM_ORDERS)
@pytest.mark.parametrize(
    ("starts", "by"),
    [
        ([10.0, 11.6], "0.4"),
        ([0.0, 0.0], "2.0"),
        ([100.0, 0.0], "101.8"),
        ([0.0, 0.0, 0.0], "2.0"),
    ],
)
def test_a_clock_that_falls_goes_on_from_where_it_was(
    tmp_path: Path, starts: list[float], by: str, order: StreamOrder
) -> None:
    clicks = impulse(starts[-1] + 1.0, width_seconds=0.01)
    path = joined(tmp_path / "a.ts", starts, audio=clicks, stream_order=order)
    clips, told = read(path)
    assert numbers(clips) == list(range(20)) * len(starts)
    # The parts' sound ends some frames of AAC behind the picture.
    assert min(steps(clips)) > 0.05
    assert max(steps(clips)) < 0.3
    assert click_offset(clips[-10]) == pytest.approx(0.0, abs=0.06)
    assert len(told) == 1
    assert f"a.ts: its clock falls back by {by} s" in told[0]


@pytest.mark.parametrize("by", [5.0, 3600.0, TEN_HOURS])
@pytest.mark.parametrize("order", STREAM_ORDERS)
def test_a_clock_that_jumps_forward_keeps_its_times_and_is_told_once(
    tmp_path: Path, by: float, order: StreamOrder
) -> None:
    starts = [10.0, 12.0 + by]
    clicks = impulse(starts[1] + 1.0, width_seconds=0.01)
    clips, told = read(joined(tmp_path / "a.ts", starts, audio=clicks, stream_order=order))
    assert numbers(clips) == list(range(20)) * 2
    assert max(steps(clips)) == pytest.approx(by + 1 / FPS, abs=0.02)
    assert click_offset(clips[30]) == pytest.approx(0.0, abs=0.03)
    assert len(told) == 1
    assert "its clock jumps forward by" in told[0]


def test_a_jump_inside_one_recording_is_told_too(tmp_path: Path) -> None:
    times = [k / FPS for k in (*range(10), *range(300, 310))]
    path = make_video(
        tmp_path / "a.mkv",
        pts_seconds=times,
        seconds=31,
        audio=tone(440),
        audio_gap_seconds=(1.0, 30.0),
    )
    clips, told = read(path)
    assert [s.pts_seconds for s in stamps(clips)] == pytest.approx(times, abs=0.001)
    assert [line for line in told if "jumps forward by 29.0 s" in line] == told
    assert len(told) == 1


def test_streams_that_begin_in_the_middle_do_no_harm(tmp_path: Path) -> None:
    mute = joined(tmp_path / "mute.ts", [10.0], audio=None)
    both = joined(tmp_path / "both.ts", [12.0], stream_order="picture-first")
    later = tmp_path / "later.ts"
    later.write_bytes(mute.read_bytes() * 40 + both.read_bytes())
    told: list[str] = []
    options = ReadOptions(no_audio="empty")
    clips = list(read_clips(probe(later), SPEC, options, told.append))
    assert numbers(clips) == list(range(20)) * 41


def test_joins_that_fit_and_pauses_of_the_picture_alone_are_not_told(tmp_path: Path) -> None:
    assert len(clips_of(joined(tmp_path / "a.ts", [10.0, 12.0, 14.0]))) == 60
    times = [0.0, 0.1, 6.0, 6.1]
    paused = make_video(tmp_path / "b.mkv", pts_seconds=times, seconds=7, audio=tone(440))
    assert [s.pts_seconds for s in stamps(clips_of(paused))] == pytest.approx(times)


def test_sound_is_not_piled_up_where_the_picture_jumps_alone(tmp_path: Path) -> None:
    from avscli.media.sound import MonoSound

    path = make_video(tmp_path / "a.mkv", seconds=20, fps=1, audio=tone(440))
    sound = MonoSound(probe(path), pytest.fail)
    sound.stretch(0.0, 1.0)
    assert np.all(sound.stretch(1000.0, 1001.0).samples == 0)
    assert sum(chunk.samples.size for chunk in sound._held) == 0
    sound.close()

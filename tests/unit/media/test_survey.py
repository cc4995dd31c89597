"""A survey knows how long pictures pause, and finds why sound cannot be copied, before any work."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest

from avscli.config import ReadOptions
from avscli.media import survey as survey_module
from avscli.media.probe import probe
from avscli.media.survey import Survey, SurveyAbandonedError, survey
from avscli.media.video_writer import OverlayWriter
from tests.builders import StreamOrder, in_all_orders, make_video
from tests.recordings import SMALL


def look(path: Path, begin: float = -math.inf, end: float = math.inf) -> Survey:
    return survey(probe(path), begin, end, lambda: False)


@pytest.mark.parametrize(("suffix", "order"), in_all_orders(".mp4", ".mkv", ".ts", ".mov"))
def test_sound_that_is_whole_can_be_copied_whatever_stands_before_it(
    tmp_path: Path, suffix: str, order: StreamOrder
) -> None:
    source = make_video(
        tmp_path / f"a{suffix}",
        seconds=2,
        audio_codec="aac",
        stream_order=order,
        b_frames=2,
        **SMALL,
    )
    found = look(source)
    assert found.sound is not None
    assert found.sound.obstacle == ""
    assert float(found.sound.begin) == pytest.approx(0.0, abs=0.2)  # .ts moves by its B-frames
    assert float(found.sound.end - found.sound.begin) == pytest.approx(2.0, abs=0.1)
    assert Fraction(1, 10) <= found.longest_gap <= Fraction(4, 10)  # in coding order


@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "libopus", "flac", "ac3", "eac3", "alac"])
@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_no_codec_that_can_be_copied_seems_broken_when_it_is_not(
    tmp_path: Path, codec: str, layout: str
) -> None:
    if (codec, layout) == ("libmp3lame", "5.1"):
        pytest.skip("MP3 has two channels at most")
    source = make_video(
        tmp_path / "a.mkv", seconds=3, audio_codec=codec, sample_rate=48_000, layout=layout, **SMALL
    )
    found = look(source).sound
    assert found is not None
    assert found.obstacle == ""


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le", "mp2"])
def test_a_codec_for_no_player_is_an_obstacle_that_nobody_needs_to_hear_of(
    tmp_path: Path, codec: str
) -> None:
    source = make_video(
        tmp_path / "a.mkv", audio_codec=codec, sample_rate=48_000, layout="stereo", **SMALL
    )
    found = look(source).sound
    assert found is not None
    assert (bool(found.obstacle), found.is_told) == (True, False)


def test_only_packets_of_the_range_count_as_sound(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", seconds=4, audio_seconds=1.0, **SMALL)
    assert look(source, 0.5, 2.0).sound is not None
    assert look(source, 2.0, 3.0).sound is None


def test_a_range_is_not_read_beyond_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_video(tmp_path / "a.ts", seconds=20, **SMALL)
    read = []
    packets = survey_module.readable_packets

    def counted(*given: object, **named: object) -> Iterator[av.Packet]:
        for packet in packets(*given, **named):  # type: ignore[arg-type]
            read.append(packet.size)
            yield packet

    monkeypatch.setattr(survey_module, "readable_packets", counted)
    look(source)
    everything = len(read)
    read.clear()
    look(source, 1.0, 2.0)
    assert 0 < len(read) < everything / 3


@pytest.mark.parametrize("missing", ["pts", "dts"])
def test_packets_without_times_are_an_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    source = make_video(tmp_path / "a.mp4", seconds=2, **SMALL)
    packets = survey_module.readable_packets

    def robbed(*given: object, **named: object) -> Iterator[av.Packet]:
        for number, packet in enumerate(packets(*given, **named)):  # type: ignore[arg-type]
            if number > 40 and packet.size:
                setattr(packet, missing, None)
            yield packet

    monkeypatch.setattr(survey_module, "readable_packets", robbed)
    found = look(source).sound
    assert found is not None
    assert "has no times" in found.obstacle


def test_who_is_not_interested_any_more_gets_no_answer(tmp_path: Path) -> None:
    media = probe(make_video(tmp_path / "a.mp4", **SMALL))
    with pytest.raises(SurveyAbandonedError):
        survey(media, -math.inf, math.inf, lambda: True)


def test_an_overlay_that_is_abandoned_before_its_first_frame_is_never_begun(tmp_path: Path) -> None:
    media = probe(make_video(tmp_path / "a.mp4", **SMALL))
    writer = OverlayWriter(media, tmp_path / "overlay.mp4", ReadOptions(), pytest.fail)
    writer.abandon()
    with pytest.raises(SurveyAbandonedError), writer:
        next(writer.frames())
    assert not (tmp_path / "overlay.mp4").exists()
    assert writer.zero_seconds is None

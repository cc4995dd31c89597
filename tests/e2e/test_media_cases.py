"""Every kind of source that cameras and editors produce gives a whole set of outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import (
    StreamOrder,
    drawn_frame,
    impulse,
    in_all_orders,
    make_video,
    silence,
    tone,
    truncated_copy,
)
from tests.conftest import Avs
from tests.e2e.conftest import Segment
from tests.e2e.results import (
    Run,
    frame_times,
    pictures,
    require_refusal,
    require_whole,
    sound_packets,
    ticked,
)

NTSC = Fraction(30_000, 1001)
PAUSE_MARGIN = 0.1  # seconds around a frame that must be quiet too, before a pause silences it
UNEVEN_SECONDS = [0.0, 0.03, 0.1, 0.11, 0.5, 0.9, 0.95, 1.3, 1.31, 1.9]


@dataclass(frozen=True)
class Case:
    """One kind of source: how to build it, and what `avs segment` must make of it."""

    build: dict[str, Any] = field(default_factory=dict)
    suffix: str = ".mp4"
    size_hw: tuple[int, int] = (64, 96)
    copies_sound: bool = True
    warns: str = ""


CASES = {
    "plain": Case(),
    "rotated-90": Case({"rotation": 90}),
    "rotated-180": Case({"rotation": 180}),
    "rotated-270": Case({"rotation": 270}),
    "mirrored": Case({"mirrored": True}),
    "mirrored-rotated-90": Case({"mirrored": True, "rotation": 90}),
    "mirrored-rotated-180": Case({"mirrored": True, "rotation": 180}, ".mov", copies_sound=False),
    "mirrored-rotated-270": Case({"mirrored": True, "rotation": 270}),
    "mirrored-odd": Case(
        {"mirrored": True, "pix_fmt": "yuv444p"}, ".mov", (65, 97), copies_sound=False
    ),
    "rotated-90-odd": Case(
        {"rotation": 90, "pix_fmt": "yuv444p"}, ".mkv", (65, 97), copies_sound=False
    ),
    "variable-rate": Case({"pts_seconds": UNEVEN_SECONDS, "seconds": 2}),
    "variable-rate-mkv": Case(
        {"pts_seconds": UNEVEN_SECONDS, "seconds": 2}, ".mkv", copies_sound=False
    ),
    "ntsc": Case({"fps": NTSC}),
    "ntsc-mkv": Case({"fps": NTSC}, ".mkv", copies_sound=False),
    "picture-later": Case({"start_offset_seconds": 0.5}),
    "sound-later": Case({"audio_start_seconds": 0.5}),
    "b-frames": Case({"b_frames": 2, "fps": 25}),
    "wide-pixels": Case({"sample_aspect_ratio": Fraction(4, 3)}),
    "wide-pixels-rotated": Case({"sample_aspect_ratio": Fraction(4, 3), "rotation": 90}),
    "odd-size": Case({"pix_fmt": "yuv444p"}, ".mkv", (65, 97), copies_sound=False),
    "ten-bit": Case({"pix_fmt": "yuv420p10le"}),
    "interlaced": Case({"interlaced": True}, warns="interlaced"),
    "sound-shorter": Case({"audio_seconds": 0.4}),
    "sound-longer": Case({"audio_seconds": 3.0}),
    "sound-with-gap": Case({"audio_gap_seconds": (0.3, 0.7)}, ".mkv", copies_sound=False),
    "stereo": Case({"layout": "stereo"}),
    "5.1": Case({"layout": "5.1", "sample_rate": 48_000}),
    "7.1": Case({"layout": "7.1", "sample_rate": 48_000}, ".mkv", copies_sound=False),
    "8-khz": Case({"sample_rate": 8_000}),
    "96-khz": Case({"sample_rate": 96_000}, ".mov", copies_sound=False),
    "192-khz": Case({"sample_rate": 192_000}, ".mkv", copies_sound=False),
    "opus": Case({"audio_codec": "libopus", "sample_rate": 48_000}, ".mkv"),
    "vp9-webm": Case(
        {"codec": "libvpx-vp9", "audio_codec": "libopus", "sample_rate": 48_000}, ".webm"
    ),
    "avi": Case({"codec": "mpeg4"}, ".avi", copies_sound=False),
    "transport-stream": Case({"fps": 25}, ".ts"),
    "hevc-ten-bit": Case({"codec": "libx265", "pix_fmt": "yuv420p10le"}),
    "one-frame": Case({"seconds": 0.1}),
    "one-frame-a-second": Case({"fps": 1, "seconds": 3}),
    "small": Case(size_hw=(16, 16)),
    "wide": Case(size_hw=(32, 320)),
    "tall": Case(size_hw=(320, 32)),
}


def build(path: Path, **changes: Any) -> Path:
    return make_video(path, **({"fps": 10, "size_hw": (64, 96), "seconds": 1.2} | changes))


@pytest.mark.parametrize(
    ("name", "order"),
    [(name, order) for name, case in CASES.items() for _, order in in_all_orders(case.suffix)],
)
def test_every_kind_of_source_gives_every_output(
    segment: Segment, tmp_path: Path, name: str, order: StreamOrder
) -> None:
    case = CASES[name]
    source = build(
        tmp_path / f"clip{case.suffix}", size_hw=case.size_hw, stream_order=order, **case.build
    )
    run = segment(source)
    require_whole(run, source, case.size_hw)
    assert [entry["frame"] for entry in run.analysed] == ticked(frame_times(source), 4)
    assert run.record["status"] == "done"
    assert run.outcome.out == f"{run.folder}\n"
    warnings = run.record["warnings"]
    assert [case.warns in warning for warning in warnings] == [True] * bool(case.warns)
    assert all(f"warning: {warning}" in run.outcome.err for warning in warnings)
    if case.suffix != ".ts":  # there every packet carries a header of the transport stream
        assert (sound_packets(run.overlay) == sound_packets(source)) == case.copies_sound
    require_tint(run, case.size_hw)


def require_tint(run: Run, size_hw: tuple[int, int]) -> None:
    """Check that the overlay differs from the drawn pictures where the masks are, and only there.

    A frame without a mask must not differ at all, one with a mask of the whole frame everywhere.
    """
    height, width = size_hw
    shares = []
    for index, shown in enumerate(pictures(run.overlay)):
        drawn = drawn_frame(run.entries[index]["frame"], size_hw).astype(int)
        change = np.abs(shown[:height, :width].astype(int) - drawn).mean(axis=2)
        mask = run.mask(index)
        shares.append(mask.mean())
        if mask.any():
            assert change[mask].mean() > 25
        if not mask.all():
            assert np.median(change[~mask]) < 12
    assert 0.1 < np.mean(shares) < 0.95, "the weights for tests mark about half of a picture"


@pytest.mark.parametrize(
    ("rotation", "mirrored"), [(r, m) for m in (False, True) for r in (0, 90, 180, 270)][1:]
)
def test_masks_of_a_turned_source_are_those_of_the_upright_one(
    segment: Segment, tmp_path: Path, rotation: int, mirrored: bool
) -> None:
    upright = segment(build(tmp_path / "upright.mp4"))
    turned = segment(build(tmp_path / "turned.mp4", rotation=rotation, mirrored=mirrored))
    source, video = turned.record["source"], turned.coco["videos"][0]
    assert (source["rotation_degrees"], source["mirrored"]) == (rotation, mirrored)
    assert (video["rotation_applied"], video["mirror_applied"]) == (rotation, mirrored)
    for index in range(len(upright.entries)):
        same = upright.mask(index) == turned.mask(index)
        assert same.mean() > 0.9


def test_a_rotation_that_is_ignored_would_be_noticed(segment: Segment, tmp_path: Path) -> None:
    run = segment(build(tmp_path / "upright.mp4"))
    turned = np.rot90(run.mask(0), 2)
    assert (run.mask(0) == turned).mean() < 0.8


def test_the_overlay_keeps_the_shape_of_pixels(segment: Segment, tmp_path: Path) -> None:
    import av

    run = segment(build(tmp_path / "a.mp4", sample_aspect_ratio=Fraction(4, 3), rotation=90))
    with av.open(str(run.overlay)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(3, 4)


# --- sound ----------------------------------------------------------------------------------


def loud(run: Run) -> list[bool]:
    return [entry["state"] != "silent" for entry in run.entries]


def test_silent_sound_gives_empty_masks_and_says_so(segment: Segment, tmp_path: Path) -> None:
    source = build(tmp_path / "a.mp4", audio=silence)
    run = segment(source)
    require_whole(run, source, (64, 96))
    assert {entry["state"] for entry in run.entries} == {"silent"}
    assert all(entry["objects"] == [] for entry in run.entries)
    assert all("silent" in entry["flags"] for entry in run.entries)
    assert all("silent" in row["flags"].split(";") for row in run.rows)
    assert run.coco["annotations"] == []
    assert run.record["sounding_share"] == 0.0
    assert "something sounds in 0%" in run.outcome.err


@pytest.mark.parametrize(("track", "is_loud"), [(0, False), (1, True)])
def test_the_audio_track_decides_what_is_heard(
    segment: Segment, tmp_path: Path, track: int, is_loud: bool
) -> None:
    source = build(tmp_path / "a.mkv", audio=[silence, tone(440)])
    run = segment(source, "--audio-track", track)
    assert set(loud(run)) == {is_loud}
    assert run.record["source"]["audio"]["track"] == track
    assert run.record["source"]["num_audio_tracks"] == 2


def test_the_chosen_audio_track_is_the_one_in_the_overlay(segment: Segment, tmp_path: Path) -> None:
    source = build(tmp_path / "a.mp4", audio=[tone(440), tone(880)])
    run = segment(source, "--audio-track", 1)
    assert sound_packets(run.overlay) == sound_packets(source, track=1)


def test_where_the_sound_has_ended_frames_are_silent(segment: Segment, tmp_path: Path) -> None:
    source = build(tmp_path / "a.mkv", seconds=2, audio_seconds=0.5)
    run = segment(source, "--fps", "native")
    assert loud(run) == [entry["time"] < 0.5 + PAUSE_MARGIN for entry in run.entries]


def test_before_the_sound_starts_frames_are_silent(segment: Segment, tmp_path: Path) -> None:
    source = build(tmp_path / "a.mkv", seconds=2, audio_start_seconds=1.0, audio_seconds=1.0)
    run = segment(source, "--fps", "native")
    assert loud(run) == [entry["time"] > 1.0 - PAUSE_MARGIN for entry in run.entries]


def test_a_later_picture_hears_the_sound_of_its_own_time(segment: Segment, tmp_path: Path) -> None:
    click = impulse(1.5, width_seconds=0.05)
    source = build(tmp_path / "a.mkv", seconds=2, start_offset_seconds=0.5, audio=click)
    run = segment(source, "--fps", "native")
    near = [entry["time"] for entry, is_loud in zip(run.entries, loud(run), strict=True) if is_loud]
    assert min(near) == pytest.approx(1.5 - PAUSE_MARGIN, abs=0.051)
    assert max(near) == pytest.approx(1.5 + PAUSE_MARGIN, abs=0.051)


# --- no sound, no picture, damaged ----------------------------------------------------------


def test_a_file_without_sound_is_refused_with_the_way_out(
    avs: Avs, weights: Path, tmp_path: Path
) -> None:
    source = build(tmp_path / "a.mp4", audio=None)
    outcome = avs("segment", source, "-o", tmp_path / "out", "-w", weights)
    assert "no audio track" in require_refusal(outcome, 4)
    assert "--no-audio empty" in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_file_without_sound_may_be_taken_for_silent(segment: Segment, tmp_path: Path) -> None:
    source = build(tmp_path / "a.mp4", audio=None)
    run = segment(source, "--no-audio", "empty")
    require_whole(run, source, (64, 96))
    assert {entry["state"] for entry in run.entries} == {"silent"}
    assert run.coco["annotations"] == []
    assert run.record["source"]["audio"] is None


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_truncated_file_is_used_as_far_as_it_goes(
    segment: Segment, tmp_path: Path, suffix: str
) -> None:
    whole = build(tmp_path / f"whole{suffix}", seconds=6, faststart=True)
    run = segment(truncated_copy(whole, tmp_path / f"cut{suffix}", 0.5))
    assert run.record["status"] == "truncated"
    assert 10 < run.record["num_frames"] < 50
    warnings = run.record["warnings"]
    assert sum("truncated" in warning for warning in warnings) == 1
    assert run.outcome.err.count("truncated") == 1
    assert len(frame_times(run.overlay)) == run.record["num_frames"]
    assert run.outcome.err.count("warning: ") == len(warnings)

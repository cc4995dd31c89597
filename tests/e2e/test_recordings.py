"""Recordings that lost everything for the overlay's sake end done, with masks and overlay."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.builders import StreamOrder, make_video
from tests.conftest import Avs
from tests.e2e.conftest import Segment
from tests.e2e.results import ALL_FILES, Run, frame_times
from tests.recordings import SMALL, drop_sound_packets, make_joined, spoil_bytes

Make = Callable[[Path, StreamOrder], Path]


def overlap(folder: Path, order: StreamOrder) -> Path:
    return make_joined(folder / "clip.ts", (10.0, 11.6), seconds=2.0, stream_order=order)


def overlap_in_flv(folder: Path, order: StreamOrder) -> Path:
    return make_joined(folder / "clip.flv", (0.0, 1.6), seconds=2.0, stream_order=order)


def seams(folder: Path, order: StreamOrder) -> Path:
    return make_joined(folder / "clip.ts", (10.0, 10.98, 11.96), stream_order=order)


def from_zero(folder: Path, order: StreamOrder) -> Path:
    return make_joined(folder / "clip.ts", (1.4, 1.4), seconds=2.0, stream_order=order)


def from_zero_in_mp2(folder: Path, order: StreamOrder) -> Path:
    return make_joined(
        folder / "clip.ts", (1.4, 1.4), seconds=2.0, stream_order=order, audio_codec="mp2"
    )


def ten_hours_late(folder: Path, order: StreamOrder) -> Path:
    return make_joined(folder / "clip.ts", (36_000.0,), seconds=2.0, stream_order=order)


def pause_in_nanoseconds(folder: Path, order: StreamOrder) -> Path:
    times = [0.0, 0.1, 0.2, 6.4, 6.5, 6.6]
    return make_video(
        folder / "clip.nut",
        pts_seconds=times,
        audio_seconds=7.0,
        codec="ffv1",
        time_base=Fraction(1, 10**9),
        stream_order=order,
        **SMALL,
    )


def noise_in_a_stream(folder: Path, order: StreamOrder) -> Path:
    whole = make_video(folder / "clip.ts", seconds=2, stream_order=order, **SMALL)
    return spoil_bytes(whole, 0.4, 0.6, share=0.2)


def require_delivered(run: Run, source: Path) -> None:
    """Check that masks and overlay are whole and lie on one time line, `offset` apart."""
    assert sorted(path.name for path in run.folder.iterdir()) == ALL_FILES
    assert (run.record["status"], run.record["failed_outputs"]) == ("done", {})
    assert len(run.entries) == run.record["num_frames"] == len(frame_times(run.overlay))
    offset = run.record["overlay_offset_seconds"]
    for entry, time in zip(run.entries, frame_times(run.overlay), strict=True):
        assert entry["time"] == pytest.approx(float(time) + offset, abs=2e-6)
    with av.open(str(run.overlay)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
    assert "free space" not in run.outcome.err
    assert source.name in run.record["source"]["path"]


@pytest.mark.parametrize("order", ["picture-first", "sound-first"])
@pytest.mark.parametrize(
    ("make", "offset", "says"),
    [
        (overlap, 10.0, "falls back by 0.4 s"),
        (overlap_in_flv, 0.0, "falls back by 0.4 s"),
        (seams, 10.0, "encoded anew"),
        (from_zero, 1.4, ""),
        (from_zero_in_mp2, 1.4, ""),
        (ten_hours_late, 36_000.0, ""),
        (pause_in_nanoseconds, 0.0, ""),
        (noise_in_a_stream, 0.0, "damaged"),
    ],
)
def test_masks_and_overlay_are_delivered(
    segment: Segment, tmp_path: Path, make: Make, order: StreamOrder, offset: float, says: str
) -> None:
    source = make(tmp_path, order)
    run = segment(source)
    require_delivered(run, source)
    assert run.record["overlay_offset_seconds"] == pytest.approx(offset, abs=1e-4)
    assert says in run.outcome.err
    assert run.outcome.err.count("encoded anew") <= 1


@pytest.mark.parametrize("order", ["picture-first", "sound-first"])
def test_a_track_announced_and_never_sent_is_no_sound(
    segment: Segment, avs: Avs, weights: Path, tmp_path: Path, order: StreamOrder
) -> None:
    source = make_video(tmp_path / "clip.ts", seconds=2, stream_order=order, **SMALL)
    drop_sound_packets(source)
    assert avs("segment", source, "-o", tmp_path / "out", "-w", weights).code == 4
    run = segment(source, "--no-audio", "empty")
    with av.open(str(run.overlay)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    assert len(frame_times(run.overlay)) == len(run.entries) == 20


def test_without_an_overlay_there_is_no_offset(segment: Segment, tmp_path: Path) -> None:
    run = segment(ten_hours_late(tmp_path, "picture-first"), "--write", "csv")
    assert run.record["overlay_offset_seconds"] is None
    assert run.entries[0]["time"] == pytest.approx(36_000.0, abs=1e-4)

"""An overlay made of the frames that the network was shown is that of a decoding of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from avscli.media.frame_follower import FrameFollower
from avscli.media.frames import FrameReader
from avscli.media.video_writer import OverlayFrame, OverlayWriter
from avscli.outputs.overlay import OverlaySink
from tests.builders import impulse, make_video, truncated_copy
from tests.conftest import Avs
from tests.e2e.conftest import Segment
from tests.e2e.results import frame_times, sound_packets
from tests.odd_recordings import resized
from tests.recordings import make_joined

Make = Callable[[Path], Path]


def plain(folder: Path) -> Path:
    return make_video(folder / "a.mp4", seconds=3, size_hw=(96, 128), audio=impulse(1.5))


def with_b_frames(folder: Path) -> Path:
    return make_video(folder / "a.mkv", b_frames=3, size_hw=(96, 128))


def variable(folder: Path) -> Path:
    times = [0.0, 0.04, 0.08, 0.5, 0.54, 1.9, 1.95, 2.0]
    return make_video(folder / "a.mp4", pts_seconds=times, seconds=2.1)


def turned(folder: Path) -> Path:
    return make_video(folder / "a.mp4", rotation=90, mirrored=True)


def odd_and_deep(folder: Path) -> Path:
    return make_video(folder / "a.mkv", size_hw=(95, 127), codec="ffv1", pix_fmt="yuv422p10le")


def of_two_sizes(folder: Path) -> Path:
    return resized(folder / "a.ts", "libx264", [(96, 128), (64, 96)])


def joined(folder: Path) -> Path:
    return make_joined(folder / "a.ts", (10.0, 11.6), seconds=2.0)


def cut_off(folder: Path) -> Path:
    whole = make_video(folder / "whole.mp4", seconds=4, size_hw=(96, 128), faststart=True)
    return truncated_copy(whole, folder / "a.mp4", 0.6)


SOURCES: list[Make] = [
    plain,
    with_b_frames,
    variable,
    turned,
    odd_and_deep,
    of_two_sizes,
    joined,
    cut_off,
]
CASES = [(make, ("--fps", "native", "--no-audio", "empty")) for make in SOURCES] + [
    (plain, ()),
    (plain, ("--start", "0.5", "--end", "2", "--fps", "native")),
    (plain, ("--batch-clips", "7", "--fps", "native")),
]


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[FrameReader]:
    """Return the readers that have begun to decode a file."""
    begun: list[FrameReader] = []
    stamped = FrameReader._stamped

    def noted(reader: FrameReader, *source: object) -> object:
        begun.append(reader)
        return stamped(reader, *source)  # type: ignore[arg-type]

    monkeypatch.setattr(FrameReader, "_stamped", noted)
    return begun


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Return the time and a hash of the blended planes of each frame, as they go to the encoder.

    Not what comes out: of the same small pictures x264 makes other bytes now and then.
    """
    seen: list[tuple[int, str]] = []
    write = OverlayWriter.write

    def noted(writer: OverlayWriter, frame: OverlayFrame) -> None:
        pixels = b"".join(plane.tobytes() for plane in (frame.y, frame.u, frame.v))
        seen.append((frame.stamp.pts, hashlib.sha256(pixels).hexdigest()))
        write(writer, frame)

    monkeypatch.setattr(OverlayWriter, "write", noted)
    return seen


@pytest.mark.parametrize(("make", "options"), CASES)
def test_every_frame_and_the_sound_are_the_same(
    segment: Segment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    decodings: list[FrameReader],
    encoded: list[tuple[int, str]],
    make: Make,
    options: tuple[str, ...],
) -> None:
    source = make(tmp_path)
    shared = segment(source, *options, into="shared")
    assert len(decodings) == 1
    num_frames = len(encoded)
    monkeypatch.setattr(FrameFollower, "keep", lambda _follower, _image: None)
    separate = segment(source, *options, into="separate")
    assert len(decodings) == 3
    assert encoded[:num_frames] == encoded[num_frames:]
    assert frame_times(shared.overlay) == frame_times(separate.overlay)
    assert shared.record["warnings"] == separate.record["warnings"]
    if shared.record["source"]["audio"] is not None:
        assert sound_packets(shared.overlay) == sound_packets(separate.overlay)


def test_without_an_overlay_nothing_is_held(
    segment: Segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[object] = []
    monkeypatch.setattr(FrameFollower, "keep", lambda _follower, image: kept.append(image))
    segment(plain(tmp_path), "--write", "coco,csv", "--fps", "native")
    assert kept == []


def test_frames_are_let_go_once_the_overlay_has_failed(
    avs: Avs, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    followers: list[FrameFollower] = []
    begin = FrameFollower.__init__

    def noted(follower: FrameFollower, leader: FrameReader) -> None:
        begin(follower, leader)
        followers.append(follower)

    def fail(*_arguments: object) -> None:
        raise RuntimeError("no blending today")

    monkeypatch.setattr(FrameFollower, "__init__", noted)
    monkeypatch.setattr(OverlaySink, "_blend", fail)
    outcome = avs("segment", plain(tmp_path), "-o", tmp_path / "out", "-w", weights)
    assert outcome.code == 11
    assert "no overlay, the rest is whole: no blending today" in outcome.err
    (follower,) = followers
    assert not follower._held

"""Overlays of joined, damaged and oddly timed recordings have every frame and the right sound."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

from avscli.config import ReadOptions
from avscli.datatypes import MediaInfo
from avscli.media.frames import FrameReader
from avscli.media.probe import probe
from avscli.media.sound import MonoSound
from avscli.media.video_writer import OverlayWriter
from tests.builders import StreamOrder, frame_number, impulse, make_video, tone
from tests.recordings import SMALL, drop_sound_packets, make_joined, spoil_bytes, spoil_sound

ORDERS: list[StreamOrder] = ["picture-first", "sound-first", "subtitle-first"]
WINDOW_SECONDS = 0.05


class Overlay:
    """The overlay of a source, with what was said while it was written."""

    def __init__(
        self, source: Path, media: MediaInfo | None = None, **range_options: float
    ) -> None:
        self.source, self.path = source, source.with_name("overlay.mp4")
        self.warnings: list[str] = []
        options = ReadOptions(**range_options)
        media = media or probe(source)
        with OverlayWriter(media, self.path, options, self._warn) as writer:
            for frame in writer.frames():
                writer.write(frame)
        assert writer.zero_seconds is not None
        self.zero = writer.zero_seconds
        reader = FrameReader(media, options, lambda _message: None)
        self.source_times = [frame.stamp.pts_seconds for frame in reader]

    def _warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)

    @property
    def times(self) -> list[float]:
        with av.open(str(self.path)) as container:
            return [float(f.pts * f.time_base) for f in container.decode(video=0)]

    @property
    def codec(self) -> str | None:
        audio = probe(self.path).audio
        return None if audio is None else audio.codec

    @property
    def encoded_because(self) -> str:
        (reason,) = [w for w in self.warnings if "encoded anew" in w]
        return reason

    def require_frames(self, slack_seconds: float = 1e-9) -> None:
        """Check that every frame stands where the masks say it does."""
        assert len(self.times) == len(self.source_times)
        offsets = np.array(self.source_times) - self.times
        assert np.abs(offsets - self.zero).max() <= slack_seconds

    def levels(self, *, of_source: bool = False) -> NDArray[np.float64]:
        """Return the RMS of the sound in windows that lie side by side from the first frame on."""
        path = self.source if of_source else self.path
        first = self.source_times[0] - (0 if of_source else self.zero)
        length = self.source_times[-1] - self.source_times[0]
        sound = MonoSound(probe(path), lambda _message: None)
        samples = sound.stretch(first, first + length).samples.astype(float)
        sound.close()
        width = int(WINDOW_SECONDS * 16_000)
        whole = samples[: len(samples) // width * width].reshape(-1, width)
        return np.sqrt((whole**2).mean(1))

    def require_same_sound(self, *, but_windows: int = 2) -> None:
        """Check that the overlay sounds as its source does, but for a few windows at seams."""
        ours, theirs = self.levels(), self.levels(of_source=True)
        assert theirs.max() > 0.2
        assert (np.abs(ours - theirs) > 0.05).sum() <= but_windows

    def require_a_player_takes_it(self) -> None:
        """Let the ffmpeg program decode it all, and say nothing."""
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(self.path)]
        # On the file's own ticks: by default the program rounds times to a frame rate it guesses.
        command += ["-fps_mode", "passthrough", "-enc_time_base:v", "demux", "-f", "null", "-"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


# --- joined recordings ----------------------------------------------------------------------


OVERLAPS = {
    "by one packet": (10.0, 10.98),
    "by one packet, three times": (10.0, 10.98, 11.96),
}
FALLS = {
    "by less than half": (10.0, 10.6),
    "by nearly all": (10.0, 10.1),
    "from zero again": (0.0, 0.0),
    "from ten seconds back to one": (10.0, 1.0),
    "three times": (5.0, 3.0, 1.0),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "ac3"])
@pytest.mark.parametrize("starts", OVERLAPS.values(), ids=OVERLAPS.keys())
def test_sound_that_overlaps_where_recordings_were_joined_is_encoded_anew(
    tmp_path: Path, starts: tuple[float, ...], codec: str, order: StreamOrder
) -> None:
    overlay = Overlay(
        make_joined(
            tmp_path / "joined.ts",
            starts,
            audio_codec=codec,
            sample_rate=48_000,
            stream_order=order,
        )
    )
    assert "overlap" in overlay.encoded_because
    assert overlay.codec == "aac"
    assert len(overlay.warnings) == 1
    overlay.require_frames()
    overlay.require_same_sound()
    overlay.require_a_player_takes_it()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "ac3"])
@pytest.mark.parametrize("starts", FALLS.values(), ids=FALLS.keys())
def test_a_clock_that_falls_where_recordings_were_joined_goes_on(
    tmp_path: Path, starts: tuple[float, ...], codec: str, order: StreamOrder
) -> None:
    options = {"audio_codec": codec, "sample_rate": 48_000, "stream_order": order}
    overlay = Overlay(make_joined(tmp_path / "joined.ts", starts, seconds=1.2, **options))
    assert len(overlay.warnings) <= 1
    overlay.require_frames()
    overlay.require_same_sound(but_windows=len(starts))
    overlay.require_a_player_takes_it()


JOINS = OVERLAPS | FALLS


@pytest.mark.parametrize("starts", JOINS.values(), ids=JOINS.keys())
def test_sound_that_no_mp4_player_knows_is_encoded_across_seams_without_a_word(
    tmp_path: Path, starts: tuple[float, ...]
) -> None:
    source = make_joined(tmp_path / "joined.ts", starts, audio_codec="mp2", sample_rate=48_000)
    overlay = Overlay(source)
    about_sound = [line for line in overlay.warnings if "its clock falls back" not in line]
    assert (about_sound, overlay.codec) == ([], "aac")
    overlay.require_frames()
    overlay.require_same_sound()
    overlay.require_a_player_takes_it()


@pytest.mark.parametrize("order", ["picture-first", "sound-first"])
@pytest.mark.parametrize("codec", ["aac", "libmp3lame"])
@pytest.mark.parametrize(("start", "says"), [(0.6, "falls back by 0.4 s"), (0.98, "overlap")])
def test_an_flv_whose_parts_overlap_sounds_as_it_is_read(
    tmp_path: Path, start: float, says: str, codec: str, order: StreamOrder
) -> None:
    overlay = Overlay(
        make_joined(tmp_path / "a.flv", (0.0, start), audio_codec=codec, stream_order=order)
    )
    assert [says in line for line in overlay.warnings] == [True]
    overlay.require_frames()
    overlay.require_same_sound()
    overlay.require_a_player_takes_it()


def test_parts_of_different_sound_become_one_track(tmp_path: Path) -> None:
    first = make_joined(tmp_path / "a.ts", (10.0,), sample_rate=44_100, layout="mono")
    second = make_joined(tmp_path / "b.ts", (11.0,), sample_rate=48_000, layout="stereo")
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    overlay = Overlay(joined)
    assert "format changes" in overlay.encoded_because or "overlap" in overlay.encoded_because
    overlay.require_frames()
    overlay.require_same_sound()


# --- pauses and jumps -----------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["aac", "libopus", "flac", "libmp3lame"])
@pytest.mark.parametrize("gap", [(0.3, 0.6), (1.0, 1.9)])
def test_a_gap_in_sound_that_could_be_copied_becomes_silence(
    tmp_path: Path, codec: str, gap: tuple[float, float]
) -> None:
    overlay = Overlay(
        make_video(
            tmp_path / "a.mkv",
            seconds=2,
            audio_codec=codec,
            sample_rate=48_000,
            audio_gap_seconds=gap,
            **SMALL,
        )
    )
    assert "has a gap" in overlay.encoded_because
    overlay.require_frames()
    overlay.require_same_sound()
    begin, end = (round(seconds / WINDOW_SECONDS) for seconds in gap)
    assert overlay.levels()[begin + 2 : end - 1].max() < 0.01


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("jump", [5.0, 3600.0, 9 * 3600.0, 25 * 3600.0])
def test_a_clock_that_jumps_forward_keeps_picture_and_sound_together(
    tmp_path: Path, jump: float, order: StreamOrder
) -> None:
    sound = [impulse(1.5, width_seconds=0.02), impulse(jump + 0.5, width_seconds=0.02)]
    parts = [
        make_joined(tmp_path / f"{start}.ts", (start,), audio=wave, stream_order=order)
        for start, wave in zip((1.0, jump), sound, strict=True)
    ]
    source = tmp_path / "jump.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    overlay = Overlay(source)
    assert "has a gap" in overlay.encoded_because
    overlay.require_frames(slack_seconds=1e-4)
    clicks = []
    reader = MonoSound(probe(overlay.path), pytest.fail)
    for begin in (0.0, jump - 1.0):
        samples = reader.stretch(begin, begin + 1.0).samples
        clicks.append(begin + int(np.abs(samples).argmax()) / 16_000)
    reader.close()
    assert clicks == pytest.approx([0.5, jump - 0.5], abs=0.005)


TICKS: dict[str, tuple[Fraction, str, list[float]]] = {
    "nanoseconds and six seconds": (Fraction(1, 10**9), ".nut", [0, 0.1, 0.2, 6.5, 6.6]),
    "nanoseconds and two hours": (Fraction(1, 10**9), ".nut", [0, 0.1, 7200, 7200.1]),
    "90 kHz and eight hours": (Fraction(1, 90_000), ".nut", [0, 0.1, 0.2, 28_800, 28_800.1]),
    "milliseconds and 40 days": (Fraction(1, 1000), ".mkv", [0, 0.1, 3.456e6, 3.4560001e6]),
    "25ths and 80 hours": (Fraction(1, 25), ".nut", [0, 0.2, 0.4, 288_000, 288_000.2]),
    "NTSC and 80 hours": (Fraction(1001, 30_000), ".nut", [0, 1.001, 288_288, 288_289.001]),
    "pauses side by side": (Fraction(1, 90_000), ".nut", [0, 5900, 11_800, 17_700, 23_600]),
    "the finest ticks and a second": (Fraction(1, 2**31 - 1), ".nut", [0, 0.1, 0.2, 1.2]),
}


@pytest.mark.parametrize(("tick", "suffix", "times"), TICKS.values(), ids=TICKS.keys())
def test_pauses_and_ticks_beyond_mp4_are_written_on_a_coarser_tick(
    tmp_path: Path, tick: Fraction, suffix: str, times: list[float]
) -> None:
    overlay = Overlay(
        make_video(
            tmp_path / f"a{suffix}", pts_seconds=times, time_base=tick, codec="ffv1", **SMALL
        )
    )
    overlay.require_frames(slack_seconds=0.02)
    assert overlay.times == pytest.approx(times, abs=0.02)
    with av.open(str(overlay.path)) as container:
        shown = [frame_number(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    assert shown == list(range(len(times)))
    overlay.require_a_player_takes_it()


def test_a_tick_that_holds_the_pauses_is_kept(tmp_path: Path) -> None:
    times = [0, 0.1, 0.2, 5900]
    overlay = Overlay(make_video(tmp_path / "a.mkv", pts_seconds=times, **SMALL))
    with av.open(str(overlay.path)) as container:
        assert container.streams.video[0].time_base == Fraction(1, 1000)


# --- where the clock starts -----------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("start", [1.0, 60.25, 36_000.0, 94_000.0])
def test_a_clock_that_starts_late_starts_at_zero_in_the_overlay(
    tmp_path: Path, start: float, order: StreamOrder
) -> None:
    click = impulse(start + 0.5, width_seconds=0.02)
    overlay = Overlay(make_joined(tmp_path / "a.ts", (start,), audio=click, stream_order=order))
    assert overlay.zero == pytest.approx(start, abs=1e-4)
    assert overlay.times[0] == 0
    assert overlay.warnings == []
    overlay.require_frames()
    reader = MonoSound(probe(overlay.path), pytest.fail)
    samples = reader.stretch(0.0, 1.0).samples
    reader.close()
    assert int(np.abs(samples).argmax()) / 16_000 == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize("suffix", [".mkv", ".nut", ".mov", ".mp4"])
def test_a_late_clock_of_any_container_starts_at_zero(tmp_path: Path, suffix: str) -> None:
    source = make_video(
        tmp_path / f"a{suffix}", start_offset_seconds=7200.0, audio_start_seconds=7200.0, **SMALL
    )
    overlay = Overlay(source)
    assert (overlay.zero, overlay.times[0]) == (7200.0, 0.0)
    overlay.require_frames()
    overlay.require_same_sound()


@pytest.mark.parametrize("start", [0.0, 0.04, 0.9])
def test_a_clock_that_starts_within_a_second_is_kept(tmp_path: Path, start: float) -> None:
    overlay = Overlay(make_joined(tmp_path / "a.ts", (start,)))
    assert overlay.zero == 0
    assert overlay.times == overlay.source_times


def test_a_clock_that_starts_before_zero_starts_at_zero(tmp_path: Path) -> None:
    overlay = Overlay(make_joined(tmp_path / "a.ts", (-2.5,)))
    assert overlay.zero == -2.5
    overlay.require_frames()
    overlay.require_same_sound()


def test_a_range_of_a_late_clock_keeps_its_place_in_the_recording(tmp_path: Path) -> None:
    source = make_joined(tmp_path / "a.ts", (36_000.0,), seconds=2.0)
    overlay = Overlay(source, start_seconds=0.5, end_seconds=1.5)
    assert overlay.zero == 36_000.0
    assert overlay.times == pytest.approx([0.5 + k / 10 for k in range(10)], abs=1e-4)
    overlay.require_same_sound()


# --- damage ---------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["picture-first", "sound-first"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("span", [(0.4, 0.8), (-1.0, 0.5), (1.4, 9.0)])
def test_sound_that_cannot_be_decoded_becomes_silence_of_its_length(
    tmp_path: Path, suffix: str, order: StreamOrder, span: tuple[float, float]
) -> None:
    source = make_video(
        tmp_path / f"a{suffix}", seconds=2, audio_codec="aac", stream_order=order, **SMALL
    )
    whole = probe(source).audio
    assert whole is not None
    overlay = Overlay(spoil_sound(source, *span))
    assert "damaged" in overlay.encoded_because
    assert len(overlay.warnings) == 2
    overlay.require_frames()
    begin, end = (round(max(seconds, 0) / WINDOW_SECONDS) for seconds in span)
    levels = overlay.levels()
    assert np.median(levels[begin + 1 : end - 1]) < 0.01
    outside = np.delete(levels, np.s_[max(begin - 2, 0) : end + 3])
    assert np.median(outside) > 0.3
    audio = probe(overlay.path).audio
    assert audio is not None
    assert audio.duration_seconds == pytest.approx(2.0, abs=0.1)


def test_sound_of_which_nothing_can_be_decoded_becomes_silence(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", seconds=2, **SMALL)
    before = probe(source)  # afterwards it would find that there is no sound to be had
    overlay = Overlay(spoil_sound(source, -1.0, 9.0), before)
    assert overlay.codec == "aac"
    assert np.median(overlay.levels()) < 0.01
    overlay.require_frames()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("suffix", [".ts", ".mp4", ".mkv"])
def test_noise_over_the_middle_of_a_file_leaves_an_overlay(
    tmp_path: Path, suffix: str, seed: int
) -> None:
    source = make_video(
        tmp_path / f"a{suffix}", seconds=2, audio_codec="aac", faststart=suffix == ".mp4", **SMALL
    )
    overlay = Overlay(spoil_bytes(source, 0.5, 0.7, share=0.1, seed=seed))
    assert overlay.warnings
    overlay.require_frames(slack_seconds=0.002)  # times hit by the noise may ask for coarse ticks


# --- sound that is none, or none that MP4 takes ---------------------------------------------


@pytest.mark.parametrize("order", ["picture-first", "sound-first"])
@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "ac3", "mp2"])
def test_a_track_without_a_packet_gives_an_overlay_without_sound(
    tmp_path: Path, codec: str, order: StreamOrder
) -> None:
    source = make_video(
        tmp_path / "a.ts", audio_codec=codec, sample_rate=48_000, stream_order=order, **SMALL
    )
    overlay = Overlay(drop_sound_packets(source))
    assert overlay.codec is None
    overlay.require_frames()


def test_a_range_without_sound_gives_an_overlay_without_sound(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", seconds=3, audio_seconds=1.0, **SMALL)
    assert Overlay(source, start_seconds=2.0).codec is None


def test_sound_that_the_muxer_refuses_is_encoded_anew(tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "a.mkv", audio_codec="libmp3lame", sample_rate=11_025, audio=tone(300), **SMALL
    )
    overlay = Overlay(source)
    assert "MP4 refuses it" in overlay.encoded_because
    overlay.require_same_sound()

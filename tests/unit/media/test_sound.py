"""Every sample of the track lands at its time, whatever the container does to the timestamps."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avscli.datatypes import SAMPLE_RATE_HZ, AudioTrack
from avscli.media.probe import probe
from avscli.media.sound import MonoSound
from tests.builders import StreamOrder, impulse, in_all_orders, make_video, silence, tone


def stretch(path: Path, start: float, end: float, *, track: int = 0) -> AudioTrack:
    sound = MonoSound(probe(path, audio_track=track), pytest.fail)
    result = sound.stretch(start, end)
    sound.close()
    return result


def peak_seconds(track: AudioTrack) -> float:
    return track.start_seconds + int(np.argmax(np.abs(track.samples))) / track.sample_rate_hz


@pytest.mark.parametrize(
    "sample_rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000]
)
def test_an_impulse_stays_at_its_sample_at_any_rate(tmp_path: Path, sample_rate: int) -> None:
    path = make_video(tmp_path / "a.mkv", audio=impulse(0.6), sample_rate=sample_rate)
    track = stretch(path, 0.0, 1.0)
    assert abs(peak_seconds(track) - 0.6) <= 1 / min(sample_rate, SAMPLE_RATE_HZ)
    assert np.abs(track.samples).max() == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize(
    ("suffix", "codec", "order"),
    [
        (suffix, codec, order)
        for suffix, codec in [
            (".mp4", "aac"),
            (".mp4", "libmp3lame"),
            (".webm", "libopus"),
            (".mkv", "flac"),
            (".ts", "aac"),
        ]
        for _, order in in_all_orders(suffix)
    ],
)
def test_encoder_delay_is_taken_out(
    tmp_path: Path, suffix: str, codec: str, order: StreamOrder
) -> None:
    video = "libvpx-vp9" if suffix == ".webm" else "libx264"
    path = make_video(
        tmp_path / f"a{suffix}",
        codec=video,
        audio=impulse(0.6, width_seconds=0.004),
        audio_codec=codec,
        sample_rate=48_000,
        b_frames=2 if video == "libx264" else 0,
        stream_order=order,
    )
    media = probe(path)
    first_frame = media.start_seconds  # a transport stream moves both clocks by the same amount
    assert media.audio is not None
    assert peak_seconds(stretch(path, 0.0, 1.2)) - first_frame == pytest.approx(0.6, abs=0.002)


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1", "7.1"])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_the_mix_is_the_mean_of_the_channels(tmp_path: Path, layout: str, suffix: str) -> None:
    num_channels = {"mono": 1, "stereo": 2, "5.1": 6, "7.1": 8}[layout]

    def only_last_channel(times: np.ndarray) -> np.ndarray:
        sound = np.zeros((num_channels, len(times)))
        # Not the low-frequency channel of 5.1 and 7.1: AAC cuts its high frequencies.
        sound[-1] = tone(1000, amplitude=0.8)(times)
        return sound

    path = make_video(
        tmp_path / f"a{suffix}", audio=only_last_channel, layout=layout, sample_rate=48_000
    )
    track = stretch(path, 0.2, 0.8)
    rms = float(np.sqrt(np.mean(track.samples**2)))
    assert rms == pytest.approx(0.8 / np.sqrt(2) / num_channels, rel=0.03)


def test_a_tone_keeps_its_frequency_and_amplitude(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", seconds=1, audio=tone(1000, amplitude=0.5))
    track = stretch(path, 0.1, 0.9)
    times = track.start_seconds + np.arange(len(track.samples)) / SAMPLE_RATE_HZ
    assert np.abs(track.samples - tone(1000, amplitude=0.5)(times)).max() < 5e-3


def test_sound_that_starts_later_is_preceded_by_silence(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", audio=tone(440), audio_start_seconds=0.5)
    track = stretch(path, 0.0, 1.0)
    assert np.all(track.samples[: SAMPLE_RATE_HZ // 2 - 2] == 0)
    assert np.abs(track.samples[SAMPLE_RATE_HZ // 2 + 40 :]).max() > 0.4


def test_sound_that_ends_early_is_followed_by_silence(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", audio=tone(440), audio_seconds=0.3)
    track = stretch(path, 0.0, 1.0)
    assert np.all(track.samples[round(0.31 * SAMPLE_RATE_HZ) :] == 0)
    assert len(track.samples) == SAMPLE_RATE_HZ


def test_a_gap_in_the_timestamps_is_silence_and_what_follows_keeps_its_time(tmp_path: Path) -> None:
    def before_and_after(times: np.ndarray) -> np.ndarray:
        return tone(440, 0.2)(times) + impulse(0.85, amplitude=0.7)(times)

    path = make_video(tmp_path / "a.mkv", audio=before_and_after, audio_gap_seconds=(0.3, 0.6))
    track = stretch(path, 0.0, 1.0)
    inside = track.samples[round(0.34 * SAMPLE_RATE_HZ) : round(0.59 * SAMPLE_RATE_HZ)]
    assert np.all(inside == 0)
    assert peak_seconds(track) == pytest.approx(0.85, abs=0.001)  # Matroska counts milliseconds


def test_where_timestamps_overlap_the_later_samples_are_dropped(tmp_path: Path) -> None:
    path = make_video(tmp_path / "picture.mkv", seconds=1.8, fps=5, audio=None)
    overlapping = tmp_path / "overlapping.mkv"
    with av.open(str(path)) as picture, av.open(str(overlapping), "w") as out:
        video = out.add_stream_from_template(picture.streams.video[0])
        track = out.add_stream("pcm_s16le", rate=SAMPLE_RATE_HZ, layout="mono")
        for number, seconds in enumerate([0.0, 0.5, 0.75, 1.25]):  # half a second each
            level = np.full((1, 8000), 1000 * (number + 1), np.int16)
            frame = av.AudioFrame.from_ndarray(level, "s16", "mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, round(seconds * SAMPLE_RATE_HZ)
            frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
            out.mux(track.encode(frame))
        for packet in picture.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
    heard = stretch(overlapping, 0.0, 1.75).samples * 32768
    assert heard[[4000, 12_000, 15_990, 16_010, 19_990, 20_010, 27_990]].tolist() == [
        1000, 2000, 2000, 3000, 3000, 4000, 4000,
    ]  # fmt: skip


def test_the_chosen_track_is_the_one_heard(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", audio=[silence, impulse(0.4)])
    assert np.all(stretch(path, 0, 1, track=0).samples == 0)
    assert peak_seconds(stretch(path, 0, 1, track=1)) == pytest.approx(0.4, abs=1e-3)


def test_overlapping_stretches_agree_and_forget_what_lies_behind(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", seconds=4, fps=5, audio=tone(123))
    whole = stretch(path, 0.0, 4.0).samples
    sound = MonoSound(probe(path), pytest.fail)
    most = 0
    for k in range(30):
        part = sound.stretch(k * 0.1, k * 0.1 + 1.0)
        first = round(part.start_seconds * SAMPLE_RATE_HZ)
        assert np.array_equal(part.samples, whole[first : first + len(part.samples)])
        most = max(most, sum(chunk.samples.size for chunk in sound._held))
    sound.close()
    assert most < 1.2 * SAMPLE_RATE_HZ


def test_times_before_zero_are_silence(tmp_path: Path) -> None:
    track = stretch(make_video(tmp_path / "a.mkv", audio=tone(440)), -0.5, 0.5)
    assert track.start_seconds == -0.5
    assert np.all(track.samples[: SAMPLE_RATE_HZ // 2] == 0)
    assert np.abs(track.samples[SAMPLE_RATE_HZ // 2 :]).max() > 0.4


def test_what_is_no_number_is_silence(tmp_path: Path) -> None:
    def broken(times: np.ndarray) -> np.ndarray:
        return np.where(times < 0.5, np.nan, tone(440)(times))

    path = make_video(
        tmp_path / "a.mkv", audio=broken, audio_codec="pcm_f32le", sample_rate=SAMPLE_RATE_HZ
    )
    samples = stretch(path, 0.0, 1.0).samples
    assert np.all(samples[: SAMPLE_RATE_HZ // 2 - 100] == 0)
    assert np.abs(samples[SAMPLE_RATE_HZ // 2 :]).max() > 0.4


def test_damaged_packets_are_reported_once_and_leave_the_rest_in_place(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.mp4", seconds=2, audio=impulse(1.6, width_seconds=0.004), faststart=True
    )
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 4
    data[start : start + 400] = b"\xff" * 400
    path.write_bytes(data)
    warnings: list[str] = []
    sound = MonoSound(probe(path), warnings.append)
    track = sound.stretch(0.0, 2.5)
    sound.close()
    assert peak_seconds(track) == pytest.approx(1.6, abs=0.01)
    assert len(warnings) == 1
    assert "silence" in warnings[0]

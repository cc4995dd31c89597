"""Streams that are there and cannot be used are called by what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from avscli.config import ReadOptions
from avscli.errors import EncryptedMediaError, MediaError, NoAudioError
from avscli.media.probe import probe
from avscli.media.reader import read_clips
from tests.broken_streams import (
    common_encryption,
    matroska_encryption,
    sample_aes,
    scrambled,
    windows_media_drm,
    with_noise_for_sound,
    with_sample_entry,
    without_packets,
)
from tests.builders import StreamOrder, in_all_orders, make_video, silence, tone
from tests.unit.media.test_reader import SPEC

Build = Callable[..., Path]
SHORT: dict[str, Any] = {"seconds": 0.3, "size_hw": (32, 48)}


# --- locked ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "name", "scheme"),
    [
        (common_encryption, "a.mp4", "Common Encryption"),
        (common_encryption, "a.mov", "Common Encryption"),
        (partial(with_sample_entry, codec=b"avc1", entry=b"encv"), "a.mp4", "Common Encryption"),
        (partial(with_sample_entry, codec=b"avc1", entry=b"drmi"), "a.mp4", "FairPlay"),
        (windows_media_drm, "a.wmv", "Windows Media DRM"),
        (matroska_encryption, "a.mkv", "Matroska ContentEncryption"),
        (sample_aes, "a.ts", "SAMPLE-AES"),
    ],
)
@pytest.mark.parametrize("order", ["picture-first", "sound-first"])
def test_a_locked_picture_is_called_encrypted(
    tmp_path: Path, build: Build, name: str, scheme: str, order: StreamOrder
) -> None:
    path = build(tmp_path / name, stream_order=order, **SHORT)
    with pytest.raises(EncryptedMediaError) as caught:
        probe(path)
    assert str(caught.value) == f"the picture of {path} is encrypted (DRM: {scheme})"
    assert caught.value.exit_code == 3
    assert "not protected" in caught.value.hint


def test_a_clear_file_in_each_of_these_containers_is_not_called_encrypted(tmp_path: Path) -> None:
    for name, codec in (("a.wmv", "wmv2"), ("a.mkv", "mpeg4"), ("a.ts", "libx264")):
        media = probe(make_video(tmp_path / name, codec=codec, audio_codec="ac3", **SHORT))
        assert media.audio is not None


@pytest.mark.parametrize("pid", [0x100, None])
def test_a_picture_that_never_comes_is_not_called_damaged(tmp_path: Path, pid: int | None) -> None:
    path = tmp_path / "a.ts"
    _ = scrambled(path, **SHORT) if pid is None else without_packets(path, pid, **SHORT)
    with pytest.raises(MediaError, match=r"announces a picture \(h264\) and never sends it") as no:
        probe(path)
    assert "scrambled" in no.value.hint


def test_a_picture_in_an_unknown_codec_is_called_by_the_name_its_container_has(
    tmp_path: Path,
) -> None:
    path = with_sample_entry(tmp_path / "a.mp4", b"avc1", b"zzzz", **SHORT)
    with pytest.raises(MediaError, match=r"the codec of its video stream is unknown \(zzzz\)"):
        probe(path)


# --- tracks that give no sound --------------------------------------------------------------


def refusal(path: Path, track: int = 0) -> MediaError | NoAudioError:
    with pytest.raises((MediaError, NoAudioError)) as caught:
        read_clips(probe(path, audio_track=track), SPEC, ReadOptions(), pytest.fail)
    assert isinstance(caught.value, MediaError | NoAudioError)
    return caught.value


def require_taken_for_silent(path: Path, why: str, track: int = 0) -> None:
    told: list[str] = []
    options = ReadOptions(audio_track=track, no_audio="empty")
    clips = list(read_clips(probe(path, audio_track=track), SPEC, options, told.append))
    assert told == [f"{path.name}: audio track {track} {why}; it is taken for silent"]
    assert all(len(clip.audio.samples) == 0 for clip in clips)
    assert len(clips) == round(SHORT["seconds"] * 30)


@pytest.mark.parametrize(("suffix", "order"), in_all_orders(".mkv", ".flv", ".ts", ".avi"))
def test_a_track_that_never_sends_a_packet_is_no_sound(
    tmp_path: Path, suffix: str, order: StreamOrder
) -> None:
    path = make_video(tmp_path / f"a{suffix}", audio_seconds=0, stream_order=order, **SHORT)
    why = "is announced and never sends a packet"
    error = refusal(path)
    assert isinstance(error, NoAudioError)
    assert str(error) == f"--audio-track 0 of {path} {why}"
    assert "--no-audio empty" in error.hint
    require_taken_for_silent(path, why)


@pytest.mark.parametrize("order", ["picture-first", "sound-first"])
def test_a_track_of_which_every_packet_was_lost_is_no_sound(
    tmp_path: Path, order: StreamOrder
) -> None:
    pid = 0x101 if order == "picture-first" else 0x100
    path = without_packets(tmp_path / "a.ts", pid, stream_order=order, **SHORT)
    assert isinstance(refusal(path), NoAudioError)
    require_taken_for_silent(path, "is announced and never sends a packet")


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".mp4", "aac"), (".mkv", "flac"), (".mp4", "libmp3lame"), (".mkv", "ac3"), (".ts", "aac"),
    ],
)  # fmt: skip
def test_a_track_of_noise_is_called_damaged(tmp_path: Path, suffix: str, codec: str) -> None:
    path = with_noise_for_sound(tmp_path / f"a{suffix}", audio_codec=codec, **SHORT)
    error = refusal(path)
    assert error.exit_code == 3
    assert str(error) == f"--audio-track 0 of {path} is damaged from end to end"
    require_taken_for_silent(path, "is damaged from end to end")


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (b"apac", "is in a codec that nobody here decodes (apac)"),
        (b"iamf", "is in a codec that nobody here decodes (iamf)"),
        (b"zzzz", "is in a codec that nobody here decodes (zzzz)"),
        (b"enca", "is encrypted (DRM: Common Encryption)"),
        (b"drms", "is encrypted (DRM: FairPlay)"),
    ],
)
@pytest.mark.parametrize("order", ["picture-first", "two-sounds-first"])
def test_an_unusable_track_is_refused_with_those_that_can_be_used(
    tmp_path: Path, entry: bytes, why: str, order: StreamOrder
) -> None:
    path = with_sample_entry(
        tmp_path / "a.mp4", b"mp4a", entry, audio=[tone(440), silence], stream_order=order, **SHORT
    )
    error = refusal(path)
    assert error.exit_code == 3
    assert str(error) == f"--audio-track 0 of {path} {why}"
    assert error.hint == "use --audio-track 1, or --no-audio empty to treat it as silent"
    require_taken_for_silent(path, why)
    told: list[str] = []
    options = ReadOptions(audio_track=1)
    clips = list(read_clips(probe(path, audio_track=1), SPEC, options, told.append))
    assert (len(clips), told) == (9, [])


def test_an_unknown_codec_of_matroska_has_no_name(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", audio_codec="aac", **SHORT)
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_XXX"))
    assert "is in a codec that nobody here decodes (nameless)" in str(refusal(path))


def test_where_no_track_can_be_used_none_is_offered(tmp_path: Path) -> None:
    path = with_sample_entry(tmp_path / "a.mp4", b"mp4a", b"apac", **SHORT)
    assert refusal(path).hint == "use --no-audio empty to treat it as silent"

"""Files that PyAV does not know and the ffmpeg program does: IMF compositions, with their sound."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avscli.batch.jobs import failure
from avscli.config import ReadOptions
from avscli.errors import (
    MediaError,
    OutputError,
    UnknownContainerError,
    UsageError,
)
from avscli.media.containers import open_input
from avscli.media.fallback import probed
from avscli.media.ffmpeg_jobs import write_wav
from avscli.media.frames import FrameReader
from avscli.media.sound import MonoSound
from tests.builders import make_video, truncated_copy
from tests.imf import make_imf


def test_a_known_container_is_read_itself(tmp_path: Path, temporary: Path) -> None:
    source = make_video(tmp_path / "clip.mp4")
    with probed(source) as media:
        assert media.path == media.opened_path == source
        assert list(temporary.iterdir()) == []


def test_an_unknown_container_is_read_from_a_copy_of_its_streams(
    tmp_path: Path, temporary: Path
) -> None:
    source = make_imf(tmp_path / "imf", seconds=1.2)
    with pytest.raises(UnknownContainerError), open_input(source):
        pytest.fail("PyAV reads IMF by now: the fallback needs another test")
    with probed(source) as media:
        assert media.path == source
        assert media.opened_path.is_relative_to(temporary)
        assert (media.height, media.width, media.frame_rate) == (64, 96, 25)
        assert (media.container, media.video_codec) == ("matroska,webm", "mpeg2video")
        assert media.audio is not None
        assert media.audio.codec == "pcm_s16le"
        assert MonoSound(media, pytest.fail).stretch(0.2, 1.0).samples.std() > 0.3
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_what_the_program_cannot_read_either_fails_as_pyav_did(
    tmp_path: Path, temporary: Path, share: float
) -> None:
    whole = make_video(tmp_path / "whole.mp4")
    source = truncated_copy(whole, tmp_path / "clip.mp4", share)
    with pytest.raises(UnknownContainerError) as plain, open_input(source):
        pytest.fail("the index was still there")
    with pytest.raises(MediaError) as caught, probed(source):
        pytest.fail("no program can read it")
    assert str(caught.value) == str(plain.value)
    assert "ffmpeg program" in str(caught.value.__cause__)
    assert list(temporary.iterdir()) == []


def test_only_unknown_containers_are_copied(tmp_path: Path, temporary: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    for name in ("missing.mp4", "temporary", "empty.mp4"):
        with pytest.raises(MediaError) as caught, probed(tmp_path / name):
            pytest.fail(f"{name} is no video")
        assert not isinstance(caught.value, UnknownContainerError)
    assert list(temporary.iterdir()) == []


def test_a_name_as_long_as_a_disk_allows_does_not_keep_from_copying(
    tmp_path: Path, temporary: Path
) -> None:
    source = make_imf(tmp_path / "imf")
    source = source.rename(source.with_name("x" * 251 + ".xml"))
    with probed(source) as media:
        assert (media.path, media.video_codec) == (source, "mpeg2video")


def test_an_audio_track_that_the_copy_lacks_is_one_that_the_source_lacks(
    tmp_path: Path, temporary: Path
) -> None:
    source = make_imf(tmp_path / "imf")
    with (
        pytest.raises(UsageError, match="--audio-track 3") as caught,
        probed(source, audio_track=3),
    ):
        pytest.fail("there is one track")
    assert f"{source} has 1" in str(caught.value)
    assert list(temporary.iterdir()) == []


def _truncate(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:64])


def _make_folder(copy: Path) -> None:
    copy.unlink()
    copy.mkdir()


def _make_pipe(copy: Path) -> None:
    copy.unlink()
    os.mkfifo(copy)


def _leave_sound_only(copy: Path) -> None:
    write_wav(copy, np.zeros(16_000, np.float32), 16_000)


@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        _truncate,
        _make_folder,
        _make_pipe,
        _leave_sound_only,
        lambda copy: copy.write_bytes(b""),
        lambda copy: copy.write_bytes(b"no video"),
    ],
)
def test_what_is_wrong_with_the_copy_is_said_of_the_source(
    tmp_path: Path, temporary: Path, spoil: Callable[[Path], object]
) -> None:
    source = make_imf(tmp_path / "imf")
    with probed(source) as media:
        spoil(media.opened_path)
        with pytest.raises(MediaError) as caught:
            list(FrameReader(media, ReadOptions(), pytest.fail))
    assert str(source) in str(caught.value)
    assert str(temporary) not in str(caught.value)


def test_a_disk_too_small_for_the_copy_is_called_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_imf(tmp_path / "imf", seconds=4)
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() != 0 or os.system(f"mount -t tmpfs -o size=64k tmpfs {small} 2>/dev/null"):
        pytest.skip("needs the right to mount a small file system")
    try:
        monkeypatch.setattr(tempfile, "tempdir", str(small))
        with pytest.raises(OutputError, match="No space left on device") as caught, probed(source):
            pytest.fail("there is no room")
    finally:
        os.system(f"umount {small}")
    assert failure(caught.value).can_pass


def test_a_temporary_folder_that_cannot_be_made_is_no_internal_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_imf(tmp_path / "imf")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(OutputError, match="cannot make a temporary folder") as caught:
        probed(source).__enter__()
    assert "TMPDIR" in caught.value.hint


def test_a_composition_does_not_reach_the_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/picture.mxf"
        source = make_imf(tmp_path / "imf", picture=address)
        with pytest.raises(MediaError, match="cannot read"), probed(source):
            pytest.fail("the picture is on the network")
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has called
            server.accept()

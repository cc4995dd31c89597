"""Files that PyAV does not know and the ffmpeg program does: IMF compositions, with their sound."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from avscli.errors import MediaError, NoAudioError, UnknownContainerError, UsageError
from avscli.media.containers import open_input
from avscli.media.fallback import probed
from avscli.media.sound import MonoSound
from tests.builders import make_video, truncated_copy
from tests.imf import make_imf


def test_a_known_container_is_read_itself(tmp_path: Path, temporary: Path) -> None:
    source = make_video(tmp_path / "clip.mp4")
    with probed(source) as media:
        assert media.path == source
        assert list(temporary.iterdir()) == []


def test_an_unknown_container_is_read_from_a_copy_of_its_streams(
    tmp_path: Path, temporary: Path
) -> None:
    source = make_imf(tmp_path / "imf", seconds=1.2)
    with pytest.raises(UnknownContainerError), open_input(source):
        pytest.fail("PyAV reads IMF by now: the fallback needs another test")
    with probed(source) as media:
        assert media.path.name == source.name
        assert media.path.is_relative_to(temporary)
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


def test_errors_about_the_copy_name_the_source(tmp_path: Path, temporary: Path) -> None:
    source = make_imf(tmp_path / "imf")
    with (
        pytest.raises(UsageError, match="--audio-track 3") as caught,
        probed(source, audio_track=3),
    ):
        pytest.fail("there is one track")
    assert f"{source} has 1" in str(caught.value)
    with pytest.raises(NoAudioError) as later, probed(source) as media:
        raise NoAudioError(f"{media.path} has no audio track", hint="as a reader would")
    assert str(later.value) == f"{source} has no audio track"
    assert later.value.hint == "as a reader would"
    assert list(temporary.iterdir()) == []


def test_a_composition_does_not_reach_the_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/picture.mxf"
        source = make_imf(tmp_path / "imf", picture=address)
        with pytest.raises(MediaError, match="cannot read"), probed(source):
            pytest.fail("the picture is on the network")
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has called
            server.accept()

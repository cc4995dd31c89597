"""A source is hashed beside the work, and nothing waits for the hash that does not need it."""

import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from avscli.errors import MediaError
from avscli.media import source_hash
from avscli.media.source_hash import SourceHash


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [t.name for t in threading.enumerate() if t.name.startswith("avs-hash")]


@pytest.mark.parametrize("num_bytes", [1, 1 << 20, (1 << 20) + 1, 3_000_000])
def test_the_hash_is_that_of_all_bytes(tmp_path: Path, num_bytes: int) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(os.urandom(num_bytes))
    with SourceHash(path) as hashing:
        digest = hashing.hexdigest(lambda _share: None)
        hashing.check()
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_cannot_be_read_is_a_media_error_with_its_cause(tmp_path: Path) -> None:
    with SourceHash(tmp_path / "gone.mp4") as hashing:
        with pytest.raises(MediaError, match=r"cannot read .*gone\.mp4: No such file") as waited:
            hashing.hexdigest(lambda _share: None)
        with pytest.raises(MediaError):
            hashing.check()
    assert isinstance(waited.value.__cause__, OSError)
    assert waited.value.__cause__.errno == errno.ENOENT


def test_waiting_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_hash, "_TELL_SECONDS", 0.001)
    pipe = tmp_path / "slow"
    os.mkfifo(pipe)
    told: list[float] = []
    is_told = threading.Event()

    def tell(share: float) -> None:
        told.append(share)
        is_told.set()

    def feed() -> None:
        with pipe.open("wb") as end:
            assert is_told.wait(10)
            end.write(b"late")

    feeder = threading.Thread(target=feed)
    feeder.start()
    with SourceHash(pipe) as hashing:
        assert hashing.hexdigest(tell) == hashlib.sha256(b"late").hexdigest()
    feeder.join()
    assert told[0] == 0.0


def test_leaving_early_does_not_wait_for_the_rest(tmp_path: Path) -> None:
    pipe = tmp_path / "endless"
    os.mkfifo(pipe)

    def feed() -> None:
        try:
            with pipe.open("wb", buffering=0) as end:
                while True:
                    end.write(bytes(4096))
        except BrokenPipeError:
            return

    feeder = threading.Thread(target=feed)
    feeder.start()

    def leave() -> None:
        with SourceHash(pipe):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()
    feeder.join(10)
    assert not feeder.is_alive()

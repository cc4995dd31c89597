"""A file is read once while the budget lasts, and the budget is kept."""

from pathlib import Path

import pytest

from avscli.training.couples.file_cache import FileCache


@pytest.fixture
def read() -> list[str]:
    """Return the names of what was read, in order."""
    return []


@pytest.fixture
def cache(tmp_path: Path, read: list[str]) -> FileCache[str, bytes]:
    """Return a cache of twelve bytes over files that hold their own names."""

    def contents(name: str) -> bytes:
        read.append(name)
        return (tmp_path / name).read_bytes()

    for name in ("four", "ten", "three", "eleven", "the one that is too large"):
        (tmp_path / name).write_bytes(name.encode())
    return FileCache(contents, len, most_bytes=12)


def test_a_file_is_read_once(cache: FileCache[str, bytes], read: list[str]) -> None:
    assert [cache("four"), cache("ten"), cache("four")] == [b"four", b"ten", b"four"]
    assert read == ["four", "ten"]
    assert cache.num_bytes == 7


def test_what_is_unused_for_longest_is_forgotten(
    cache: FileCache[str, bytes], read: list[str]
) -> None:
    for name in ("three", "four", "three", "eleven", "three", "four"):
        assert cache(name) == name.encode()
    assert read == ["three", "four", "eleven", "four"]


def test_the_budget_is_never_exceeded_even_by_one_file(
    cache: FileCache[str, bytes], read: list[str]
) -> None:
    for name in ("four", "the one that is too large", "three", "ten", "four", "four"):
        assert cache(name) == name.encode()
        assert cache.num_bytes <= 12
    assert read == ["four", "the one that is too large", "three", "ten", "four"]

"""Look-ahead is bounded, keeps order, passes errors on, and never leaves a thread behind."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from avscli.media.prefetch import prefetch


def prefetch_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("avs-prefetch")]


class Counting:
    """Counts up for ever and remembers how far it was asked and whether it was closed."""

    def __init__(self) -> None:
        self.asked = 0
        self.closed = False

    def __iter__(self) -> Iterator[int]:
        try:
            while True:
                self.asked += 1
                yield self.asked - 1
        finally:
            self.closed = True


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_items_arrive_in_order(depth: int) -> None:
    assert list(prefetch(range(50), depth)) == list(range(50))


def test_nothing_in_is_nothing_out() -> None:
    assert list(prefetch([], 2)) == []


def test_look_ahead_is_bounded_by_depth() -> None:
    source = Counting()
    with closing(prefetch(source, depth=3)) as items:
        assert next(items) == 0
        time.sleep(0.05)
        assert source.asked == 1 + 3


def test_an_error_reaches_the_consumer_after_the_items_before_it() -> None:
    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("disk gone")

    items = prefetch(failing(), depth=4)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(OSError, match="disk gone"):
        next(items)
    assert prefetch_threads() == []


def test_abandoning_it_ends_the_thread_and_closes_the_source() -> None:
    source = Counting()
    with closing(prefetch(source, depth=2)) as items:
        next(items)
        assert prefetch_threads() != []
    assert prefetch_threads() == []
    assert source.closed


def test_a_consumer_that_raises_ends_the_thread() -> None:
    def consume() -> None:
        with closing(prefetch(Counting(), depth=2)) as items:
            for _ in items:
                raise RuntimeError("sink")

    started = time.monotonic()
    with pytest.raises(RuntimeError, match="sink"):
        consume()
    assert prefetch_threads() == []
    assert time.monotonic() - started < 5


def test_depth_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="depth"):
        next(prefetch([1], depth=0))

"""Look-ahead is bounded, keeps order, passes errors on, and never leaves a thread behind."""

import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import islice

import pytest

from avscli.media.prefetch import prefetch


def prefetch_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("avs-prefetch")]


PATIENCE_SECONDS = 60.0  # of a machine under load, before a wait counts as a failure


class Counting:
    """Counts up for ever and remembers how far it was asked and whether it was closed."""

    def __init__(self) -> None:
        self.asked = 0
        self.closed = False
        self.progress = threading.Condition()

    def wait_until_asked(self, times: int) -> bool:
        """Wait for the thread that asks; say whether it asked that often."""
        with self.progress:
            return self.progress.wait_for(lambda: self.asked >= times, PATIENCE_SECONDS)

    def __iter__(self) -> Iterator[int]:
        try:
            while True:
                with self.progress:
                    self.asked += 1
                    self.progress.notify_all()
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
        for taken, item in enumerate(islice(items, 200), start=1):
            assert item == taken - 1
            assert source.wait_until_asked(taken + 3)
            assert source.asked == taken + 3


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

    with pytest.raises(RuntimeError, match="sink"):
        consume()
    assert prefetch_threads() == []


def test_depth_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="depth"):
        next(prefetch([1], depth=0))

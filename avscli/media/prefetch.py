"""Work ahead in a second thread, by a bounded number of items."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")


class _End:
    """Stands in the queue where the iterable ended."""


_END: Final = _End()


def prefetch(iterable: Iterable[T], depth: int) -> Generator[T, None, None]:
    """Yield the items of `iterable` in order while a thread prepares up to `depth` of the next.

    An error in the iterable is raised to the consumer in its place. Closing the generator lets
    the item in work finish, drops the rest, closes the iterable and ends the thread, so consume
    it inside ``contextlib.closing``: an iterator that a traceback keeps alive keeps its thread.

    Args:
        iterable: what to work through; only ever advanced in one thread.
        depth: items held ready at most, at least 1.

    Example:
        >>> list(prefetch("abc", depth=2))
        ['a', 'b', 'c']
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}")
    iterator = iter(iterable)
    # One worker, so the futures complete in the order of the items; asking for an item only after
    # one was taken is what bounds the look-ahead, without a queue that could block.
    worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="avs-prefetch")
    ahead: deque[Future[T | _End]] = deque()
    try:
        ahead.extend(worker.submit(next, iterator, _END) for _ in range(depth))
        while not isinstance(item := ahead.popleft().result(), _End):
            ahead.append(worker.submit(next, iterator, _END))
            yield item
    finally:
        worker.shutdown(wait=True, cancel_futures=True)
        if isinstance(iterator, Generator):
            iterator.close()

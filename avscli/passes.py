"""Several passes of a network on the CPU at once, each on threads of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    InputT = TypeVar("InputT")
    OutputT = TypeVar("OutputT")

MOST_AT_ONCE = 4  # each holds the maps of a few frames; beyond, passes get more threads instead


class Passes:
    """Runs passes side by side.

    Threads that share a pass wait for each other at every one of some three hundred operators, and
    a core that decodes or encodes meanwhile holds all of them up. Passes that share nothing wait
    for nobody: on two cores `avs segment` takes a seventh less time in float32, a quarter in
    bfloat16.

    Args:
        num_threads: of all passes together.

    Attributes:
        at_once: passes that run side by side; with 1, they run where they are asked for.
    """

    def __init__(self, num_threads: int = 1) -> None:
        self.at_once = min(num_threads, MOST_AT_ONCE)
        self._workers = None
        if self.at_once > 1:
            self._workers = _workers(self.at_once, num_threads // self.at_once)

    def run(self, one_pass: Callable[[InputT], OutputT], parts: Sequence[InputT]) -> list[OutputT]:
        """Return what a pass gives for each part, in order; one alone has all threads."""
        if self._workers is None or len(parts) == 1:
            return [one_pass(part) for part in parts]
        return list(self._workers.map(one_pass, parts))


def _workers(count: int, threads_each: int) -> ThreadPoolExecutor:
    """Return workers that have started, with as many threads for PyTorch's operators as said."""
    of_caller = torch.get_num_threads()
    all_there = Barrier(count)

    def begin() -> None:
        # It is a number of the process until a thread has used it once, and its own from then on.
        torch.set_num_threads(threads_each)
        torch.get_num_threads()
        all_there.wait()

    workers = ThreadPoolExecutor(count, "avs-pass")
    for started in [workers.submit(begin) for _ in range(count)]:
        started.result()
    torch.set_num_threads(of_caller)
    return workers

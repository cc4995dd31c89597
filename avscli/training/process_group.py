"""The processes that train together: one alone, or those that torchrun started."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

_Item = TypeVar("_Item")
# One process checks the data or writes a checkpoint while the others wait.
_LONGEST_WAIT = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """This process among those that train together.

    Attributes:
        rank: of this process, 0 … world_size − 1.
        world_size: how many there are.
    """

    rank: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def own(self, items: Sequence[_Item]) -> Sequence[_Item]:
        """Return this process's part of something that all of them know."""
        return items[self.rank :: self.world_size]

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, the same in each; `values` is not kept."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def share_buffers(self, module: nn.Module) -> None:
        """Give every process the buffers of the first, such as batch-norm statistics."""
        if self.world_size > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, src=0)


@contextmanager
def joined_processes(device: str) -> Iterator[ProcessGroup]:
    """Join the processes that torchrun started; be alone otherwise.

    Args:
        device: of this process; decides how they talk to each other.
    """
    if not dist.is_torchelastic_launched():
        yield ProcessGroup()
        return
    dist.init_process_group("nccl" if "cuda" in device else "gloo", timeout=_LONGEST_WAIT)
    try:
        yield ProcessGroup(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def own_device(device: str) -> str:
    """Return the device of this process: with torchrun, ``cuda`` is one of several.

    >>> own_device("cpu")
    'cpu'
    """
    if device == "cuda" and dist.is_torchelastic_launched():
        device = f"cuda:{dist.get_node_local_rank(0)}"
        torch.cuda.set_device(device)
    return device

"""What every AVS network promises, whatever sits inside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from avscli.datatypes import NetworkInput, NetworkOutput, NetworkSpec


class AVSNetwork(Protocol):
    """Frames and log-mel patches in, logits of every supervised stage out.

    Implementations are ``torch.nn.Module``; constructors never read files and never pick a
    device (`avscli.checkpoints.load_network` does both).
    """

    spec: NetworkSpec

    def __call__(self, inputs: NetworkInput) -> NetworkOutput:
        """Run the network; see `NetworkOutput` for shapes."""
        ...

    def eval(self) -> nn.Module:
        """Switch to inference statistics."""
        ...

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Iterate over the weights."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Return the weights by name."""
        ...

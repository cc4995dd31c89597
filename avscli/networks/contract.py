"""What every AVS network promises, whatever sits inside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from avscli.datatypes import CheckpointInfo, NetworkInput, NetworkOutput, NetworkSpec


class AVSNetwork(Protocol):
    """Frames and log-mel patches in, logits of every supervised stage out.

    Implementations are ``torch.nn.Module``; constructors never read files and never pick a
    device (`avscli.checkpoints.load_network` does both).

    Attributes:
        spec: what the network expects and promises.
        checkpoint: where its weights came from; None before any were loaded.
    """

    spec: NetworkSpec
    checkpoint: CheckpointInfo | None

    def __call__(self, inputs: NetworkInput) -> NetworkOutput:
        """Run the network; see `NetworkOutput` for shapes."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Return the weights by name."""
        ...


@runtime_checkable
class HearsApart(Protocol):
    """A network that encodes each window of sound by itself, so that steps can share them."""

    def encode_sound(self, log_mel: Tensor) -> Tensor:
        """Return embeddings [N, D] of log-mel patches [N, 1, ·, ·] of the spec's kind."""
        ...

"""What every AVS network promises, whatever sits inside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from avscli.datatypes import CheckpointInfo, NetworkInput, NetworkOutput, NetworkSpec
    from avscli.networks.losses import Supervision


class AVSNetwork(Protocol):
    """Frames and log-mel patches in, logits of every supervised stage out.

    Implementations are ``torch.nn.Module``; constructors never read files and never pick a
    device (`avscli.checkpoints.load_network` does both). To be trained as others are, they call
    their picture encoder ``backbone`` and their sound encoder ``audio_encoder``; a parameter that
    asks for no gradient when it is built is never trained.

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


@runtime_checkable
class HasOwnLosses(Protocol):
    """A network that learns by other losses than those of its supervised stages alone."""

    def losses(self, inputs: NetworkInput, truth: Supervision) -> dict[str, Tensor]:
        """Run the network, and return each of its losses by name.

        Args:
            inputs: B clips of T steps.
            truth: of these.

        Returns:
            float32 scalars, each a sum over the labelled steps (`avscli.networks.losses.mask_loss`
            is one); finite, and with every trained parameter in their graphs, also when no step is
            labelled. A recipe's ``loss_weights`` weigh them.
        """
        ...

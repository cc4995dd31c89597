"""Fill a network from a state dict, or say exactly why it does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.errors import CheckpointMismatchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

# Batch norm counts its training batches; nothing reads the count, and old files lack it.
COUNTER = "num_batches_tracked"


def load_strictly(network: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Copy ``state`` into ``network``; every key and every shape must agree.

    Batch-norm counters may be missing.

    Args:
        network: the module to fill, in place.
        state: weights by name.
        source: what the weights are, for the error message, e.g. ``"the ImageNet weights"``.

    Raises:
        CheckpointMismatchError: naming the first missing, unexpected, and misshapen key.
    """
    own = network.state_dict()
    require_shapes(state, {key: tuple(value.shape) for key, value in own.items()}, source=source)
    network.load_state_dict(own | dict(state), strict=True)


def require_shapes(
    state: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], *, source: str
) -> None:
    """Check that ``state`` has the ``expected`` keys and shapes and no others.

    Raises:
        CheckpointMismatchError: naming the first missing, unexpected, and misshapen key.
    """
    missing = [key for key in expected if key not in state and not key.endswith(COUNTER)]
    unexpected = [key for key in state if key not in expected]
    misshapen = [
        f"{key} {list(state[key].shape)} instead of {list(shape)}"
        for key, shape in expected.items()
        if key in state and tuple(state[key].shape) != shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    if told := "; ".join(_told(what, keys) for what, keys in found.items() if keys):
        raise CheckpointMismatchError(
            f"{source} does not fit: {told}",
            hint="check that the weights belong to this network and to this form of it",
        )


def _told(what: str, keys: Sequence[str]) -> str:
    more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
    return f"{what}: {keys[0]}{more}"

"""Read a state dict and fill a network from it, or say exactly why that cannot be."""

from __future__ import annotations

import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from avscli.errors import CheckpointMismatchError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

# Batch norm counts its training batches; nothing reads the count, and old files lack it.
COUNTER = "num_batches_tracked"
# What torch.load raises on damaged files, found by flipping and cutting bytes of real ones.
DAMAGE = (
    AssertionError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
)


def read_state_dict(path: str | Path) -> Mapping[str, Tensor]:
    """Read a state dict saved by ``torch.save`` or as safetensors, without running any code.

    Raises:
        WeightsError: the file is missing or damaged, or holds anything but named tensors.
    """
    if Path(path).suffix == ".safetensors":
        return _read_safetensors(Path(path))
    try:
        with warnings.catch_warnings():
            # PyTorch warns of odd pickle protocols, in words about its own source.
            warnings.simplefilter("ignore", UserWarning)
            loaded: object = torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGE as err:
        reason = (str(err) or type(err).__name__).splitlines()[0]
        raise WeightsError(
            f"cannot read {path} as a PyTorch checkpoint: {reason}",
            hint="give the .pth file that a training script saved",
        ) from err
    if not isinstance(loaded, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in loaded.items()
    ):
        raise WeightsError(
            f"{path} holds {type(loaded).__name__}, not a state dict of tensors",
            hint="save model.state_dict() and nothing else",
        )
    return loaded


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as err:
        reason = str(err).splitlines()[0]
        raise WeightsError(f"cannot read {path} as safetensors: {reason}") from err


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
    if misfits := "; ".join(_listed(what, keys) for what, keys in found.items() if keys):
        raise CheckpointMismatchError(
            f"{source} does not fit: {misfits}",
            hint="check that the weights belong to this network and to this form of it",
        )


def _listed(what: str, keys: Sequence[str]) -> str:
    more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
    return f"{what}: {keys[0]}{more}"

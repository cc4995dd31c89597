"""What inference saves beside training: norms and activations become part of convolutions."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from avscli.networks.backbones.mobilenet_v2 import SameConv

if TYPE_CHECKING:
    from torch import Tensor

_OPERATOR = "_convolution_pointwise"  # private to PyTorch, which compiles networks to it
# By oneDNN's names, with the numbers that it takes.
_ACTIVATIONS: dict[type[nn.Module], tuple[str, list[float]]] = {
    nn.Identity: ("none", []),
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
    nn.Hardswish: ("hardswish", []),
}


def fold_batch_norms(network: nn.Module) -> None:
    """Fold, in place, each batch norm that follows a convolution in an `nn.Sequential`.

    At inference it is a linear map of every channel, and so part of the convolution before it. The
    network must be in evaluation mode; it gives the same values, rounded otherwise, and its state
    dict is no longer that of a checkpoint.
    """
    for module in list(network.modules()):
        if not isinstance(module, nn.Sequential):
            continue
        for (place, layer), (following, norm) in pairwise(module.named_children()):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, place, fuse_conv_bn_eval(layer, norm))
                setattr(module, following, nn.Identity())


def fuse_activations(network: nn.Module) -> None:
    """Have oneDNN compute, in place, each convolution with the activation that follows it.

    That is for networks on the CPU, in evaluation mode. In an `nn.Sequential` what follows a
    convolution joins it; all others are computed alone. Values are the same but for rounding; the
    state dict is no longer that of a checkpoint.

    Left to itself, PyTorch gives 1×1 convolutions of one thread to other code, which copies maps
    into another memory layout, and passes over each map once more for its activation.
    """
    if not hasattr(torch.ops.mkldnn, _OPERATOR):  # PyTorch was built without oneDNN
        return
    for module in list(network.modules()):
        for place, layer in list(module.named_children()):
            convolution = layer.padded_all_around() if isinstance(layer, SameConv) else layer
            if isinstance(convolution, nn.Conv2d) and _is_plain(convolution):
                setattr(module, place, FusedConvolution(convolution))
        if isinstance(module, nn.Sequential):
            _join_activations(module)


def _is_plain(convolution: nn.Conv2d) -> bool:
    """Whether it does what its numbers say: no forward of its own, no padding but zeros."""
    pads = convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)
    return type(convolution) in (nn.Conv2d, SameConv) and pads


def _join_activations(layers: nn.Sequential) -> None:
    convolution: FusedConvolution | None = None
    for place, layer in list(layers.named_children()):
        if isinstance(layer, FusedConvolution):
            convolution = layer
        elif isinstance(layer, nn.Identity):
            continue  # a norm was here
        else:
            if convolution is not None and type(layer) in _ACTIVATIONS:
                convolution.activation = layer
                setattr(layers, place, nn.Identity())
            convolution = None


class FusedConvolution(nn.Module):
    """A convolution and its activation in one pass over memory.

    Args:
        convolution: padded with zeros.

    Attributes:
        activation: one of those that oneDNN knows.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution
        self.activation: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, h, w] in the arithmetic that holds around; unfused what has a gradient."""
        conv = self.convolution
        is_low = torch.is_autocast_enabled("cpu")  # of which the operator knows nothing
        dtype = torch.get_autocast_dtype("cpu") if is_low else conv.weight.dtype
        if torch.is_grad_enabled() or not _is_known_to_onednn(dtype):
            plain: Tensor = self.activation(conv(x))
            return plain
        fused: Tensor = getattr(torch.ops.mkldnn, _OPERATOR)(
            x.to(dtype),
            conv.weight.to(dtype),
            None if conv.bias is None else conv.bias.to(dtype),
            conv.padding,
            conv.stride,
            conv.dilation,
            conv.groups,
            *_ACTIVATIONS[type(self.activation)],
            "",
        )
        return fused


@cache
def _is_known_to_onednn(dtype: torch.dtype) -> bool:
    """Whether its fused convolutions compute in a precision here; it refuses others."""
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32

"""Batch norm folded into the convolutions before it: the same numbers for less work."""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


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

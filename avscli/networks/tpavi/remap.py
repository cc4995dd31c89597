"""Read the authors' TPAVI checkpoints: from their key names to ours.

S4 and MS3 share one network; AVSS has 71 classes, no bias in the projection of the sounds, and cuts
its clips of ten steps into two halves that do not hear each other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from avscli.networks.published import (
    backbone_key,
    backbone_of,
    published_spec,
    telling_size,
    without_wrapper,
)
from avscli.networks.state_dicts import require_shapes
from avscli.networks.tpavi.adapter import build

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from avscli.networks.published import Backbone
    from avscli.networks.tpavi.network import TPAVI

SOURCE = "the published TPAVI state dict"
CHANNELS = 256
STEPS_TOGETHER = 5  # of the 71-class form's ten
# Stored but never executed: the deepest stage has nothing coarser to be added to.
DEAD_KEYS = re.compile(r"path4\.resConfUnit1\.")
_BLOCK = {
    "align": "align_channel",
    "w_z": "W_z.0",
    "w_z_norm": "W_z.1",
    "norm": "norm_layer",
}
_UNITS = {"own": "resConfUnit1", "joined": "resConfUnit2"}
_HEAD = {"near": "0", "far": "2", "scores": "4"}


def load_published(state: Mapping[str, Tensor], *, clip_length: int) -> TPAVI:
    """Fill our TPAVI from a published state dict; task and picture encoder are told from its keys.

    Args:
        state: as saved by the authors' training, with or without the prefix of a wrapper.
        clip_length: T, the steps of a clip: 5 for S4 and MS3, 10 for AVSS.

    Raises:
        CheckpointMismatchError: naming the first published key that is missing, unexpected, or
            of another shape.
    """
    published = {k: v for k, v in without_wrapper(state).items() if not DEAD_KEYS.match(k)}
    backbone = backbone_of(published, SOURCE)
    num_classes = telling_size(published, "output_conv.4.weight", SOURCE)
    together = {} if num_classes == 1 else {"steps_together": STEPS_TOGETHER}
    spec = published_spec(
        "tpavi",
        num_classes=num_classes,
        clip_length=clip_length,
        architecture={"backbone": backbone, "channels": CHANNELS, **together},
    )
    network = build(spec).eval()
    names = {key: published_key(key, backbone) for key in network.state_dict()}
    fill(network, published, names, source=SOURCE)
    return network


def fill(
    network: nn.Module, published: Mapping[str, Tensor], names: Mapping[str, str], *, source: str
) -> None:
    """Copy published weights into a network with TPAVI's blocks, in place.

    Args:
        network: of which other tensors stay.
        published: all of them are asked for.
        names: our key → published key.
        source: what is read, for error messages.

    Raises:
        CheckpointMismatchError: as `load_published`.
    """
    own = network.state_dict()
    expected = {name: _published_shape(name, own[key]) for key, name in names.items()}
    require_shapes(published, expected, source=source)
    filled = {k: published[n].reshape(own[k].shape) for k, n in names.items() if n in published}
    network.load_state_dict(own | filled)


def published_key(key: str, backbone: Backbone) -> str:
    """Return the published name of one of our keys, e.g. ``decoder.tpavi.0.theta.weight``."""
    part, rest = key.split(".", 1)
    if part == "backbone":
        return backbone_key(rest, backbone)
    if part == "project":
        stage, _, branch, leaf = rest.split(".")
        return f"conv{int(stage) + 1}.conv2d_list.{branch}.{leaf}"
    return decoder_key(rest, block="tpavi_b{}")


def decoder_key(key: str, *, block: str) -> str:
    """Return the published name of a key of an `InteractingDecoder`.

    Args:
        key: of ours, e.g. ``paths.3.joined.conv1.bias``.
        block: how the interaction of stage {} is called.
    """
    part, rest = key.split(".", 1)
    if part in _HEAD:
        return f"output_conv.{_HEAD[part]}.{rest}"
    index, room, tail = rest.split(".", 2)
    stage = int(index) + 1
    if part == "paths":
        return f"path{stage}.{_UNITS[room]}.{tail}"
    return f"{block.format(stage)}.{_BLOCK.get(room, room)}.{tail}"


def _published_shape(name: str, own: Tensor) -> tuple[int, ...]:
    """Return a published tensor's shape; maps of a clip's pixels are convolutions there."""
    shape = tuple(own.shape)
    is_pointwise = re.search(r"\.(theta|phi|g|W_z\.0)\.weight$", name)
    return (*shape, 1, 1, 1) if is_pointwise else shape

"""Read the authors' C3N checkpoints: from their key names to ours.

They hold neither the similarity of labels nor the tag head, so what is read here can be compared
with the published code but hears nothing until it is given both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from avscli.networks.c3n.adapter import build
from avscli.networks.published import (
    backbone_key,
    backbone_of,
    published_spec,
    telling_size,
    without_wrapper,
)
from avscli.networks.tpavi.remap import CHANNELS, DEAD_KEYS, decoder_key, fill

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from avscli.networks.c3n.network import C3N
    from avscli.networks.published import Backbone

SOURCE = "the published C3N state dict"
_LOOKS = {"whole": "conv", "near": "atrous_block1", "join": "conv_1x1_output"}
_DILATED = ("atrous_block6", "atrous_block12", "atrous_block18")


def load_published(state: Mapping[str, Tensor], *, clip_length: int) -> C3N:
    """Fill our C3N from a published state dict of the PVT form.

    Args:
        state: as saved by the authors' training, with or without the prefix of a wrapper.
        clip_length: T, the steps of a clip: 5.

    Raises:
        CheckpointMismatchError: naming the first published key that is missing, unexpected, or
            of another shape.
    """
    published = {k: v for k, v in without_wrapper(state).items() if not DEAD_KEYS.match(k)}
    backbone = backbone_of(published, SOURCE)
    num_classes = telling_size(published, "encoder_backbone.head.weight", SOURCE)
    spec = published_spec(
        "c3n",
        num_classes=telling_size(published, "output_conv.4.weight", SOURCE),
        clip_length=clip_length,
        architecture={
            "backbone": backbone,
            "channels": CHANNELS,
            "picture_classes": num_classes,
        },
    )
    network = build(spec).eval()
    names = {
        key: published_key(key, backbone) for key in network.state_dict() if key != "similarity"
    }
    fill(network, published, names, source=SOURCE)
    return network


def published_key(key: str, backbone: Backbone) -> str:
    """Return the published name of one of our keys, e.g. ``project.0.near.weight``."""
    part, rest = key.split(".", 1)
    if part in ("backbone", "classifier"):
        return backbone_key(rest, backbone)
    if part == "project":
        stage, look, leaf = rest.split(".", 2)
        name = _LOOKS.get(look, look)
        if branch := re.match(r"(\d)\.", leaf):
            name, leaf = _DILATED[int(branch[1])], leaf[branch.end() :]
        return f"conv{int(stage) + 1}.{name}.{leaf}"
    return decoder_key(rest, block="tpavi_{}")

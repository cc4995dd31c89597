"""From the published PCMANet checkpoints' key names to ours.

The authors' code exists in six forms: three tasks (S4, MS3, AVSS) times two picture encoders
(PVT-v2-b5, ResNet-50). They differ in a few names and sizes, which are read off the state dict
itself. Key names are facts needed to open such files; none of the published code is used here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from avscli.networks.published import backbone_key, backbone_of, telling_size, without_wrapper
from avscli.networks.state_dicts import require_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from avscli.networks.published import Backbone

SOURCE = "the published PCMANet state dict"
# Names of other releases: MS3 with PVT says aud_fc, its first commit said avga{k}.fc1.
ALIASES = ((r"^aud_fc\.", "aud_fc1."), (r"^(avga[1-4])\.fc1\.", r"\1.fc."))
# Stored but never executed: the fusion of a stage that does not exist, and stage 1's keys for an
# audio token that nothing reads.
DEAD_KEYS = re.compile(r"gf4\.seq2\.|qsca1\..*\.v_to_kv\.")
_ATTENTION = "attn.transformer.layers.0.0"
_QSCA_KEYS = {
    "audio_in": "aud_fc",
    "visual_in": "attn.to_patch_embedding.1",
    "norm": f"{_ATTENTION}.norm",
    "visual_query": f"{_ATTENTION}.fn.v_to_q",
    "visual_key_value": f"{_ATTENTION}.fn.v_to_kv",
    "audio_query": f"{_ATTENTION}.fn.a_to_qkv",
    "audio_key_value": f"{_ATTENTION}.fn.a_to_qkv",
    "out": f"{_ATTENTION}.fn.to_out.0",
}
_AVGA_KEYS = {"group": "seq1", "audio": "fc", "mix": "seq2"}
_FUSION_KEYS = {"coarser": "seq1", "guide": "seq2", "merge": "seq3"}
# The audio projection stores query, key and value as thirds of its rows.
_THIRDS = {"audio_query": (0, 1), "audio_key_value": (1, 3)}


@dataclass(frozen=True, slots=True)
class PublishedForm:
    """What a published state dict says about the network it belongs to.

    Attributes:
        backbone: picture encoder.
        channels: C of every map after the encoder.
        avga_heads: channel groups of the audio-visual group attention.
        num_classes: channels of the logits; 1 for the binary tasks.
    """

    backbone: Backbone
    channels: int
    avga_heads: int
    num_classes: int


def read_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ``state`` under one spelling, without wrapper prefix and dead entries.

    Args:
        state: as saved by the authors' training scripts, with or without the ``module.`` that
            parallel wrappers put before every key.
    """
    named = {}
    for key, value in without_wrapper(state).items():
        for pattern, name in ALIASES:
            key = re.sub(pattern, name, key)
        if not DEAD_KEYS.match(key):
            named[key] = value
    return named


def infer_form(published: Mapping[str, Tensor]) -> PublishedForm:
    """Tell which of the published forms a state dict of `read_published` is.

    Raises:
        CheckpointMismatchError: it has neither picture encoder, or lacks a telling layer.
    """
    backbone = backbone_of(published, SOURCE)
    channels, per_head, num_classes = (
        telling_size(published, key, SOURCE)
        for key in ("avga4.fc.0.weight", "avga4.fc.1.weight", "output_conv1.3.weight")
    )
    return PublishedForm(backbone, channels, max(1, channels // per_head), num_classes)


def to_our_keys(published: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Rename, and where stored together split, published weights for our `PCMANet`.

    Args:
        published: of `read_published`.
        network: a `PCMANet` of the ``official`` variant, of the form `infer_form` tells.

    Returns:
        A state dict with exactly the network's keys, save for absent batch-norm counters.

    Raises:
        CheckpointMismatchError: naming the first published key that is missing, unexpected, or
            of another shape.
    """
    own = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    names = {key: published_key(key, published) for key in own}
    expected: dict[str, tuple[int, ...]] = {}
    for key, shape in own.items():
        first, last = _THIRDS.get(_room(key), (0, 3))
        whole = (3 * shape[0] // (last - first), *shape[1:]) if shape else shape
        expected[names[key]] = whole
    require_shapes(published, expected, source=SOURCE)
    return {
        key: _take(published[name], _THIRDS.get(_room(key)))
        for key, name in names.items()
        if name in published
    }


def published_key(key: str, published: Mapping[str, Tensor]) -> str:
    """Return the published name of one of our keys.

    Args:
        key: of a `PCMANet` of the ``official`` variant, e.g. ``avga.3.mix.0.weight``.
        published: decides between the names of the two picture encoders.
    """
    part, rest = key.split(".", 1)
    if part == "backbone":
        return backbone_key(rest, backbone_of(published, SOURCE))
    if part == "audio_projection":
        return f"aud_fc1.{rest}"
    index, rest = rest.split(".", 1)
    stage = int(index) + 1
    room, _, tail = rest.partition(".")
    match part:
        case "project":
            return f"conv{stage}.{rest}"
        case "avga":
            return f"avga{stage}.{_AVGA_KEYS[room]}.{tail}"
        case "qsca":
            return f"qsca{stage}.{_QSCA_KEYS[room]}.{tail}"
        case "fusion":
            # The deepest stage has no coarser neighbour, so its guide took the first place.
            name = "seq1" if (stage, room) == (4, "guide") else _FUSION_KEYS[room]
            return f"gf{stage}.{name}.{tail}"
        case _:
            return f"output_conv{stage}.{rest}"


def _room(key: str) -> str:
    return key.split(".")[2] if key.startswith("qsca.") else ""


def _take(weights: Tensor, thirds: tuple[int, int] | None) -> Tensor:
    if thirds is None:
        return weights
    rows = len(weights) // 3
    return weights[rows * thirds[0] : rows * thirds[1]]

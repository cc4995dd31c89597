"""What the published AVS checkpoints have in common: their form, their frames, their encoders.

They take embeddings of VGGish (128-d, after its last ReLU, without PCA), which is not in them, and
clips of a fixed length that is not stored either. Key names are facts needed to open such files;
none of the published code is used here.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Literal, cast

from avscli.datatypes import NetworkSpec
from avscli.errors import CheckpointMismatchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from avscli.datatypes import JsonScalar
    from avscli.networks.contract import AVSNetwork

Backbone = Literal["pvt_v2_b5", "resnet50"]
# The published training: ImageNet statistics, frames squashed to 224 × 224.
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)
FRAME_SIZE_HW = (224, 224)
_WRAPPER = "module."  # that parallel wrappers put before every key
_BACKBONES: dict[str, Backbone] = {"encoder_backbone.": "pvt_v2_b5", "resnet.": "resnet50"}
# A second copy of the ResNet's end is stored and never executed.
_UNUSED_COPY = re.compile(r"resnet\.layer[34]_2\.")
# Which network a state dict is of, by the part that no other has; each is a package with
# ``load_published(state, clip_length=T)`` and, in its ``remap``, ``DEAD_KEYS``.
_TELLING = {
    "avga1.": "avscli.networks.pcmanet",
    "obj_queries.": "avscli.networks.catr",
    "tpavi_b1.": "avscli.networks.tpavi",
}


def load_published(state: Mapping[str, Tensor], *, clip_length: int) -> AVSNetwork:
    """Fill the network that a published state dict belongs to, told by its keys.

    Args:
        state: as saved by the authors' training.
        clip_length: T, the steps of a clip.

    Returns:
        Our network of the ``official`` variant, without an audio encoder.

    Raises:
        CheckpointMismatchError: of no network that is known here, or naming the first published
            key that is missing, unexpected, or of another shape.
    """
    named = without_wrapper(state)
    module = importlib.import_module(_package_of(named))
    return cast("AVSNetwork", module.load_published(named, clip_length=clip_length))


def unused_keys(state: Mapping[str, Tensor]) -> list[str]:
    """Return the keys that a published network stores, never uses, and has no counterpart for here.

    Raises:
        CheckpointMismatchError: of no network that is known here.
    """
    dead: re.Pattern[str] = importlib.import_module(f"{_package_of(state)}.remap").DEAD_KEYS
    plain = (key.removeprefix(_WRAPPER) for key in state)
    return [key for key in plain if _UNUSED_COPY.match(key) or dead.match(key)]


def _package_of(state: Mapping[str, Tensor]) -> str:
    for part, package in _TELLING.items():
        if any(key.removeprefix(_WRAPPER).startswith(part) for key in state):
            return package
    raise CheckpointMismatchError(
        f"no published network has the {len(state)} keys of this state dict",
        hint="only checkpoints of the authors' own scripts can be read here",
    )


def without_wrapper(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict without the ``module.`` of wrappers, and without dead encoders."""
    named = {key.removeprefix(_WRAPPER): value for key, value in state.items()}
    return {key: value for key, value in named.items() if not _UNUSED_COPY.match(key)}


def backbone_of(published: Mapping[str, Tensor], source: str) -> Backbone:
    """Tell the picture encoder of a published state dict.

    Args:
        published: its keys and values.
        source: what it is, for the error message.

    Raises:
        CheckpointMismatchError: it has neither, or both.
    """
    found = {name for key in published for p, name in _BACKBONES.items() if key.startswith(p)}
    if len(found) != 1:
        raise CheckpointMismatchError(
            f"{source} must have keys under one of {', '.join(_BACKBONES)}, "
            f"got {len(published)} keys with {len(found)} of them",
            hint="only checkpoints of the authors' own scripts can be read here",
        )
    return found.pop()


def backbone_key(key: str, backbone: Backbone) -> str:
    """Return the published name of a picture encoder's key, e.g. ``layer3.0.bn1.bias``."""
    if backbone == "resnet50":
        return "resnet." + re.sub(r"^layer([34])\.", r"layer\1_1.", key)
    return f"encoder_backbone.{key}"


def telling_size(published: Mapping[str, Tensor], key: str, source: str) -> int:
    """Return the first side of a tensor that tells a size of the network.

    Raises:
        CheckpointMismatchError: it is not there.
    """
    if key not in published or published[key].ndim < 1 or len(published[key]) == 0:
        raise CheckpointMismatchError(
            f"{source} does not fit: missing: {key}",
            hint="sizes of the network are read from it; is the file complete?",
        )
    return len(published[key])


def published_spec(
    network: str, *, num_classes: int, clip_length: int, architecture: Mapping[str, JsonScalar]
) -> NetworkSpec:
    """Describe a published form as a spec.

    Class names of the 71-class forms are not in the checkpoints, so they are numbers here.
    """
    semantic = num_classes > 1
    numbered = tuple(f"class_{index}" for index in range(1, num_classes))
    return NetworkSpec(
        network=network,
        task="semantic" if semantic else "binary",
        clip_length=clip_length,
        seconds_per_step=1.0,
        frame_size_hw=FRAME_SIZE_HW,
        pixel_mean=PIXEL_MEAN,
        pixel_std=PIXEL_STD,
        resize_mode="squash",
        num_classes=num_classes,
        class_names=("background", *numbered) if semantic else ("sounding_object",),
        padding="zeros_with_flag" if semantic else "repeat_last",
        architecture={"variant": "official", "audio_encoder": "none", **architecture},
    )

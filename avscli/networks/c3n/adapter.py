"""From a spec to a C3N: its encoders, its classes, and what their names have to do with sounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from avscli.networks.backbones.mobile_tagger import NUM_TAGS
from avscli.networks.c3n.labels import imagenet_labels, label_similarity
from avscli.networks.c3n.modules import PlacesClassifier, PooledClassifier
from avscli.networks.c3n.network import C3N
from avscli.networks.encoders import embedding_size, picture_encoder, sound_encoder

if TYPE_CHECKING:
    from torch import Tensor, nn

    from avscli.datatypes import JsonScalar, NetworkSpec

MOST_CLASSES = 10_000  # ImageNet has 1000; a damaged number must not fill the memory


def build(spec: NetworkSpec) -> C3N:
    """Build a C3N with fresh weights.

    Args:
        spec: ``spec.architecture`` names the encoders (`avscli.networks.encoders`) beside the
            settings of `TPAVI`, and ``picture_classes``: names joined by commas; ``imagenet``; or a
            number of classes whose names are not known here, and whose similarity to sounds, alike
            at first, comes with the weights. The light encoder's classifier is DeepLab's, averaged
            over the picture, the others' an ImageNet classifier's last layer.

    Raises:
        WeightsError: a backbone or encoder nobody knows.
        ValueError: channels or classes that cannot be.
    """
    settings = spec.architecture
    encoder, backbone = sound_encoder(settings), picture_encoder(settings)
    similarity = _similarity(settings["picture_classes"])
    kind = PlacesClassifier if settings["backbone"] == "mobilenet_v2" else PooledClassifier
    channels: tuple[int, ...] = backbone.channels  # type: ignore[assignment]
    classifier: nn.Module = kind(channels[-1], len(similarity))
    return C3N(
        spec,
        backbone,
        encoder,
        audio_features=embedding_size(encoder),
        classifier=classifier,
        similarity=similarity,
    )


def class_names(classes: JsonScalar) -> list[str]:
    """Return the names in a spec's ``picture_classes``."""
    return [name.strip() for name in str(classes).split(",")]


def _similarity(classes: JsonScalar) -> Tensor:
    if isinstance(classes, int):
        if not 1 <= classes <= MOST_CLASSES:
            raise ValueError(f"picture_classes must be 1 … {MOST_CLASSES}, got {classes}")
        return torch.ones(classes, NUM_TAGS)
    if classes == "imagenet":
        return torch.from_numpy(label_similarity(imagenet_labels()))
    names = class_names(classes)
    if not all(names):
        raise ValueError(f"picture_classes must be names joined by commas, got {classes!r}")
    return torch.from_numpy(label_similarity(names))

"""What training asks of C3N: its classifier starts with the encoder it was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.errors import CheckpointMismatchError
from avscli.networks.c3n.adapter import class_names
from avscli.networks.c3n.modules import PlacesClassifier, PooledClassifier
from avscli.networks.c3n.network import C3N
from avscli.networks.state_dicts import load_strictly, read_state_dict
from avscli.training.networks.plain import NetworkTraining
from avscli.training.tflite_start import start_naming

if TYPE_CHECKING:
    from pathlib import Path

    from avscli.networks.contract import AVSNetwork
    from avscli.training.start import StartWeights

_HEADS = ("head.", "fc.")  # of published ImageNet classifiers: PVT's, ResNet's


class C3NTraining(NetworkTraining):
    """C3N, whose picture classifier no loss reaches.

    Args:
        network: trained in place.
    """

    network: C3N

    def start(self, weights: StartWeights, *, freezes_audio: bool) -> None:
        """Start as any network, and the classifier with the picture encoder."""
        super().start(weights, freezes_audio=freezes_audio)
        if weights.backbone is None:
            return
        classifier = self.network.classifier
        if isinstance(classifier, PooledClassifier):
            start_pooled(classifier, weights.backbone)
        elif isinstance(classifier, PlacesClassifier):
            names = class_names(self.network.spec.architecture["picture_classes"])
            if not start_naming(classifier.naming, names, weights.backbone):
                raise CheckpointMismatchError(
                    f"{weights.backbone} does not name what it sees, and C3N never learns to",
                    hint="give a DeepLab graph of the 21 VOC classes",
                )


def start_pooled(classifier: PooledClassifier, path: Path) -> None:
    """Fill a classifier with the last layer of a published ImageNet classifier.

    Raises:
        WeightsError: the file is missing, damaged, or holds anything but weights.
        CheckpointMismatchError: it has no such layer, or one of another shape.
    """
    head = {
        key.removeprefix(prefix): value
        for key, value in read_state_dict(path).items()
        for prefix in _HEADS
        if key.startswith(prefix)
    }
    load_strictly(classifier.head, head, source=f"the classifier in {path}")


def training_of(network: AVSNetwork) -> C3NTraining:
    """Return how C3N trains."""
    assert isinstance(network, C3N)
    return C3NTraining(network)

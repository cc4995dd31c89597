"""What C3N's classifier starts from."""

import csv
import dataclasses
from pathlib import Path

import cv2
import pytest
import torch

from avscli.errors import CheckpointMismatchError
from avscli.networks.backbones.resnet import resnet50
from avscli.networks.c3n.network import C3N
from avscli.networks.registry import build_network
from avscli.training.networks.registry import training_of
from avscli.training.start import StartWeights
from avscli.training.tflite_start import VOC_CLASSES
from tests.networks_for_tests import SPEC_OF_NETWORK

DATA = Path(__file__).parents[4] / "shared" / "data"
DEEPLAB = DATA / "init" / "deeplabv3_mnv2_pascal_quant.tflite"
SPEC = SPEC_OF_NETWORK["c3n"]


def imagenet_c3n():
    architecture = {**SPEC.architecture, "backbone": "resnet50", "picture_classes": "imagenet"}
    return build_network(dataclasses.replace(SPEC, architecture=architecture))


def test_a_published_classifier_starts_encoder_and_classes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    head = {"fc.weight": torch.randn(1000, 2048), "fc.bias": torch.randn(1000)}
    path = tmp_path / "resnet50.pth"
    torch.save(resnet50().state_dict() | head, path)
    network = imagenet_c3n()
    training_of(network).start(StartWeights(backbone=path), freezes_audio=False)
    assert torch.equal(network.classifier.head.weight, head["fc.weight"])
    assert torch.equal(network.classifier.head.bias, head["fc.bias"])
    assert not network.classifier.head.weight.requires_grad


def test_an_encoder_without_classes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "resnet50.pth"
    torch.save(resnet50().state_dict(), path)
    with pytest.raises(CheckpointMismatchError, match=r"the classifier in .* missing: weight"):
        training_of(imagenet_c3n()).start(StartWeights(backbone=path), freezes_audio=False)


def with_classes(names: str) -> C3N:
    architecture = {**SPEC.architecture, "output_stride": 16, "picture_classes": names}
    network = build_network(dataclasses.replace(SPEC, architecture=architecture))
    assert isinstance(network, C3N)
    return network.eval()


@pytest.mark.shared
def test_a_deeplab_graph_names_what_is_in_a_picture() -> None:
    network = with_classes(",".join(VOC_CLASSES[1:]))
    training_of(network).start(StartWeights(backbone=DEEPLAB), freezes_audio=False)
    with (DATA / "avsmix" / "images.csv").open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["classes_in_mask"] in ("dog", "cat", "horse")]
    right = 0
    for row in rows[:20]:
        picture = cv2.resize(cv2.imread(str(DATA / "avsmix" / row["image"])), (224, 224))
        frame = torch.from_numpy(picture[..., ::-1].copy()).permute(2, 0, 1) / 127.5 - 1.0
        best = int(network.activate(frame[None], None).class_logits.argmax())
        right += VOC_CLASSES[1:][best] == row["classes_in_mask"]
    assert right >= 14


@pytest.mark.shared
def test_a_graph_that_names_nothing_is_refused() -> None:
    graph = DATA / "init" / "tf2_mobilenet_v2_1.0_224_ptq.tflite"
    with pytest.raises(CheckpointMismatchError, match="does not name what it sees"):
        training_of(with_classes("dog,cat")).start(
            StartWeights(backbone=graph), freezes_audio=False
        )

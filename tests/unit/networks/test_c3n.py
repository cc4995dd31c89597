"""The consensus, the gates, and how they are asked for; tests/parity has the published numbers."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avscli.audio.audioset import audioset_names
from avscli.networks.backbones.mobilenet_v2 import MobileNetV2
from avscli.networks.backbones.pvt_v2 import PyramidVisionTransformer, Stage
from avscli.networks.backbones.resnet import ResNet
from avscli.networks.c3n.adapter import build
from avscli.networks.c3n.consensus import (
    channel_gates,
    class_activation,
    consensus_classes,
    gated,
)
from avscli.networks.c3n.labels import imagenet_labels, label_similarity
from avscli.networks.c3n.modules import PooledClassifier
from tests.networks_for_tests import SPEC_OF_NETWORK

CLASSES, TAGS = 4, 7


def tiny_pvt() -> PyramidVisionTransformer:
    sizes = ((8, 1, 1, 8), (16, 1, 2, 4), (24, 1, 3, 2), (32, 1, 4, 1))
    return PyramidVisionTransformer(tuple(Stage(*size) for size in sizes))  # type: ignore[arg-type]


def tiny_resnet() -> ResNet:
    return ResNet((1, 1, 1, 1))


ENCODERS = [tiny_pvt, tiny_resnet, MobileNetV2]


class Asked:
    """An encoder with a classifier, and frames and sounds to ask it about."""

    def __init__(self, make_encoder: type[nn.Module]) -> None:
        torch.manual_seed(0)
        self.encoder = make_encoder().eval()
        self.classifier = PooledClassifier(self.encoder.channels[-1], CLASSES)  # type: ignore[index]
        self.frames, self.tags = torch.randn(2, 3, 64, 64), torch.randn(2, TAGS)
        self.similarity = torch.rand(CLASSES, TAGS) - 0.2

    def activation(self):  # type: ignore[no-untyped-def]
        return class_activation(
            self.encoder, self.classifier, self.frames, self.tags, self.similarity
        )


def test_the_consensus_is_the_largest_product_of_confidences_and_likeness() -> None:
    torch.manual_seed(1)
    seen, heard = 3.0 * torch.randn(6, CLASSES), 3.0 * torch.randn(6, TAGS)
    similarity = torch.rand(CLASSES, TAGS) - 0.3
    for n, chosen in enumerate(consensus_classes(seen, heard, similarity).tolist()):
        p, q = seen[n].softmax(0), heard[n].softmax(0)
        pairs = itertools.product(range(CLASSES), range(TAGS))
        best, _ = max(
            pairs, key=lambda pair: float(p[pair[0]] ** 0.1 * similarity[pair] * q[pair[1]] ** 0.1)
        )
        assert chosen == best


def test_sound_overrules_a_picture_that_is_not_sure() -> None:
    seen = torch.tensor([[0.1, 0.0]])
    similarity = torch.tensor([[1.0, 0.1], [0.1, 1.0]])
    for loudest in (0, 1):
        heard = torch.full((1, 2), -5.0)
        heard[0, loudest] = 5.0
        assert consensus_classes(seen, heard, similarity).tolist() == [loudest]


@pytest.mark.parametrize("make_encoder", ENCODERS)
def test_weights_are_mean_gradients_of_a_whole_backward_pass(make_encoder: type[nn.Module]) -> None:
    asked = Asked(make_encoder)
    found = asked.activation()
    outputs: list[Tensor] = []
    for name in asked.encoder.taps:  # type: ignore[union-attr]
        asked.encoder.get_submodule(name).register_forward_hook(
            lambda _, __, output: (output.retain_grad(), outputs.append(output))[1]
        )
    logits = asked.classifier(asked.encoder(asked.frames)[-1])
    torch.testing.assert_close(found.class_logits, logits)
    logits.gather(1, found.classes[:, None]).sum().backward()
    for weights, output in zip(found.weights, outputs, strict=True):
        gradient = output.grad
        assert gradient is not None
        mean = gradient.mean(1) if gradient.ndim == 3 else gradient.mean((2, 3))
        torch.testing.assert_close(weights, mean, rtol=1e-4, atol=1e-7)
        assert not weights.requires_grad


@pytest.mark.parametrize("make_encoder", ENCODERS)
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_callers_without_gradients_get_the_same_and_nothing_of_a_graph(
    make_encoder: type[nn.Module], context: type[torch.no_grad]
) -> None:
    asked = Asked(make_encoder)
    expected = asked.activation()
    assert expected.maps[0].requires_grad
    asked.encoder.requires_grad_(requires_grad=False)
    with context():
        asked.frames = asked.frames * 1.0  # a tensor of that mode
        found = asked.activation()
    for ours, theirs in zip(
        [*found.maps, *found.weights], [*expected.maps, *expected.weights], strict=True
    ):
        assert not ours.requires_grad
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_no_parameter_gets_a_gradient_by_asking() -> None:
    asked = Asked(tiny_resnet)  # type: ignore[arg-type]
    asked.activation()
    assert all(p.grad is None for p in asked.encoder.parameters())
    assert all(not module._forward_hooks for module in asked.encoder.modules())


def test_an_encoder_that_stays_as_it_is_can_be_asked_in_training() -> None:
    asked = Asked(tiny_resnet)  # type: ignore[arg-type]
    expected = asked.activation()
    asked.encoder.requires_grad_(requires_grad=False)
    for ours, theirs in zip(asked.activation().weights, expected.weights, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


def test_gates_hold_directions_of_weights_and_stay_near_a_half() -> None:
    weights = torch.tensor([[3.0, -4.0, 0.0], [0.0, 0.0, 0.0]])
    expected = torch.tensor([[0.6, -0.8, 0.0], [0.0, 0.0, 0.0]]).sigmoid()
    torch.testing.assert_close(channel_gates(weights), expected)
    maps = torch.rand(2, 3, 2, 2)
    weighed = maps * expected[:, :, None, None]
    places = F.sigmoid(weighed.mean(dim=1, keepdim=True))
    torch.testing.assert_close(gated(maps, weights), weighed * places)


def test_labels_are_alike_by_what_things_do_and_by_shared_words() -> None:
    names = audioset_names()
    alike = label_similarity(["dog", "church bells", "sofa"])
    assert alike.shape == (3, 527)
    assert alike.min() >= 0.0
    assert alike.max() <= 1.0
    assert alike[0, names.index("Bark")] == 1.0
    assert alike[1, names.index("Church bell")] == pytest.approx(1.0)
    assert alike[1, names.index("Bell")] == pytest.approx(0.5**0.5)
    assert not alike[2].any()


def test_every_imagenet_class_that_is_said_to_sound_goes_with_a_name_of_audioset() -> None:
    labels = imagenet_labels()
    assert len(labels) == 1000
    alike = label_similarity(labels)
    sounding = [index for index, label in enumerate(labels) if label]
    assert {labels[i] for i in sounding if not alike[i].any()} == set()
    assert not alike[[i for i in range(1000) if i not in sounding]].any()
    assert (labels[7], labels[9], labels[207], labels[285]) == ("rooster", "bird", "dog", "cat")


def test_the_sound_chooses_between_two_things_in_the_picture() -> None:
    network = build(SPEC_OF_NETWORK["c3n"]).eval()
    network.classifier.naming.names.weight.data.zero_()  # sees nothing
    tags = torch.full((2, 527), -5.0)
    tags[0, audioset_names().index("Bark")] = tags[1, audioset_names().index("Speech")] = 5.0
    assert network.activate(torch.randn(2, 3, 64, 64), tags).classes.tolist() == [1, 0]


@pytest.mark.parametrize("classes", [0, 10**7, "dog,,cat", ""])
def test_classes_that_cannot_be_are_refused(classes: int | str) -> None:
    import dataclasses

    spec = SPEC_OF_NETWORK["c3n"]
    architecture = {**spec.architecture, "picture_classes": classes}
    with pytest.raises(ValueError, match="picture_classes must be"):
        build(dataclasses.replace(spec, architecture=architecture))

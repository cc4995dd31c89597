"""What TPAVI and C3N give beside logits; tests/parity has their numbers."""

import dataclasses

import pytest
import torch
from torch import nn

from avscli.networks.contract import HasOwnLosses
from avscli.networks.encoders import own_sounds
from avscli.networks.evidence import lowered
from avscli.networks.losses import Supervision, overlap_of, stage_losses
from avscli.networks.tpavi.losses import audio_visual_matching, dice_loss, pixel_entropy
from tests.networks_for_tests import SPEC_OF_NETWORK, make_any, make_inputs


@pytest.mark.parametrize("name", ["tpavi", "c3n"])
def test_an_evidential_head_says_how_much_is_known(name: str) -> None:
    spec = SPEC_OF_NETWORK[name]
    architecture = {**spec.architecture, "uncertainty": "evidential"}
    network = make_any(dataclasses.replace(spec, architecture=architecture))
    with torch.inference_mode():
        output = network(make_inputs(1, 2, log_mel=spec.log_mel))
    assert output.evidence is not None
    concentration = output.evidence.concentration[0]
    assert concentration.shape == (1, 2, 2, 64, 64)
    expected = lowered(output.evidence.logits[0], concentration)
    torch.testing.assert_close(output.logits, expected)


@pytest.mark.parametrize("name", ["tpavi", "c3n"])
def test_a_tagger_among_the_encoders_names_what_is_heard(name: str) -> None:
    spec = SPEC_OF_NETWORK[name]
    network, inputs = make_any(spec), make_inputs(1, 2, log_mel=spec.log_mel)
    with torch.inference_mode():
        embedded = network.encode_sound(inputs.log_mel.flatten(0, 1))
        tags = network.audio_encoder.tags(embedded)
        torch.testing.assert_close(network(inputs).heard[0], tags)


LABELLED = torch.tensor([[True, False, False], [True, True, False]])


def supervision(labelled: torch.Tensor, classes: int = 2) -> Supervision:
    draw = torch.Generator().manual_seed(2)
    targets = torch.randint(0, classes, (2, 3, 64, 64), generator=draw).byte()
    return Supervision(targets, labelled, smoothing_pixels=1.0)


def losses_of(network: nn.Module, truth: Supervision) -> dict[str, torch.Tensor]:
    assert isinstance(network, HasOwnLosses)
    inputs = make_inputs(2, 3, log_mel=network.spec.log_mel)
    inputs.valid[1, 2] = False
    torch.manual_seed(3)
    return network.losses(inputs, truth)


def test_tpavi_learns_by_entropy_of_labelled_steps_and_matching_of_valid_ones() -> None:
    network = make_any(SPEC_OF_NETWORK["tpavi"])
    truth = supervision(LABELLED)
    losses = losses_of(network, truth)
    inputs = make_inputs(2, 3, log_mel=network.spec.log_mel)
    inputs.valid[1, 2] = False
    fused = network.fuse(inputs.frames, own_sounds(network.audio_encoder, inputs), inputs.valid)
    places = LABELLED.flatten()
    expected = pixel_entropy(fused.scores[places], truth.targets.flatten(0, 1)[places]).sum()
    torch.testing.assert_close(losses["entropy"], expected)
    each = audio_visual_matching(fused.scores, fused.maps, fused.sounds)
    torch.testing.assert_close(losses["matching"], each[inputs.valid.flatten()].mean() * 3)


def test_c3n_learns_by_entropy_and_dice_of_labelled_steps() -> None:
    network = make_any(SPEC_OF_NETWORK["c3n"])
    truth = supervision(LABELLED)
    losses = losses_of(network, truth)
    inputs = make_inputs(2, 3, log_mel=network.spec.log_mel)
    inputs.valid[1, 2] = False
    scores = network(inputs).logits.flatten(0, 1)[LABELLED.flatten()]
    targets = truth.targets.flatten(0, 1)[LABELLED.flatten()]
    torch.testing.assert_close(losses["entropy"], pixel_entropy(scores, targets).sum())
    torch.testing.assert_close(losses["dice"], dice_loss(scores, targets).sum())


@pytest.mark.parametrize("name", ["tpavi", "c3n"])
@pytest.mark.parametrize("labelled", [LABELLED, torch.zeros_like(LABELLED)], ids=["some", "none"])
def test_losses_are_finite_and_reach_every_parameter_that_is_trained(
    name: str, labelled: torch.Tensor
) -> None:
    spec = SPEC_OF_NETWORK[name]
    network = make_any(spec).train()
    network.audio_encoder.eval().requires_grad_(False)
    losses = losses_of(network, supervision(labelled))
    assert all(loss.isfinite() for loss in losses.values())
    if not labelled.any():
        assert not any(losses.values())
    sum(losses.values()).backward()
    without = [n for n, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []


def test_label_maps_have_losses_too() -> None:
    for name, expected in (("tpavi", {"entropy", "matching"}), ("c3n", {"entropy"})):
        semantic = dataclasses.replace(
            SPEC_OF_NETWORK[name],
            task="semantic",
            num_classes=3,
            class_names=("background", "dog", "cat"),
            padding="zeros_with_flag",
        )
        losses = losses_of(make_any(semantic), supervision(LABELLED, classes=3))
        assert set(losses) == expected
        assert all(loss.isfinite() for loss in losses.values())


@pytest.mark.parametrize("name", ["tpavi", "c3n"])
def test_evidence_is_taught_by_its_own_losses(name: str) -> None:
    spec = SPEC_OF_NETWORK[name]
    architecture = {**spec.architecture, "uncertainty": "evidential"}
    network = make_any(dataclasses.replace(spec, architecture=architecture))
    losses, truth = losses_of(network, supervision(LABELLED)), supervision(LABELLED)
    inputs = make_inputs(2, 3, log_mel=spec.log_mel)
    inputs.valid[1, 2] = False
    expected = stage_losses(network(inputs), truth)
    torch.testing.assert_close(losses["divergence"], expected["divergence"])
    iou = 1.0 - overlap_of(network(inputs).evidence.logits[0], truth).iou(1.0)
    torch.testing.assert_close(losses["entropy"], expected["stage1"] - iou.sum())

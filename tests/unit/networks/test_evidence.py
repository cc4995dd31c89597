"""Evidential uncertainty against torch's own distributions, sampling and closed forms."""

import dataclasses

import pytest
import torch
from torch.distributions import Beta, Dirichlet, kl_divergence

from avscli.datatypes import VOID
from avscli.networks.evidence import (
    ScoreReading,
    divergence_from_uniform,
    expected_cross_entropy,
    expected_logits,
    known_mean,
    lowered,
    resized_concentration,
    uncertainty,
)
from tests.networks_for_tests import TINY_SPEC, make_inputs, make_network

EVIDENTIAL = dataclasses.replace(
    TINY_SPEC, architecture={**TINY_SPEC.architecture, "uncertainty": "evidential"}
)


def drawn(classes: int, size: tuple[int, int] = (4, 6)) -> torch.Tensor:
    """Return Dirichlet parameters [2, classes, *size] from hardly any to much evidence."""
    draw = torch.Generator().manual_seed(0)
    return 1.0 + (4.0 * torch.randn(2, classes, *size, generator=draw)).exp().clamp_max(5000.0)


def target_of(classes: int, size: tuple[int, int] = (4, 6)) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randint(0, classes, (2, *size), generator=draw, dtype=torch.uint8)


def test_the_expected_probability_is_the_mean_of_torchs_beta():
    background, foreground = drawn(2).unbind(1)
    probability = expected_logits(drawn(2), 1)[:, 0].sigmoid()
    torch.testing.assert_close(probability, Beta(foreground, background).mean)


@pytest.mark.parametrize("classes", [3, 5])
def test_the_expected_probabilities_are_the_mean_of_torchs_dirichlet(classes):
    concentration = drawn(classes)
    probability = expected_logits(concentration, classes).softmax(dim=1)
    expected = Dirichlet(concentration.movedim(1, -1)).mean.movedim(-1, 1)
    torch.testing.assert_close(probability, expected)


def test_uncertainty_is_one_without_evidence_and_falls_with_it():
    assert uncertainty(torch.ones(1, 2, 1, 1)).item() == 1.0
    assert uncertainty(torch.full((1, 2, 1, 1), 50.0)).item() == pytest.approx(2 / 100)
    concentration = drawn(2)
    assert (uncertainty(concentration + 1.0) < uncertainty(concentration)).all()


def test_a_probability_is_lowered_by_the_uncertainty():
    concentration = drawn(2).double()
    logits = expected_logits(concentration, 1)
    expected = logits.sigmoid() * (1.0 - uncertainty(concentration))
    probability = lowered(logits, concentration).sigmoid().double()
    torch.testing.assert_close(probability, expected, atol=1e-6, rtol=1e-5)


def test_what_foreground_classes_lose_goes_to_the_background():
    concentration = drawn(4).double()
    before = expected_logits(concentration, 4).softmax(dim=1)
    after = lowered(expected_logits(concentration, 4), concentration).softmax(dim=1).double()
    kept = before[:, 1:] * (1.0 - uncertainty(concentration))
    torch.testing.assert_close(after[:, 1:], kept, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(after.sum(dim=1), torch.ones_like(after[:, 0]))


def test_one_class_is_lowered_as_the_second_of_two():
    concentration = drawn(2)
    one = lowered(expected_logits(concentration, 1), concentration)
    two = lowered(expected_logits(concentration, 2), concentration)
    torch.testing.assert_close(one, two[:, 1:] - two[:, :1])


def test_nothing_known_is_nothing_marked_and_still_a_number():
    reading = ScoreReading(1, "exp")
    scores = torch.full((1, 2, 1, 1), -200.0, requires_grad=True)
    logit = reading.logits(scores)
    logit.sum().backward()
    assert logit.sigmoid() < 1e-6
    assert logit.isfinite().all()
    assert scores.grad.isfinite().all()


@pytest.mark.parametrize("evidence", ["exp", "softplus"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_large_scores_stay_finite(evidence, dtype):
    scores = torch.tensor([[-1e4, 1e4], [1e4, -1e4], [1e4, 1e4]], dtype=dtype)[..., None, None]
    logits = ScoreReading(1, evidence).logits(scores)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert (logits[1] < -5.0).all()
    assert (logits[0] > 5.0).all()


@pytest.mark.parametrize("classes", [2, 4])
def test_the_loss_is_the_cross_entropy_expected_over_the_dirichlet(classes):
    torch.manual_seed(0)
    concentration, target = drawn(classes, (2, 2)).clamp_max(20.0), target_of(classes, (2, 2))
    samples = Dirichlet(concentration.movedim(1, -1)).sample((200_000,))
    of_class = samples.gather(
        -1, target.long()[None, ..., None].expand(len(samples), -1, -1, -1, 1)
    )
    expected = -of_class[..., 0].clamp_min(1e-30).log().mean(dim=0)
    loss = expected_cross_entropy(concentration, target)
    torch.testing.assert_close(loss, expected, rtol=0.02, atol=0.01)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_divergence_is_torchs_own_of_the_evidence_against_the_truth(classes):
    concentration, target = drawn(classes).double(), target_of(classes)
    misleading = concentration.scatter(1, target[:, None].long(), 1.0).movedim(1, -1)
    expected = kl_divergence(Dirichlet(misleading), Dirichlet(torch.ones_like(misleading)))
    torch.testing.assert_close(divergence_from_uniform(concentration, target), expected)


def test_evidence_for_the_truth_diverges_from_nothing():
    concentration = torch.tensor([[[[1.0]], [[300.0]]]])
    sounding = torch.ones(1, 1, 1, dtype=torch.uint8)
    assert divergence_from_uniform(concentration, sounding).item() == pytest.approx(0.0, abs=1e-5)
    assert divergence_from_uniform(concentration, 1 - sounding).item() > 4.0


def test_resizing_evidence_resizes_the_expected_logits():
    concentration = drawn(2)
    resized = expected_logits(resized_concentration(concentration, (8, 12)), 1)
    direct = torch.nn.functional.interpolate(
        expected_logits(concentration, 1), size=(8, 12), mode="bilinear"
    )
    torch.testing.assert_close(resized, direct, atol=1e-4, rtol=1e-4)


def test_void_pixels_count_nowhere():
    target = torch.tensor([[[1, VOID]], [[VOID, VOID]]], dtype=torch.uint8)
    values = torch.tensor([[[2.0, 99.0]], [[99.0, 99.0]]])
    assert known_mean(values, target).tolist() == [2.0, 0.0]


@pytest.mark.parametrize("settings", [{"uncertainty": "maybe"}, {"evidence": "relu"}])
def test_an_unknown_word_is_refused(settings):
    architecture = {**EVIDENTIAL.architecture, **settings}
    with pytest.raises(ValueError, match="evidential"):
        ScoreReading.of(dataclasses.replace(EVIDENTIAL, architecture=architecture))


def test_an_evidential_pcmanet_tells_what_its_logits_were_lowered_by():
    network = make_network(EVIDENTIAL)
    with torch.inference_mode():
        output = network(make_inputs())
    shapes = [tuple(each.shape) for each in output.stage_logits]
    assert shapes == [(2, 3, 1, 64 // s, 64 // s) for s in (4, 8, 16, 32)]
    evidence = output.evidence
    for logits, before, concentration in zip(
        output.stage_logits, evidence.logits, evidence.concentration, strict=True
    ):
        expected = before.sigmoid() * (1.0 - uncertainty(concentration))
        torch.testing.assert_close(logits.sigmoid(), expected)


def test_without_the_option_a_network_has_no_evidence():
    with torch.inference_mode():
        assert make_network()(make_inputs(1)).evidence is None


def test_every_parameter_of_an_evidential_pcmanet_receives_a_gradient():
    network = make_network(EVIDENTIAL).train()
    output = network(make_inputs())
    sum(each.square().mean() for each in output.stage_logits).backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("extra", [{}, {"skips_settled": True}, {"source_classes": "dog,cat"}])
@torch.inference_mode()
def test_clips_that_are_not_looked_at_have_evidence_of_nothing(extra):
    spec = dataclasses.replace(
        EVIDENTIAL, architecture={**EVIDENTIAL.architecture, "channels": 64, **extra}
    )
    network, inputs = make_network(spec), make_inputs(2, 1)
    whole = network(inputs)
    part = network(dataclasses.replace(inputs, silent=torch.tensor([[True], [False]])))
    assert (part.logits[0].sigmoid() < 1e-3).all()
    assert (uncertainty(part.evidence.concentration[0][0]) < 1e-3).all()
    torch.testing.assert_close(part.logits[1], whole.logits[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        part.evidence.concentration[0][1], whole.evidence.concentration[0][1], atol=1e-3, rtol=1e-3
    )

"""What evidence costs: closed forms, void, steps without label, and the annealing."""

import pytest
import torch
from torch.distributions import Beta, kl_divergence

from avscli.datatypes import VOID, NetworkOutput
from avscli.networks.evidence import ScoreReading
from avscli.networks.losses import (
    ANNEALED_UNTIL,
    SoftOverlap,
    Supervision,
    evidence_losses,
    stage_losses,
)


def supervision(value: int, *, labelled: bool = True, progress: float = 1.0) -> Supervision:
    targets = torch.full((1, 1, 8, 8), value, dtype=torch.uint8)
    return Supervision(targets, torch.tensor([[labelled]]), 50.0, progress)


def concentration(background: float, foreground: float) -> torch.Tensor:
    return torch.tensor([background, foreground]).reshape(1, 1, 2, 1, 1).expand(1, 1, 2, 4, 4)


def output_of(scores: torch.Tensor) -> NetworkOutput:
    return ScoreReading(1, "exp").output([scores], scores.new_zeros(1, 1, 0))


def test_a_full_target_costs_the_expected_cross_entropy_and_the_missing_share():
    evidence = torch.tensor([2.0, 6.0]).reshape(1, 1, 2, 1, 1).expand(1, 1, 2, 4, 4)
    losses = stage_losses(output_of(evidence.log()), supervision(1))
    # ψ(10) − ψ(7) = 1/7 + 1/8 + 1/9; the expected probability is 7 / 10.
    expected = 1 / 7 + 1 / 8 + 1 / 9 + 1 - (64 * 0.7 + 50) / (64 + 50)
    assert losses.keys() == {"stage1", "divergence"}
    assert float(losses["stage1"]) == pytest.approx(expected, rel=1e-4)
    misleading = kl_divergence(Beta(torch.tensor(3.0), 1.0), Beta(torch.tensor(1.0), 1.0))
    assert float(losses["divergence"]) == pytest.approx(float(misleading), rel=1e-4)


@pytest.mark.parametrize(("progress", "weight"), [(0.0, 0.0), (ANNEALED_UNTIL / 2, 0.5), (0.9, 1)])
def test_the_divergence_grows_in_weight_during_the_first_part_of_a_run(progress, weight):
    whole = evidence_losses(concentration(1.0, 9.0), supervision(0))
    part = evidence_losses(concentration(1.0, 9.0), supervision(0, progress=progress))
    assert float(part.divergence) == pytest.approx(weight * float(whole.divergence))
    assert part.cross_entropy == whole.cross_entropy


def test_void_pixels_cost_nothing():
    truth = supervision(1)
    truth.targets[..., :4] = VOID
    half = evidence_losses(concentration(3.0, 7.0), truth)
    whole = evidence_losses(concentration(3.0, 7.0), supervision(1))
    torch.testing.assert_close(half.cross_entropy, whole.cross_entropy)


def test_steps_without_label_cost_nothing_and_keep_the_graph():
    scores = torch.zeros(1, 1, 2, 4, 4, requires_grad=True)
    losses = stage_losses(output_of(scores), supervision(1, labelled=False))
    sum(losses.values()).backward()
    assert [float(x.detach()) for x in losses.values()] == [0.0, 0.0]
    assert not scores.grad.any()


def test_label_maps_cost_their_expected_cross_entropy_alone():
    scores = torch.zeros(1, 1, 3, 4, 4)
    output = ScoreReading(3, "exp").output([scores], torch.zeros(1, 1, 0))
    losses = stage_losses(output, supervision(2))
    assert float(losses["stage1"]) == pytest.approx(sum(1 / n for n in range(2, 6)), rel=1e-4)


def test_a_step_towards_less_loss_makes_the_truth_likelier_and_surer():
    scores = torch.zeros(1, 1, 2, 4, 4, requires_grad=True)
    sum(stage_losses(output_of(scores), supervision(1)).values()).backward()
    after = output_of((scores - scores.grad).detach())
    assert (after.logits > output_of(scores.detach()).logits).all()
    assert (after.evidence.concentration[0][:, :, 1] > 2.0).all()


def test_dice_and_iou_of_half_a_mask_are_the_formulas():
    logits = torch.full((1, 4, 4), -50.0)
    logits[:, :2] = 50.0
    target = torch.zeros(1, 4, 4, dtype=torch.uint8)
    target[:, 1:3] = 1
    overlap = SoftOverlap.of(logits, target)
    assert overlap.iou(1.0).item() == pytest.approx((4 + 1) / (12 + 1))
    assert overlap.dice(1.0).item() == pytest.approx((2 * 4 + 1) / (16 + 1))


def test_the_losses_of_several_stages_share_one_divergence():
    scores = [torch.zeros(1, 1, 2, n, n) for n in (4, 2)]
    output = ScoreReading(1, "exp").output(scores, torch.zeros(1, 1, 0))
    one = stage_losses(output_of(scores[0]), supervision(1))
    both = stage_losses(output, supervision(1))
    assert both.keys() == {"stage1", "stage2", "divergence"}
    torch.testing.assert_close(both["divergence"], 2 * one["divergence"])

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from avscli.datatypes import NetworkOutput
from avscli.networks.losses import Supervision, binary_loss, mask_loss, stage_losses


def random_targets(num_classes: int, B: int = 2, T: int = 3, size: int = 8) -> Tensor:
    draw = torch.Generator().manual_seed(3)
    return torch.randint(0, max(2, num_classes), (B, T, size, size), generator=draw).byte()


def random_logits(C: int, size: int = 8) -> Tensor:
    return torch.randn(2, 3, C, size, size, generator=torch.Generator().manual_seed(4))


def totals(logits: Tensor, targets: Tensor, labelled: Tensor) -> Tensor:
    return mask_loss(logits, Supervision(targets, labelled, 1.0))


def test_undecided_masks_cost_what_the_formula_says() -> None:
    targets = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    targets[..., :2, :] = 1
    cost = totals(torch.zeros(1, 1, 1, 4, 4), targets, torch.ones(1, 1, dtype=torch.bool))
    # BCE of 1/2 is ln 2; I = 8 · 1/2, union = 16 · 1/2 + 8 − I = 12.
    assert float(cost) == pytest.approx(math.log(2) + 1 - (4 + 1) / (12 + 1), abs=1e-6)


def test_binary_loss_is_the_published_one_on_every_labelled_step() -> None:
    logits, targets = random_logits(1), random_targets(1)
    labelled = torch.tensor([[True, False, False], [True, True, False]])
    expected = 0.0
    for b, t in labelled.nonzero().tolist():
        truth = targets[b, t].double()
        probability = torch.sigmoid(logits[b, t, 0].double())
        entropy = F.binary_cross_entropy(probability, truth)
        hits, sums = float((probability * truth).sum()), float((probability + truth).sum())
        expected += float(entropy) + 1 - (hits + 1) / (sums - hits + 1)
    assert float(totals(logits, targets, labelled)) == pytest.approx(expected, rel=1e-5)


def test_semantic_loss_is_cross_entropy_by_hand() -> None:
    logits, targets = random_logits(5), random_targets(5)
    targets[0, 0, 0] = 255
    labelled = torch.tensor([[True, True, False], [False, True, True]])
    values = logits.double().numpy()
    log_probability = values - np.log(np.exp(values).sum(axis=2, keepdims=True))
    expected = 0.0
    for b, t in labelled.nonzero().tolist():
        truth = targets[b, t].numpy()
        rows, columns = np.nonzero(truth != 255)
        expected -= log_probability[b, t, truth[rows, columns], rows, columns].mean()
    assert float(totals(logits, targets, labelled)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("C", [1, 5])
def test_logits_are_enlarged_to_the_target(C: int) -> None:
    logits, targets = random_logits(C, size=4), random_targets(C)
    labelled = torch.ones(2, 3, dtype=torch.bool)
    enlarged = F.interpolate(logits.flatten(0, 1), (8, 8), mode="bilinear")
    expected = totals(enlarged.unflatten(0, (2, 3)), targets, labelled)
    torch.testing.assert_close(totals(logits, targets, labelled), expected)


@pytest.mark.parametrize("C", [1, 5])
def test_steps_without_label_have_no_gradient(C: int) -> None:
    logits = random_logits(C).requires_grad_()
    labelled = torch.tensor([[True, False, False], [False, True, False]])
    totals(logits, random_targets(C), labelled).sum().backward()
    assert logits.grad is not None
    touched = logits.grad.flatten(2).abs().sum(dim=2) > 0
    assert torch.equal(touched, labelled)


@pytest.mark.parametrize("C", [1, 5])
def test_parts_of_a_batch_add_up_to_the_whole(C: int) -> None:
    logits, targets = random_logits(C), random_targets(C)
    labelled = torch.tensor([[True, False, False], [True, True, True]])
    parts = [totals(logits[[b]], targets[[b]], labelled[[b]]) for b in range(2)]
    torch.testing.assert_close(sum(parts), totals(logits, targets, labelled))


def test_a_batch_without_labels_costs_nothing_and_still_has_a_gradient() -> None:
    logits = random_logits(1).requires_grad_()
    cost = totals(logits, random_targets(1), torch.zeros(2, 3, dtype=torch.bool))
    cost.sum().backward()
    assert float(cost.detach()) == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_every_stage_has_its_own_loss() -> None:
    fine, coarse, targets = random_logits(1), random_logits(1, size=4), random_targets(1)
    labelled = torch.ones(2, 3, dtype=torch.bool)
    output = NetworkOutput((fine, coarse), torch.zeros(2, 3, 0))
    assert stage_losses(output, Supervision(targets, labelled, 1.0)) == {
        "stage1": totals(fine, targets, labelled),
        "stage2": totals(coarse, targets, labelled),
    }


def uniform(probability: float, size: int = 8) -> Tensor:
    return torch.full((1, 1, size, size), math.log(probability / (1 - probability)))


def target(value: int, size: int = 8) -> Tensor:
    return torch.full((1, size, size), value, dtype=torch.uint8)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_a_full_target_costs_log_loss_plus_the_missing_share(probability):
    pixels, smoothing = 64, 50.0
    expected = -math.log(probability) + 1 - (64 * probability + smoothing) / (pixels + smoothing)
    loss = binary_loss(uniform(probability), target(1), smoothing_pixels=smoothing)
    assert float(loss) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_marking_k_pixels_of_an_empty_target_costs_k_over_k_plus_smoothing(probability):
    k, smoothing = 64 * probability, 50.0
    expected = -math.log(1 - probability) + k / (k + smoothing)
    loss = binary_loss(uniform(probability), target(0), smoothing_pixels=smoothing)
    assert float(loss) == pytest.approx(expected, abs=1e-5)


def test_void_pixels_count_nowhere():
    truth = target(1)
    truth[:, :4] = 255
    wrong_in_void = uniform(0.9)
    wrong_in_void[:, :, :4] = -20.0
    half = target(1)[:, :4]
    expected = binary_loss(uniform(0.9)[:, :, 4:], half, smoothing_pixels=50.0)
    torch.testing.assert_close(binary_loss(wrong_in_void, truth, smoothing_pixels=50.0), expected)


def test_coarse_logits_are_judged_at_the_targets_size():
    coarse = binary_loss(uniform(0.7, size=2), target(1), smoothing_pixels=50.0)
    torch.testing.assert_close(coarse, binary_loss(uniform(0.7), target(1), smoothing_pixels=50.0))


def test_the_loss_of_a_batch_is_the_mean_of_its_samples():
    logits = torch.cat([uniform(0.2), uniform(0.6)])
    truth = torch.cat([target(1), target(0)])
    parts = [
        binary_loss(logits[i : i + 1], truth[i : i + 1], smoothing_pixels=50.0) for i in (0, 1)
    ]
    torch.testing.assert_close(
        binary_loss(logits, truth, smoothing_pixels=50.0), torch.stack(parts).mean()
    )

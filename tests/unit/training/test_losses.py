"""The stage loss against closed forms."""

import math

import numpy as np
import pytest
import torch

from avscli.training.losses import naming_loss, picture_loss, stage_loss


def uniform(probability: float, size: int = 8) -> torch.Tensor:
    return torch.full((1, 1, size, size), math.log(probability / (1 - probability)))


def target(value: int, size: int = 8) -> torch.Tensor:
    return torch.full((1, size, size), value, dtype=torch.uint8)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_a_full_target_costs_log_loss_plus_the_missing_share(probability):
    pixels, smoothing = 64, 50.0
    expected = -math.log(probability) + 1 - (64 * probability + smoothing) / (pixels + smoothing)
    loss = stage_loss(uniform(probability), target(1), smoothing_pixels=smoothing)
    assert float(loss) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_marking_k_pixels_of_an_empty_target_costs_k_over_k_plus_smoothing(probability):
    k, smoothing = 64 * probability, 50.0
    expected = -math.log(1 - probability) + k / (k + smoothing)
    loss = stage_loss(uniform(probability), target(0), smoothing_pixels=smoothing)
    assert float(loss) == pytest.approx(expected, abs=1e-5)


def test_void_pixels_count_nowhere():
    truth = target(1)
    truth[:, :4] = 255
    wrong_in_void = uniform(0.9)
    wrong_in_void[:, :, :4] = -20.0
    half = target(1)[:, :4]
    expected = stage_loss(uniform(0.9)[:, :, 4:], half, smoothing_pixels=50.0)
    torch.testing.assert_close(stage_loss(wrong_in_void, truth, smoothing_pixels=50.0), expected)


def test_coarse_logits_are_judged_at_the_targets_size():
    coarse = stage_loss(uniform(0.7, size=2), target(1), smoothing_pixels=50.0)
    torch.testing.assert_close(coarse, stage_loss(uniform(0.7), target(1), smoothing_pixels=50.0))


def test_the_loss_of_a_batch_is_the_mean_of_its_samples():
    logits = torch.cat([uniform(0.2), uniform(0.6)])
    truth = torch.cat([target(1), target(0)])
    parts = [stage_loss(logits[i : i + 1], truth[i : i + 1], smoothing_pixels=50.0) for i in (0, 1)]
    torch.testing.assert_close(
        stage_loss(logits, truth, smoothing_pixels=50.0), torch.stack(parts).mean()
    )


def test_naming_sums_the_log_losses_of_all_names():
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])
    present = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    p = 1 / (1 + np.exp(-logits.numpy()))
    each = -np.log(np.where(present.numpy() == 1, p, 1 - p))
    assert float(naming_loss(logits, present)) == pytest.approx(each.sum(axis=1).mean(), abs=1e-5)


def test_the_picture_loss_weighs_every_fourth_known_pixel_by_the_root_of_its_class():
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(3))
    shown = torch.randint(0, 3, (2, 16, 16), generator=torch.Generator().manual_seed(4))
    shown[0, 2] = 255
    shown[1, 3] = 255  # between the rows that count
    total, weight = 0.0, 0.0
    for log_p, labels in zip(logits.log_softmax(dim=1).numpy(), shown[:, 2::4, 2::4], strict=True):
        for name in range(3):
            mine = labels.numpy() == name
            total -= log_p[name][mine].mean() * np.sqrt(mine.sum())
            weight += np.sqrt(mine.sum())
    loss = picture_loss(logits, shown.to(torch.uint8))
    assert float(loss) == pytest.approx(total / weight, abs=1e-5)


def test_a_picture_of_void_alone_costs_nothing():
    assert float(picture_loss(torch.randn(1, 3, 4, 4), target(255, 16))) == 0.0

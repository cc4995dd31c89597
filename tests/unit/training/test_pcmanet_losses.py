"""The losses of names against closed forms."""

import numpy as np
import pytest
import torch

from avscli.training.networks.pcmanet.losses import naming_loss, picture_loss


def target(value: int, size: int = 8) -> torch.Tensor:
    return torch.full((1, size, size), value, dtype=torch.uint8)


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

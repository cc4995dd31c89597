"""The losses of TPAVI and C3N, against closed forms and torch's own distributions."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Categorical, kl_divergence

from avscli.networks.tpavi.losses import audio_visual_matching, dice_loss, pixel_entropy


def masks(*rows: list[int]) -> torch.Tensor:
    """Return [N, 1, 4] targets, a row each."""
    return torch.tensor(rows, dtype=torch.uint8)[:, None]


def test_entropy_of_a_mask_is_the_mean_of_its_pixels_that_are_not_void() -> None:
    logits = torch.tensor([[[[0.0, 2.0, -3.0, 50.0]]]])
    expected = (math.log(2.0) + math.log1p(math.exp(-2.0)) + math.log1p(math.exp(-3.0))) / 3
    assert float(pixel_entropy(logits, masks([1, 1, 0, 255]))) == pytest.approx(expected)


def test_entropy_of_several_classes_is_that_of_a_softmax() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 1, 4)
    targets = masks([0, 1, 2, 255], [255, 255, 255, 255])
    first, empty = pixel_entropy(logits, targets).tolist()
    scores = logits[0, :, 0, :3].log_softmax(dim=0)
    assert first == pytest.approx(-float(scores.diagonal().mean()))
    assert empty == 0.0


def test_logits_are_enlarged_to_the_target_before_they_are_judged() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(1, 1, 4, 4), torch.randint(0, 2, (1, 8, 8), dtype=torch.uint8)
    large = F.interpolate(logits, size=(8, 8), mode="bilinear", align_corners=False)
    torch.testing.assert_close(pixel_entropy(logits, targets), pixel_entropy(large, targets))
    torch.testing.assert_close(dice_loss(logits, targets), dice_loss(large, targets))


@pytest.mark.parametrize(
    ("target", "logits", "expected"),
    [
        ([0, 0, 0, 0], [-50.0] * 4, -1.0),  # empty against empty, as published
        ([1, 1, 0, 0], [50.0, 50.0, -50.0, -50.0], 1 - 2 * 3 / 5),
        ([1, 1, 0, 0], [-50.0, -50.0, 50.0, 50.0], 1 - 2 * 1 / 5),
        ([1, 255, 255, 0], [0.0, 50.0, 50.0, 0.0], 1 - 2 * 1.5 / 3),
    ],
)
def test_dice_has_its_smoothing_inside_the_factor_of_two(
    target: list[int], logits: list[float], expected: float
) -> None:
    scores = torch.tensor(logits).reshape(1, 1, 1, 4)
    assert float(dice_loss(scores, masks(target))) == pytest.approx(expected)


def test_matching_is_the_divergence_of_what_is_seen_from_what_is_heard() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 1, 8, 8)
    maps, sounds = [torch.rand(2, 5, 4, 4)], [torch.randn(2, 5)]
    mask = F.avg_pool2d(logits, 2).sigmoid()
    seen = (maps[0] * mask).flatten(2).mean(dim=2)
    expected = kl_divergence(Categorical(logits=sounds[0]), Categorical(logits=seen))
    torch.testing.assert_close(audio_visual_matching(logits, maps, sounds), expected)


def test_matching_is_the_mean_over_stages() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 1, 16, 16)
    maps = [torch.rand(1, 6, s, s) for s in (8, 4, 2)]
    sounds = [torch.randn(1, 6) for _ in maps]
    each = [audio_visual_matching(logits, [m], [s]) for m, s in zip(maps, sounds, strict=True)]
    both = audio_visual_matching(logits, maps, sounds)
    torch.testing.assert_close(both, torch.stack(each).mean(dim=0))


def test_a_soft_mask_learns_from_matching_and_a_label_map_does_not() -> None:
    torch.manual_seed(0)
    for classes, learns in ((1, True), (3, False)):
        logits = torch.randn(1, classes, 8, 8, requires_grad=True)
        maps = torch.rand(1, 4, 4, 4, requires_grad=True)
        sound = torch.randn(1, 4, requires_grad=True)
        audio_visual_matching(logits, [maps], [sound]).sum().backward()
        assert (logits.grad is not None and bool(logits.grad.any())) is learns
        assert maps.grad is not None
        assert sound.grad is not None


def test_a_label_map_counts_by_where_it_is_not_background() -> None:
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 0] = 1.0
    logits[0, 2, 0] = 5.0  # the upper half is of the last class
    maps = torch.rand(1, 4, 2, 2)
    sound = torch.randn(1, 4)
    seen = maps[:, :, 0].sum(dim=2) / 4
    expected = kl_divergence(Categorical(logits=sound), Categorical(logits=seen))
    torch.testing.assert_close(audio_visual_matching(logits, [maps], [sound]), expected)

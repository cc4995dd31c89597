"""CATR's losses against what can be worked out by hand, and its matching against trying all."""

from itertools import permutations
from math import exp, log

import pytest
import torch

from avscli.networks.catr.decoder import Answers
from avscli.networks.catr.losses import (
    Pairs,
    costs,
    dice_coefficient,
    mask_losses,
    matched,
    query_losses,
    referred_loss,
    sources_of,
)

SURE = 40.0  # a logit whose sigmoid is 1 in float32


def answers(B: int = 2, T: int = 2, Q: int = 3, size: int = 4) -> Answers:
    draw = torch.Generator().manual_seed(3)
    shapes = ((3, B, T, Q, 2), (3, B, T, Q, 5), (B, T, 5, size, size))
    return Answers(*(torch.randn(*s, generator=draw).requires_grad_() for s in shapes))


def squares(*places: tuple[int, int], size: int = 16) -> torch.Tensor:
    mask = torch.zeros(size, size, dtype=torch.bool)
    for row, column in places:
        mask[row : row + 4, column : column + 4] = True
    return mask


def everywhere(size: int = 16) -> torch.Tensor:
    return torch.ones(size, size, dtype=torch.bool)


def test_dice_counts_a_pixel_more_on_both_sides() -> None:
    truth = squares((0, 0))
    logits = torch.where(squares((0, 2)), SURE, -SURE)
    assert float(dice_coefficient(logits, truth, everywhere())) == pytest.approx(17 / 33)
    assert float(dice_coefficient(logits, truth, ~truth)) == pytest.approx(1 / 9)


@pytest.mark.parametrize(
    ("official", "bce"), [(False, log(2)), (True, log(1 + exp(0.5)) - 0.5 / 16)]
)
def test_losses_of_a_mask_that_is_nowhere_sure(official: bool, bce: float) -> None:
    truth = squares((4, 4))[None]  # a sixteenth of the picture
    found = mask_losses(torch.zeros(1, 16, 16), truth, everywhere()[None], official=official)
    assert float(found["dice"]) == pytest.approx(1 - 17 / (128 + 16 + 1))
    assert float(found["focal"]) == pytest.approx((0.25 / 16 + 0.75 * 15 / 16) * 0.25 * log(2))
    assert float(found["bce"]) == pytest.approx(bce)


@pytest.mark.parametrize(("official", "bce"), [(False, 0.0), (True, log(1 + exp(-1)))])
def test_squashing_twice_leaves_a_loss_where_all_is_right(official: bool, bce: float) -> None:
    full = everywhere()[None]
    found = mask_losses(torch.full((1, 16, 16), SURE), full, full, official=official)
    assert float(found["bce"]) == pytest.approx(bce)
    assert float(found["dice"]) == float(found["focal"]) == 0.0


def test_void_pixels_count_nowhere() -> None:
    truth, known = squares((4, 4))[None], ~squares((8, 8))[None]
    logits = torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(0))
    other = torch.where(known, logits, SURE)
    for official in (False, True):
        first, second = (mask_losses(x, truth, known, official=official) for x in (logits, other))
        torch.testing.assert_close(first, second)


def test_queries_without_a_source_weigh_a_tenth() -> None:
    scores = torch.tensor([[[log(3.0), 0.0], [0.0, 0.0], [0.0, log(3.0)]]])
    pairs = Pairs(torch.tensor([0]), torch.tensor([0]), everywhere()[None], torch.ones(1))
    expected = (log(4 / 3) + 0.1 * log(2) + 0.1 * log(4 / 3)) / 1.2
    assert float(referred_loss(scores, pairs)) == pytest.approx(expected)


def test_a_source_goes_to_the_query_that_marks_it() -> None:
    target = squares((8, 0))
    masks = torch.stack([torch.where(squares(at), 3.0, -3.0) for at in ((0, 0), (8, 0), (8, 2))])
    pairs = matched(torch.zeros(1, 3, 2), masks[None], [target[None]], everywhere()[None])
    assert pairs.queries.tolist() == [1]
    assert torch.equal(pairs.sources, target[None])
    assert pairs.weights.tolist() == [1.0]


def test_of_two_that_mark_it_alike_the_one_with_the_higher_score() -> None:
    masks = torch.where(squares((8, 0)), 3.0, -3.0).expand(1, 2, -1, -1)
    scores = torch.tensor([[[0.0, 1.0], [0.5, 0.0]]])
    pairs = matched(scores, masks, [squares((8, 0))[None]], everywhere()[None])
    assert pairs.queries.tolist() == [1]


def test_several_sources_are_matched_at_the_least_cost() -> None:
    draw = torch.Generator().manual_seed(5)
    masks, scores = torch.randn(1, 4, 16, 16, generator=draw), torch.randn(1, 4, 2, generator=draw)
    sources = torch.rand(3, 16, 16, generator=draw) < 0.4
    pairs = matched(scores, masks, [sources], everywhere()[None])
    cost = costs(scores[0], masks[0], sources, everywhere())
    least = min(
        sum(float(cost[query, source]) for source, query in enumerate(order))
        for order in permutations(range(4), 3)
    )
    found = {int(q): s for q, s in zip(pairs.queries, pairs.sources, strict=True)}
    assert len(found) == 3
    places = {q: next(k for k in range(3) if torch.equal(sources[k], s)) for q, s in found.items()}
    assert sum(float(cost[q, k]) for q, k in places.items()) == pytest.approx(least)
    assert pairs.weights.tolist() == pytest.approx([1 / 3] * 3)


def test_more_sources_than_queries_leave_some_to_nobody() -> None:
    sources = torch.stack([squares((0, 0)), squares((8, 8))])
    pairs = matched(torch.zeros(1, 1, 2), torch.zeros(1, 1, 8, 8), [sources], everywhere()[None])
    assert pairs.queries.tolist() == [0]
    assert pairs.weights.tolist() == [1.0]


def test_regions_are_sources_of_their_own_where_they_are_taught_apart() -> None:
    mask = squares((0, 0), (8, 8), (8, 0))
    mask[8:12, 0:2] = False
    assert torch.equal(sources_of(mask, apart=False), mask[None])
    apart = sources_of(mask, apart=True)
    assert [int(source.sum()) for source in apart] == [16, 16, 8]
    assert torch.equal(apart.any(dim=0), mask)
    assert len(sources_of(torch.zeros_like(mask), apart=True)) == 0


def test_the_smallest_of_too_many_regions_join() -> None:
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[::4, ::8] = True
    apart = sources_of(mask, apart=True)
    assert [int(source.sum()) for source in apart] == [1] * 7 + [32 - 7]
    assert torch.equal(apart.sum(dim=0) == 1, mask)


def targets(B: int = 2, T: int = 2) -> torch.Tensor:
    draw = torch.Generator().manual_seed(9)
    masks = (torch.rand(B, T, 16, 16, generator=draw) < 0.3).to(torch.uint8)
    masks[..., 0, :] = 255
    return masks


@pytest.mark.parametrize("official", [True, False])
def test_losses_are_sums_over_the_labelled_steps(official: bool) -> None:
    found, truth = answers(), targets()
    labelled = torch.tensor([[True, False], [True, True]])
    together = query_losses(found, truth, labelled, official=official)
    for name in together:
        each = torch.zeros(())
        for b, t in labelled.nonzero().tolist():
            alone = torch.zeros_like(labelled)
            alone[b, t] = True
            each = each + query_losses(found, truth, alone, official=official)[name]
        torch.testing.assert_close(together[name], each)


def test_where_nothing_sounds_only_the_scores_learn() -> None:
    found, nothing = answers(), torch.zeros(2, 2, 16, 16, dtype=torch.uint8)
    losses = query_losses(found, nothing, torch.ones(2, 2, dtype=torch.bool), official=False)
    assert not any(losses[name].detach() for name in ("dice", "focal", "bce"))
    expected = torch.nn.functional.softplus(found.scores[..., 0] - found.scores[..., 1]).mean(-1)
    torch.testing.assert_close(losses["referred"], expected.sum())
    torch.stack(list(losses.values())).sum().backward()
    assert found.scores.grad is not None
    assert found.scores.grad.all()


def test_a_batch_without_labels_gives_zeros_that_reach_every_answer() -> None:
    found = answers()
    losses = query_losses(found, targets(), torch.zeros(2, 2, dtype=torch.bool), official=False)
    assert not any(value.detach() for value in losses.values())
    losses["bce"].backward()
    assert all(values.grad is not None and not values.grad.any() for values in found)


def test_learning_by_them_finds_the_mask() -> None:
    found, truth = answers(B=1, T=1, size=16), torch.zeros(1, 1, 16, 16, dtype=torch.uint8)
    truth[0, 0] = squares((4, 4)).to(torch.uint8)
    optimizer = torch.optim.Adam(found, lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        losses = query_losses(found, truth, torch.ones(1, 1, dtype=torch.bool), official=False)
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
    best = int(found.referred(2)[0, 0].argmax())
    assert torch.equal(found.masks(2)[0, 0, best] > 0, truth[0, 0] == 1)

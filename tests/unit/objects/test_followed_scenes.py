"""Objects of generated scenes, whose truth is exact, scored by motmetrics."""

from __future__ import annotations

import pytest

from benchmarks.followed_scenes import Following, follow_scene

NEW_SEEDS = range(42_000_000, 42_000_030)


@pytest.fixture(scope="module")
def following() -> Following:
    total = Following()
    for seed in NEW_SEEDS:
        follow_scene(total, seed)
    return total


@pytest.mark.slow
def test_objects_keep_their_numbers(following: Following) -> None:
    assert following.idf1 >= 0.90


@pytest.mark.slow
def test_objects_have_their_names(following: Following) -> None:
    assert following.num_right >= 0.95 * following.num_found > 0


@pytest.mark.slow
def test_intervals_start_and_end_near_the_truth(following: Following) -> None:
    assert following.num_near >= 0.90 * following.num_intervals > 0

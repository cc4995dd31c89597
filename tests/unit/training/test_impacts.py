"""Synthesised footsteps are what their docstring says, endless and repeatable."""

import numpy as np
import pytest

from avscli.audio.loudness import level_dbfs
from avscli.datatypes import WINDOW_SAMPLES
from avscli.training.couples.impacts import footsteps_and_hits


@pytest.mark.parametrize("seed", range(20))
def test_a_window_has_its_length_and_level(seed):
    window = footsteps_and_hits(np.random.default_rng(seed))
    assert window.shape == (WINDOW_SAMPLES,)
    assert window.dtype == np.float32
    assert level_dbfs(window) == pytest.approx(-26.0, abs=0.1)


def test_impacts_are_short_events_not_steady_noise():
    peaks = []
    for seed in range(40):
        window = footsteps_and_hits(np.random.default_rng(seed)).astype(np.float64)
        peaks.append(np.abs(window).max() / np.sqrt(np.mean(window**2)))
    assert np.median(peaks) > 6.0  # of white noise it is about 4


def test_the_same_seed_steps_alike_and_another_otherwise():
    first, again, other = (footsteps_and_hits(np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)

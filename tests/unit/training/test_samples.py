"""Couples share their picture and differ in their sound; targets follow the class map."""

from pathlib import Path

import numpy as np
import pytest

from avscli.datasets.avsmix import AvsMix
from avscli.training.samples import AvsMixSamples, SceneSamples

AVSMIX = Path(__file__).parents[4] / "shared" / "data" / "avsmix"
needs_avsmix = pytest.mark.skipif(
    not AVSMIX.is_dir(), reason="no copy of avsmix beside the project"
)


def test_a_scene_couple_has_one_picture_two_sounds_and_no_tags():
    first, second = SceneSamples((64, 64)).draw(np.random.default_rng(0))
    assert first.image.shape == second.image.shape == (64, 64, 3)
    assert not np.array_equal(first.window, second.window)
    assert first.sounds is None


@pytest.fixture(scope="module")
def source() -> AvsMixSamples:
    return AvsMixSamples(AvsMix.open(AVSMIX), (96, 96), composites=0.5, kinds=(0.3, 0.4, 0.2, 0.1))


@pytest.mark.shared
@needs_avsmix
@pytest.mark.parametrize("seed", range(8))
def test_the_same_generator_state_draws_the_same_couple(source, seed):
    once, again = (source.draw(np.random.default_rng(seed)) for _ in range(2))
    for a, b in zip(once, again, strict=True):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.window, b.window)
        assert np.array_equal(a.target, b.target)
        assert a.sounds == b.sounds


@pytest.mark.shared
@needs_avsmix
@pytest.mark.parametrize("seed", range(20))
def test_a_target_is_empty_exactly_when_no_heard_class_is_visible(source, seed):
    for sample in source.draw(np.random.default_rng(seed)):
        makers = set().union(*(source.makes[name] for name in sample.sounds))
        if not makers:
            assert not (sample.target == 1).any()
        assert set(np.unique(sample.target)) <= {0, 1, 255}


@pytest.mark.shared
@needs_avsmix
def test_training_draws_from_the_training_split_only(source):
    data = source.data
    held_out = {p.image for split in ("val", "test") for p in data.pictures(split)}
    held_out |= {s.audio for split in ("val", "test") for s in data.sounds(split)}
    used = {p.image for group in source.pictures.values() for p in group}
    used |= {s.audio for group in source.sounds.values() for s in group}
    assert used
    assert not used & held_out

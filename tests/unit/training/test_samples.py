"""Couples share their picture and differ in their sound; targets follow the class map."""

from pathlib import Path

import numpy as np
import pytest

from avscli.datasets.avsmix import AvsMix
from avscli.datasets.scenes import KINDS
from avscli.media.stills import read_indices
from avscli.training.couples import samples
from avscli.training.couples.samples import SCENE_NAMES, STEPS, AvsMixSamples, SceneSamples

SOURCES = ("person", "dog", "cat", "car", *SCENE_NAMES)
SIZE = (96, 96)
AVSMIX = Path(__file__).parents[4] / "shared" / "data" / "avsmix"
needs_avsmix = pytest.mark.skipif(
    not AVSMIX.is_dir(), reason="no copy of avsmix beside the project"
)


@pytest.mark.parametrize("seed", range(8))
def test_a_scene_couple_has_one_picture_and_two_sounds(seed):
    first, second = SceneSamples(SOURCES).draw(np.random.default_rng(seed), (64, 64))
    assert first.image.shape == (64, 64, 3)
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.shown, second.shown)
    assert not np.array_equal(first.sound.window, second.sound.window)


@pytest.mark.parametrize("seed", range(8))
def test_in_a_scene_exactly_the_pixels_that_show_a_heard_class_sound(seed):
    for sample in SceneSamples(SOURCES).draw(np.random.default_rng(seed), (64, 64)):
        heard = [1 + SOURCES.index(name) for name in sample.sound.heard]
        assert np.array_equal(sample.target == 1, np.isin(sample.shown, heard))
        assert sample.sound.sounds <= {f"scene_{kind}" for kind in KINDS}


@pytest.fixture(scope="module")
def source() -> AvsMixSamples:
    data = AvsMix.open(AVSMIX)
    return AvsMixSamples(data, SOURCES, composites=0.5, kinds=(0.3, 0.4, 0.2, 0.1))


@pytest.mark.shared
@needs_avsmix
@pytest.mark.parametrize("seed", range(8))
def test_the_same_generator_state_draws_the_same_couple(source, seed):
    once, again = (source.draw(np.random.default_rng(seed), SIZE) for _ in range(2))
    for a, b in zip(once, again, strict=True):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.sound.window, b.sound.window)
        assert np.array_equal(a.target, b.target)
        assert np.array_equal(a.shown, b.shown)
        assert (a.sound.sounds, a.sound.heard) == (b.sound.sounds, b.sound.heard)


@pytest.mark.shared
@needs_avsmix
@pytest.mark.parametrize("seed", range(20))
def test_a_target_marks_what_could_make_the_sound_and_nothing_else(source, seed):
    for sample in source.draw(np.random.default_rng(seed), SIZE):
        makers = set().union(*(source.makes[name] for name in sample.sound.sounds))
        assert sample.sound.heard == makers
        heard = [1 + SOURCES.index(name) for name in makers if name in SOURCES]
        if makers <= set(SOURCES):
            assert np.array_equal(sample.target == 1, np.isin(sample.shown, heard))
        assert np.array_equal(sample.target == 255, sample.shown == 255)
        assert set(np.unique(sample.target)) <= {0, 1, 255}


@pytest.mark.shared
@needs_avsmix
def test_training_draws_from_the_training_split_only(source):
    data = source.data
    held_out = {p.image for split in ("val", "test") for p in data.pictures(split)}
    held_out |= {s.audio for split in ("val", "test") for s in data.sounds(split)}
    used = {p.image for group in source.pictures.values() for p in group}
    used |= {audio for group in source.recordings.values() for audio in group}
    assert used
    assert not used & held_out


@pytest.mark.shared
@needs_avsmix
def test_footsteps_belong_to_people_and_every_sound_has_a_name(source):
    assert source.makes[STEPS] == {"person"}
    drawn = [s for seed in range(60) for s in source.draw(np.random.default_rng(seed), SIZE)]
    assert frozenset().union(*(s.sound.sounds for s in drawn)) <= set(source.sound_names)
    assert STEPS in frozenset().union(*(s.sound.sounds for s in drawn))


@pytest.mark.shared
@needs_avsmix
def test_pictures_in_which_the_sound_has_to_choose_come_more_often_than_they_occur(source):
    sounding = frozenset().union(*source.makes.values())
    pictures = source.data.pictures("train")
    occur = np.mean([len(p.classes & sounding) > 1 for p in pictures])
    assert occur < 0.15
    single = AvsMixSamples(source.data, SOURCES, composites=0.0, kinds=(1.0, 0.0, 0.0, 0.0))
    names = [i for i, name in enumerate(SOURCES, start=1) if name in sounding]
    drawn = [single.draw(np.random.default_rng(seed), SIZE)[0].shown for seed in range(150)]
    several = np.mean([np.isin(names, shown).sum() > 1 for shown in drawn])
    assert several > 2 * occur


@pytest.mark.shared
@needs_avsmix
def test_a_thing_a_quarter_as_large_is_drawn_twice_as_often(source):
    sounding = frozenset().union(*source.makes.values())

    def smallest_share(picture) -> float:
        labels = read_indices(picture.mask)
        return min(
            float(np.mean(labels == source.data.class_index[name]))
            for name in picture.classes & sounding
        )

    shares = np.array([smallest_share(picture) for picture in source.crowded])
    is_seen = shares > 0.01
    products = source.crowded_weights[is_seen] * np.sqrt(shares[is_seen])
    assert is_seen.sum() > 300
    assert np.ptp(products) < 1e-9
    assert source.crowded_weights.sum() == pytest.approx(1.0)


@pytest.mark.shared
@needs_avsmix
def test_single_pictures_often_get_an_object_of_another_one(source, monkeypatch):
    monkeypatch.setattr(samples, "_CROWDED_SHARE", 0.0)
    names = [name for name, index in source.data.class_index.items() if index]
    single = AvsMixSamples(source.data, names, composites=0.0, kinds=(1.0, 0.0, 0.0, 0.0))

    def share_with_several() -> float:
        drawn = [single.draw(np.random.default_rng(seed), SIZE)[0] for seed in range(100)]
        return float(np.mean([len(set(np.unique(s.shown)) - {0, 255}) > 1 for s in drawn]))

    pasted = share_with_several()
    monkeypatch.setattr(samples, "_PASTED_SHARE", 0.0)
    assert pasted > share_with_several() + 0.15


@pytest.mark.shared
@needs_avsmix
def test_windows_without_pictures_hold_none_one_or_two_sounds_of_every_class(source):
    drawn = [s for seed in range(400) for s in source.draw_sounds(np.random.default_rng(seed))]
    shares = np.bincount([len(s.sounds) for s in drawn]) / len(drawn)
    assert shares == pytest.approx([0.05, 0.61, 0.34], abs=0.05)
    assert frozenset().union(*(s.sounds for s in drawn)) == set(source.makes)
    for sample in drawn:
        assert sample.heard == frozenset().union(*(source.makes[name] for name in sample.sounds))
        assert sample.sounds or np.abs(sample.window).max() < 0.1


@pytest.mark.parametrize("seed", range(8))
def test_the_windows_of_a_scene_come_without_its_picture(seed):
    once, again = (SceneSamples(SOURCES).draw_sounds(np.random.default_rng(seed)) for _ in range(2))
    for a, b in zip(once, again, strict=True):
        assert np.array_equal(a.window, b.window)
        assert a.heard == a.sounds == b.sounds
        assert a.sounds <= set(SCENE_NAMES)
        assert a.window.any() or not a.sounds

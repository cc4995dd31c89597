import csv
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from avscli.datasets.avsmix import AvsMix
from avscli.errors import DataError
from avscli.training.couples.further_sounds import further_sounds
from avscli.training.couples.samples import AvsMixSamples
from avscli.training.recipe_files import find_recipe
from tests.miniatures import write_avsmix, write_further_sounds


def test_what_makes_a_sound_is_known_by_its_class(tmp_path: Path) -> None:
    root = write_further_sounds(
        tmp_path, {"horse": "train", "rain": "train", "machine": "train", "speech": "val"}
    )
    makers = {sound.audio_class: sound.makers for sound in further_sounds(root, "train")}
    assert makers == {"horse": {"horse"}, "rain": frozenset(), "machine": None}
    assert [sound.makers for sound in further_sounds(root, "val")] == [{"person"}]


def test_a_class_that_nobody_wrote_down_is_of_unknown_makers(tmp_path: Path) -> None:
    root = write_further_sounds(tmp_path, {"kazoo": "train"})
    assert [sound.makers for sound in further_sounds(root, "train")] == [None]


def test_a_folder_without_its_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"sounds\.csv"):
        further_sounds(tmp_path, "train")


def test_all_makers_are_classes_of_the_shipped_recipe() -> None:
    table = resources.files("avscli.training") / "sounds_sources.csv"
    with table.open(encoding="utf-8") as file:
        told = {name for row in csv.DictReader(file) for name in row["sources"].split("|")}
    recipe = find_recipe("mini")
    assert told - {"unclear", "off_screen"} <= set(recipe.spec.source_classes)


def test_pictures_meet_known_sounds_only_and_windows_all(tmp_path: Path) -> None:
    data = AvsMix.open(write_avsmix(tmp_path / "avsmix", splits=("train",)))
    root = write_further_sounds(tmp_path / "sounds", {"rain": "train", "machine": "train"})
    samples = AvsMixSamples(
        data,
        ("bell",),
        composites=0.0,
        kinds=(0.0, 0.5, 0.5, 0.0),
        further=further_sounds(root, "train"),
    )
    with_pictures, windows = set(), []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        with_pictures |= {
            name for each in samples.draw(rng, (32, 32)) for name in each.sound.sounds
        }
        windows += samples.draw_sounds(rng)
    assert "rain" in with_pictures
    assert "machine" not in with_pictures
    assert any("machine" in window.sounds for window in windows)
    assert all(window.is_known == ("machine" not in window.sounds) for window in windows)


def test_a_class_that_others_make_differently_keeps_both_kinds_apart(tmp_path: Path) -> None:
    data = AvsMix.open(write_avsmix(tmp_path / "avsmix", splits=("train",)))
    root = write_further_sounds(tmp_path / "sounds", {"wind": "train", "bell": "train"})
    samples = AvsMixSamples(
        data, (), composites=0.0, kinds=(1, 0, 0, 0), further=further_sounds(root, "train")
    )
    assert len(samples.recordings["wind"]) == 2
    assert (samples.makes["bell"], samples.makes["further_bell"]) == ({"bell"}, frozenset())

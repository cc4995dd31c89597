import csv
from pathlib import Path

import pytest

from avscli.audio.audioset import audioset_names, makers_of_names, telling_names
from avscli.training.recipe_files import find_recipe

PUBLISHED = Path(__file__).parents[4] / "shared" / "data" / "init" / "audioset_527.csv"


@pytest.mark.shared
def test_names_stand_in_the_order_of_the_published_taggers() -> None:
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        assert audioset_names() == tuple(row["display_name"] for row in csv.DictReader(file))


@pytest.mark.parametrize(
    ("name", "makers"),
    [
        ("Neigh, whinny", {"horse"}),
        ("Train horn", {"train"}),
        ("Vehicle horn, car horn, honking", {"car", "bus"}),
        ("Applause", set()),
        ("Music", set()),
    ],
)
def test_a_name_belongs_to_what_makes_it(name: str, makers: set[str]) -> None:
    classes = find_recipe("mini").spec.source_classes
    row = makers_of_names(classes)[audioset_names().index(name)]
    assert {made for made, makes in zip(classes, row, strict=True) if makes} == makers


def test_names_that_say_nothing_of_their_maker_are_no_evidence_against_anybody() -> None:
    telling = dict(zip(audioset_names(), telling_names(), strict=True))
    assert not any(telling[name] for name in ("Music", "Animal", "Vehicle", "Engine", "Jazz"))
    assert all(telling[name] for name in ("Applause", "Rain", "Speech", "Violin, fiddle"))


def test_only_telling_names_have_makers_among_the_classes_of_the_shipped_recipe() -> None:
    classes = find_recipe("mini").spec.source_classes
    has_a_class = makers_of_names(classes).any(axis=1)
    assert 100 < has_a_class.sum() < telling_names().sum()
    assert not (has_a_class & ~telling_names()).any()

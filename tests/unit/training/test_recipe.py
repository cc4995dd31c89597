"""Recipes: shipped ones load, wrong ones say what is wrong."""

import pytest

from avscli.errors import UsageError
from avscli.training.recipe import load_recipe


def test_the_shipped_recipe_loads_and_takes_overrides():
    recipe = load_recipe("mini").with_overrides(steps=7, seed=None)
    assert recipe.name == "pcmanet-mini"
    assert recipe.steps == 7
    assert recipe.seed == load_recipe("mini").seed


def test_an_unknown_recipe_lists_the_shipped_ones():
    with pytest.raises(UsageError) as caught:
        load_recipe("maxi")
    assert "mini" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    ["name = ", 'name = "x"', "[spec]\nnetwork = 3"],
    ids=["no toml", "fields missing", "spec incomplete"],
)
def test_a_wrong_file_is_a_usage_error_that_names_it(tmp_path, text):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"wrong\.toml"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    "changes",
    [{"batch_samples": 3}, {"sample_size_hw": (100, 100)}, {"precision": "int8"}],
    ids=str,
)
def test_values_that_cannot_work_are_refused(changes):
    with pytest.raises(UsageError):
        load_recipe("mini").with_overrides(**changes)

"""Recipes: shipped ones load, wrong ones say what is wrong."""

import dataclasses

import pytest

from avscli.errors import UsageError
from avscli.networks.registry import list_networks
from avscli.training.recipe_files import find_recipe
from tests.recipes import write_recipe


def test_the_shipped_recipe_loads_and_takes_overrides():
    recipe = find_recipe("mini").with_overrides(steps=7, seed=None)
    assert recipe.name == "pcmanet-mini"
    assert recipe.steps == 7
    assert recipe.seed == find_recipe("mini").seed


def test_an_unknown_recipe_lists_the_shipped_ones():
    with pytest.raises(UsageError) as caught:
        find_recipe("maxi")
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
        find_recipe(str(path))


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_samples": 3},
        {"sound_batch_samples": 0},
        {"sample_size_hw": (100, 100)},
        {"late_size_hw": (8, 8)},
        {"precision": "int8"},
        {"teacher_forcing_share": 1.5},
        {"scenes_share": -0.1},
    ],
    ids=str,
)
def test_values_that_cannot_work_are_refused(changes):
    with pytest.raises(UsageError):
        find_recipe("mini").with_overrides(**changes)


def test_the_last_steps_train_at_the_late_size():
    recipe = find_recipe("mini").with_overrides(steps=10, late_share=0.2)
    sizes = [recipe.size_hw_at(step) for step in range(10)]
    assert sizes == [recipe.sample_size_hw] * 8 + [recipe.late_size_hw] * 2


def test_the_source_classes_are_those_of_the_network():
    recipe = find_recipe("mini")
    assert recipe.source_classes[:3] == ("person", "dog", "cat")
    assert "scene_bell" in recipe.source_classes
    bare = {k: v for k, v in recipe.spec.architecture.items() if k != "source_classes"}
    spec = dataclasses.replace(recipe.spec, architecture=bare)
    assert recipe.with_overrides(spec=spec).source_classes == ()


@pytest.mark.parametrize(("name", "kind"), [("mini", "couples"), ("s4", "clips")])
def test_a_recipe_that_does_not_say_its_kind_is_understood_and_told(tmp_path, name, kind):
    shipped = find_recipe(name)
    assert shipped.kind == kind
    lines = write_recipe(tmp_path / "old.toml", shipped).read_text().splitlines()
    old = tmp_path / "old.toml"
    old.write_text("\n".join(line for line in lines if not line.startswith("kind = ")))
    told = []
    assert find_recipe(str(old), warn=told.append) == shipped
    assert told == [f'{old} is taken for a recipe of {kind}; say so: kind = "{kind}"']


def test_a_kind_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    path = write_recipe(tmp_path / "odd.toml", find_recipe("mini"))
    path.write_text(path.read_text().replace('kind = "couples"', 'kind = "triples"'))
    with pytest.raises(UsageError, match="no kind 'triples'") as caught:
        find_recipe(str(path))
    assert caught.value.hint == "known: couples, clips"


def test_couples_teach_no_classes():
    recipe = find_recipe("mini")
    classes = dataclasses.replace(
        recipe.spec, task="semantic", num_classes=2, class_names=("none", "some")
    )
    with pytest.raises(UsageError, match="task must be 'binary'"):
        recipe.with_overrides(spec=classes)


def of_comparison(network: str) -> dict[str, object]:
    """Return what a recipe of the comparison shares with the others."""
    recipe = find_recipe(f"compare/{network}")
    assert (recipe.name, recipe.spec.network) == (f"compare-{network}", network)
    shared = recipe.fingerprint()
    for own in ("name", "loss_weights"):
        del shared[own]
    of_spec = shared["spec"]
    settings = of_spec.pop("architecture")
    del of_spec["network"]
    encoders = ("backbone", "output_stride", "audio_encoder", "channels")
    return shared | {name: settings[name] for name in encoders}


@pytest.mark.parametrize("network", list_networks())
def test_every_network_has_a_recipe_that_is_like_the_others_but_for_the_network(network):
    assert of_comparison(network) == of_comparison("pcmanet")

from pathlib import Path

import pytest

from avscli.datasets.avsbench import AVSS_CLASSES
from avscli.errors import UsageError
from avscli.training.clips.recipe import ClipRecipe
from avscli.training.couples.recipe import CoupleRecipe
from avscli.training.recipe_files import find_recipe
from tests.recipes import tiny_recipe, write_recipe


@pytest.mark.parametrize(
    ("name", "epochs", "clip_length", "num_classes"),
    [("s4", 15, 5, 1), ("ms3", 30, 5, 1), ("avss", 60, 10, 71)],
)
def test_published_recipes_say_what_was_published(
    name: str, epochs: int, clip_length: int, num_classes: int
) -> None:
    recipe = find_recipe(name)
    assert isinstance(recipe, ClipRecipe)
    assert recipe.epochs == epochs
    assert (recipe.batch_clips, recipe.learning_rate, recipe.freezes_audio) == (4, 1e-4, True)
    assert (recipe.smoothing_pixels, recipe.batch_norm, recipe.seed) == (1.0, "train", 123)
    assert recipe.spec.clip_length == clip_length
    assert recipe.spec.num_classes == num_classes
    assert recipe.spec.frame_size_hw == (224, 224)
    assert recipe.spec.architecture["backbone"] == "pvt_v2_b5"
    assert recipe.spec.architecture["drop_path"] == 0.1


def test_avss_names_its_classes_in_the_order_of_the_palette() -> None:
    assert find_recipe("avss").spec.class_names == AVSS_CLASSES


def test_mini_is_still_a_recipe_of_couples() -> None:
    assert isinstance(find_recipe("mini"), CoupleRecipe)


def test_a_recipe_comes_back_from_its_file(tmp_path: Path) -> None:
    recipe = tiny_recipe(batch_norm="frozen")
    assert find_recipe(str(write_recipe(tmp_path / "tiny.toml", recipe))) == recipe


def test_overrides_replace_what_is_given() -> None:
    changed = tiny_recipe().with_overrides(backbone="resnet50", epochs=None, steps=3, seed=None)
    assert changed.spec.architecture["backbone"] == "resnet50"
    assert (changed.epochs, changed.steps, changed.seed) == (2, 3, 1)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"batch_clips": 2.5}, "batch_clips must be at least 1, got 2.5"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"training_crop": "random"}, "training_crop must be one of squash, centre"),
        ({"precision": "int8"}, "precision must be one of fp32, bf16, fp16"),
        ({"gradient_norm": 0.0}, "gradient_norm must be positive"),
        ({"shares": {"scenes": -1.0}}, "shares must not be negative"),
    ],
)
def test_values_that_make_no_sense_are_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        tiny_recipe(**changes)


@pytest.mark.parametrize("text", ["epochs = 3\n", "epochs = [\n", 'epochs = 1\nspeed = "high"\n'])
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"mine\.toml cannot be used"):
        find_recipe(str(path))

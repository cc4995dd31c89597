"""Does drawing samples keep ahead of the network? Seconds of both, per training step of `mini`.

    python benchmarks/samples.py --avsmix PATH [--steps 12]

Samples are drawn by one thread while the network trains, so what counts is the ratio: above 1 the
network never waits. One JSON line each for windows without pictures and for couples of both sizes.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from avscli.datasets.avsmix import AvsMix
from avscli.training.loop import Trainer
from avscli.training.recipe import Recipe, load_recipe
from avscli.training.run import sample_sources


def phases() -> dict[str, Recipe]:
    """Return recipes of one phase each, with no steps yet."""
    mini = load_recipe("mini").with_overrides(sound_steps=0, sound_teachers=0, steps=0)
    return {
        "windows": mini,
        "couples, small": mini.with_overrides(late_share=0.0),
        "couples, late": mini.with_overrides(late_share=1.0),
    }


def seconds_to_draw(recipe: Recipe, data: AvsMix, *, windows: bool, steps: int) -> float:
    """Return the seconds in which one thread draws the samples of a step."""
    sources, shares = sample_sources(recipe, data)
    size_hw = recipe.size_hw_at(0)
    each = (recipe.sound_batch_samples if windows else recipe.batch_samples) // 2

    def draw(step: int) -> None:
        for i in range(each):
            rng = np.random.default_rng([step, i])
            source = sources[rng.choice(len(sources), p=shares)]
            source.draw_sounds(rng) if windows else source.draw(rng, size_hw)

    draw(0)  # files are read once and kept
    began = time.perf_counter()
    for step in range(steps):
        draw(step)
    return (time.perf_counter() - began) / steps


def seconds_to_train(recipe: Recipe, data: AvsMix) -> float:
    """Return the seconds of one step of a run, drawing included."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe, *sample_sources(recipe, data), folder=Path(folder))
        began = time.perf_counter()
        trainer.run(quiet=True)
        return (time.perf_counter() - began) / trainer.num_steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--avsmix", type=Path, required=True, help="root of a copy of avsmix")
    parser.add_argument("--steps", type=int, default=12, help="of each measurement")
    options = parser.parse_args()

    data = AvsMix.open(options.avsmix)
    for name, recipe in phases().items():
        windows = name == "windows"
        draws = seconds_to_draw(recipe, data, windows=windows, steps=options.steps)
        steps = {"sound_steps" if windows else "steps": options.steps}
        trains = seconds_to_train(recipe.with_overrides(**steps), data)
        row = {"draws_s": round(draws, 3), "trains_s": round(trains, 3)}
        print(json.dumps({"phase": name} | row | {"ratio": round(trains / draws, 2)}), flush=True)


if __name__ == "__main__":
    main()

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
from avscli.training.couples.recipe import CoupleRecipe
from avscli.training.couples.run import sample_sources
from avscli.training.couples.samples import Sample, SampleSource, SoundSample
from avscli.training.couples.task import CoupleTask
from avscli.training.engine import Engine
from avscli.training.recipe_files import find_recipe


class DrawnBefore:
    """A source whose samples cost nothing: always the same two."""

    def __init__(self, source: SampleSource, size_hw: tuple[int, int]) -> None:
        self.sound_names = source.sound_names
        self.couple = source.draw(np.random.default_rng(0), size_hw)
        self.sounds = source.draw_sounds(np.random.default_rng(0))

    def draw(self, _rng: np.random.Generator, _size_hw: tuple[int, int]) -> list[Sample]:
        return self.couple

    def draw_sounds(self, _rng: np.random.Generator) -> list[SoundSample]:
        return self.sounds


def phases(steps: int) -> dict[str, CoupleRecipe]:
    """Return recipes of one phase each."""
    mini = find_recipe("mini").with_overrides(sound_steps=0, steps=0)
    return {
        "windows": mini.with_overrides(sound_steps=steps),
        "couples, small": mini.with_overrides(steps=steps, late_share=0.0),
        "couples, late": mini.with_overrides(steps=steps, late_share=1.0),
    }


def seconds_to_draw(recipe: CoupleRecipe, data: AvsMix, steps: int) -> float:
    """Return the seconds in which one thread draws the samples of a step."""
    sources, shares = sample_sources(recipe, data)
    windows = recipe.sound_steps > 0
    each = (recipe.sound_batch_samples if windows else recipe.batch_samples) // 2

    def draw(step: int) -> None:
        for i in range(each):
            rng = np.random.default_rng([step, i])
            source = sources[rng.choice(len(sources), p=shares)]
            source.draw_sounds(rng) if windows else source.draw(rng, recipe.size_hw_at(0))

    for step in range(steps):  # files are read once and kept
        draw(step)
    began = time.perf_counter()
    for step in range(steps):
        draw(step)
    return (time.perf_counter() - began) / steps


def seconds_to_train(recipe: CoupleRecipe, data: AvsMix) -> float:
    """Return the seconds of one step whose samples are there."""
    sources, shares = sample_sources(recipe, data)
    drawn = [DrawnBefore(source, recipe.size_hw_at(0)) for source in sources]
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(CoupleTask(recipe, drawn, shares), Path(folder))
        began = time.perf_counter()
        engine.run(lambda _progress: None)
        return (time.perf_counter() - began) / recipe.num_steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--avsmix", type=Path, required=True, help="root of a copy of avsmix")
    parser.add_argument("--steps", type=int, default=12, help="of each measurement")
    options = parser.parse_args()

    data = AvsMix.open(options.avsmix)
    for name, recipe in phases(options.steps).items():
        draws = seconds_to_draw(recipe, data, options.steps)
        trains = seconds_to_train(recipe, data)
        row = {"draws_s": round(draws, 3), "trains_s": round(trains, 3)}
        print(json.dumps({"phase": name} | row | {"ratio": round(trains / draws, 2)}), flush=True)


if __name__ == "__main__":
    main()

"""What each part of the network brings: train without it for a short while, and score.

    python benchmarks/ablations.py --avsmix PATH --start-backbone FILE --start-audio FILE

Every row starts from the same encoders, sees the same pictures and sounds, and is scored on
validation pairs at the trained frame size with threshold 0.5 and no calibration. One JSON line a
row; rows of one call can be compared with each other and with nothing else: they are far from
trained out.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from avscli.config import DataSelection, EvalOptions
from avscli.datasets.avsmix import AvsMix
from avscli.datatypes import CheckpointInfo
from avscli.devices import start
from avscli.evaluation.network.data import open_data
from avscli.evaluation.protocols import summary
from avscli.evaluation.run import evaluate_network
from avscli.networks.layers import resize
from avscli.networks.pcmanet.network import PCMANet
from avscli.training.couples.recipe import CoupleRecipe
from avscli.training.couples.run import sample_sources
from avscli.training.couples.task import CoupleTask
from avscli.training.engine import Engine
from avscli.training.recipe_files import find_recipe
from avscli.training.runs import progress_bar
from avscli.training.start import StartWeights


class PictureAlone(nn.Module):
    """In the place of AVGA: no sound in the local branch."""

    def forward(self, visual: Tensor, _audio: Tensor) -> Tensor:
        return visual


class NoQuestions(nn.Module):
    """In the place of QSCA: the guide is the picture, and the sound token passes."""

    def forward(
        self,
        visual: Tensor,
        audio: Tensor,
        grid: tuple[int, int],
        _valid: Tensor,
        _selected: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        return resize(visual, grid), audio


class AllAsked(nn.Module):
    """Around QSCA: every query asks, however sure the coarser stage is."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(
        self,
        visual: Tensor,
        audio: Tensor,
        grid: tuple[int, int],
        valid: Tensor,
        _selected: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        answer: tuple[Tensor, Tensor | None] = self.inner(visual, audio, grid, valid, None)
        return answer


def without_avga(network: PCMANet) -> None:
    network.avga = nn.ModuleList(PictureAlone() for _ in network.avga)


def without_qsca(network: PCMANet) -> None:
    network.qsca = nn.ModuleList(NoQuestions() for _ in network.qsca)


def without_cim(network: PCMANet) -> None:
    network.qsca = nn.ModuleList(AllAsked(inner) for inner in network.qsca)


def as_it_is(network: PCMANet) -> None:
    """The network of the recipe."""


def architecture(recipe: CoupleRecipe, **changes: str | int | bool) -> CoupleRecipe:
    spec = replace(recipe.spec, architecture={**recipe.spec.architecture, **changes})
    return replace(recipe, spec=spec)


ROWS: dict[str, tuple[Callable[[CoupleRecipe], CoupleRecipe], Callable[[PCMANet], None]]] = {
    "whole": (lambda r: r, as_it_is),
    "without QSCA": (lambda r: r, without_qsca),
    "without CIM masking": (lambda r: r, without_cim),
    "without AVGA": (lambda r: r, without_avga),
    "without the null-sound token": (lambda r: architecture(r, null_audio_token=False), as_it_is),
    "without named sources": (lambda r: architecture(r, source_classes=""), as_it_is),
    "official layout": (lambda r: architecture(r, variant="official"), as_it_is),
    "frozen sound encoder": (lambda r: replace(r, audio_learning_rate=0.0), as_it_is),
}


def train_and_score(
    recipe: CoupleRecipe, change: Callable[[PCMANet], None], options: argparse.Namespace
) -> dict[str, float]:
    data = AvsMix.open(options.avsmix)
    with tempfile.TemporaryDirectory() as folder:
        task = CoupleTask(recipe, *sample_sources(recipe, data))
        weights = StartWeights(backbone=options.start_backbone, audio=options.start_audio)
        task.side.start(weights, freezes_audio=False)
        network = task.side.network
        assert isinstance(network, PCMANet)
        change(network)
        engine = Engine(task, Path(folder))
        with progress_bar(task.num_steps, done=0, quiet=False) as tell:
            engine.run(tell)
    network.load_state_dict(engine.weights())
    network.checkpoint = CheckpointInfo(
        name="ablation",
        sha256="",
        num_parameters=sum(p.numel() for p in network.parameters()),
        spec=network.spec,
        trained_on=("avsmix", "generated scenes"),
        scores={},
        licence="none",
        source=f"{task.num_steps} steps",
    )
    runtime = start(network.eval(), "cpu", precision="fp32", warn=print)
    pairs = open_data(DataSelection("avsmix", options.avsmix, "val"))
    some = replace(pairs, samples=lambda: islice(pairs.samples(), 0, None, options.every))
    report = evaluate_network(runtime, some, EvalOptions(threshold=0.5), lambda _done: None)
    return summary(report.scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--avsmix", type=Path, required=True, help="root of a copy of avsmix")
    parser.add_argument("--start-backbone", type=Path, required=True)
    parser.add_argument("--start-audio", type=Path, required=True)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--sound-steps", type=int, default=200)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--side", type=int, default=192, help="of the pictures, in pixels")
    parser.add_argument("--every", type=int, default=2, help="score every so many-th pair")
    parser.add_argument("--seed", type=int, help="default: the recipe's; others show the noise")
    options = parser.parse_args()

    size_hw = (options.side, options.side)
    short = find_recipe("mini").with_overrides(
        sound_steps=options.sound_steps,
        steps=options.steps,
        late_share=0.0,
        sample_size_hw=size_hw,
        seed=options.seed,
    )
    # No sound around: what it is compared by is learned when weights are calibrated.
    spec = replace(short.spec, frame_size_hw=size_hw, sound_offsets_seconds=())
    short = replace(short, spec=spec)
    for name in options.rows:
        began = time.monotonic()
        torch.manual_seed(short.seed)
        shape, change = ROWS[name]
        found = train_and_score(shape(short), change, options)
        minutes = round((time.monotonic() - began) / 60, 1)
        print(json.dumps({"row": name, **found, "minutes": minutes}), flush=True)


if __name__ == "__main__":
    main()

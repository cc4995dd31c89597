"""Where the error lies: score a network as it hears, and with the truth in place of its hearing.

    python benchmarks/errors.py --avsmix PATH [--split val] [--weights pcmanet-mini] [--every 1]

Prints one JSON document: scores as they are; scores when the sound side is told which classes can
make the sound, so that what is missing is the picture side's; both by the share of the picture that
sounds; and how often the sound side alone, told what is visible, says exactly what sounds, at the
threshold that declines 95 % of the pairs with a sound of something else.
"""

import argparse
import json
from collections import defaultdict
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avscli.checkpoints import load_network
from avscli.datasets.avsmix import AvsMix, Pair, load_pair
from avscli.devices import Runtime, start
from avscli.evaluation.network.judging import judge
from avscli.evaluation.protocols import AvsProtocol, summary
from avscli.evaluation.rows import ClipRow
from avscli.media.stills import read_indices
from avscli.networks.pcmanet.network import NamedSound, PCMANet

SURE_LOGIT = 8.0
LEAST_PIXELS = 30  # of a class that counts as visible
DECLINED = 0.95
SIZES = {"under 1 %": 0.01, "1 to 5 %": 0.05, "5 to 20 %": 0.2, "over 20 %": 1.1}


class Hearing:
    """Takes the place of a network's naming of sounds; remembers what it said, or what it is told.

    Args:
        network: names sources.
    """

    def __init__(self, network: PCMANet) -> None:
        self.inner = network.name_sound
        self.told: Tensor | None = None
        self.said = torch.empty(0)
        network.name_sound = self  # type: ignore[method-assign]

    def __call__(self, moments: Tensor) -> NamedSound:
        named = self.inner(moments)
        if self.told is not None:
            named = named._replace(sources=self.told)
        self.said = named.sources
        return named


def rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def visible_classes(data: AvsMix, pair: Pair) -> set[str]:
    counts = np.bincount(read_indices(pair.mask).ravel(), minlength=256)
    return {name for name, i in data.class_index.items() if i and counts[i] >= LEAST_PIXELS}


def score_pairs(
    runtime: Runtime, hearing: Hearing, data: AvsMix, pairs: list[Pair], truth: list[Tensor] | None
) -> tuple[dict[str, object], list[Tensor]]:
    scores, by_size, said = AvsProtocol(), defaultdict(list), []
    for i, pair in enumerate(pairs):
        hearing.told = None if truth is None else truth[i]
        judged = judge(runtime, load_pair(data, pair))
        said.append(hearing.said[0].clone())
        scores.add(judged)
        share = float(np.mean(judged.targets == 1))
        if share:
            size = next(name for name, most in SIZES.items() if share < most)
            by_size[size].append(ClipRow.of(judged).iou)
    sizes = {
        name: {"num_frames": len(ious), "mean_iou": round(float(np.mean(ious)), 4)}
        for name, ious in by_size.items()
    }
    return rounded(summary(scores.result())) | {"by_size": sizes}, said


def said_exactly(
    names: list[str], pairs: list[Pair], visible: list[set[str]], said: list[Tensor]
) -> dict[str, float]:
    told = [{n: float(logits[names.index(n)]) for n in seen & set(names)}
            for logits, seen in zip(said, visible, strict=True)]  # fmt: skip
    foreign = [
        max(logits.values(), default=-np.inf)
        for pair, logits in zip(pairs, told, strict=True)
        if pair.kind in ("mismatch", "ambient")
    ]
    cutoff = np.quantile(foreign, DECLINED)
    right = defaultdict(list)
    for pair, logits, seen in zip(pairs, told, visible, strict=True):
        right[pair.kind].append(
            {n for n, x in logits.items() if x > cutoff} == pair.sounding & seen
        )
    return {kind: float(np.mean(values)) for kind, values in sorted(right.items())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="pcmanet-mini")
    parser.add_argument("--avsmix", type=Path, required=True, help="root of a copy of avsmix")
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--every", type=int, default=1, help="score every so many-th pair")
    options = parser.parse_args()

    network = load_network(options.weights)
    names = list(network.spec.source_classes)
    hearing = Hearing(network)
    runtime = start(network, "cpu", precision="fp32", warn=print)
    data = AvsMix.open(options.avsmix)
    pairs = list(islice(data.pairs(options.split), 0, None, options.every))
    makes = {sound.audio: sound.visual_classes for sound in data.sounds(options.split)}
    truth = []
    for pair in pairs:
        makers = frozenset().union(*(makes[audio] for audio in pair.audio))
        truth.append(SURE_LOGIT * torch.tensor([[1.0 if n in makers else -1.0 for n in names]]))

    heard, said = score_pairs(runtime, hearing, data, pairs, None)
    true, _ = score_pairs(runtime, hearing, data, pairs, truth)
    visible = [visible_classes(data, pair) for pair in pairs]
    result = {
        "as_heard": heard,
        "with_the_true_sound": true,
        "sound_alone_exactly_right": rounded(said_exactly(names, pairs, visible, said)),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

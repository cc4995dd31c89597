"""Time the F-score against the published algorithm, and the share of scoring in an evaluation.

    python benchmarks/evaluation.py [--clips 740] [--plain-clips 20] [--weights pcmanet-mini]

The published F compares every frame with 255 thresholds, one after the other; ours takes one
histogram. Both score the same clips, and all numbers must be equal. Plain clips are fewer, since
they take minutes; their time is scaled to all. The evaluation is one of generated scenes.
Prints one JSON document. On a busy machine set OMP_NUM_THREADS=1, or waiting threads slow the
published algorithm down more than ours.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator

import torch
from setting import describe

from avscli.checkpoints import load_network
from avscli.config import DataSelection, EvalOptions
from avscli.devices import start
from avscli.evaluation.network.data import open_data
from avscli.evaluation.run import evaluate_network
from avscli.metrics.avsbench import f_measure

STEPS, SIDE = 5, 224
BETA_SQUARED = 0.3


def plain_f_measure(logits: torch.Tensor, target: torch.Tensor) -> float:
    """F of a batch as published: a mask and two sums for each of 255 thresholds."""
    probability = torch.sigmoid(logits)
    thresholds = torch.linspace(0, 1 - 1e-10, 255)
    curve, num_frames = torch.zeros(255), 0
    for said, true in zip(probability, target, strict=True):
        if true.mean() == 0.0:
            continue
        precision, recall = torch.zeros(255), torch.zeros(255)
        for k in range(255):
            mask = (said >= thresholds[k]).float()
            hits = (mask * true).sum()
            precision[k] = hits / (mask.sum() + 1e-20)
            recall[k] = hits / (true.sum() + 1e-20)
        f_score = (1 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
        f_score[f_score != f_score] = 0
        curve += f_score
        num_frames += 1
    return float((curve / max(1, num_frames)).max())


def clips(count: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield logits and targets [5, 224, 224] with smooth masks, like a network's."""
    draw = torch.Generator().manual_seed(0)
    for _ in range(count):
        coarse = 3 * torch.randn(STEPS, 1, 7, 7, generator=draw)
        smooth = torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear")[:, 0]
        noise = torch.randn(STEPS, SIDE, SIDE, generator=draw)
        yield smooth + noise, (smooth > 0.5).float()


def compare_f(num_clips: int, num_plain: int) -> dict[str, float]:
    ours = plain = 0.0
    largest = 0.0
    for number, (logits, target) in enumerate(clips(num_clips)):
        began = time.perf_counter()
        fast = f_measure(logits, target)
        ours += time.perf_counter() - began
        if number < num_plain:
            began = time.perf_counter()
            slow = plain_f_measure(logits, target)
            plain += time.perf_counter() - began
            largest = max(largest, abs(fast - slow))
    scaled = plain * num_clips / num_plain
    return {
        "frames": num_clips * STEPS,
        "ours_seconds": ours,
        "published_seconds_scaled": scaled,
        "ratio": scaled / ours,
        "largest_difference": largest,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=740)
    parser.add_argument("--plain-clips", type=int, default=20)
    parser.add_argument("--weights", default="pcmanet-mini")
    parser.add_argument("--scenes", type=int, default=200, help="frames of the whole evaluation")
    arguments = parser.parse_args()

    f_score = compare_f(arguments.clips, arguments.plain_clips)
    runtime = start(load_network(arguments.weights), "cpu", precision="fp32", warn=print)
    data = open_data(DataSelection("scenes", limit=arguments.scenes))
    report = evaluate_network(runtime, data, EvalOptions(), lambda _done: None)
    seconds = dict(report.seconds)
    shares = {f"{name}_share": seconds[name] / seconds["total"] for name in ("network", "scoring")}
    facts = {"setting": describe(), "f_score": f_score, "evaluation": seconds | shares}
    print(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()

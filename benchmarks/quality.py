"""Score weights on fixed avsmix pairs and on generated scenes that training never draws.

    python benchmarks/quality.py --avsmix PATH [--split test] [--weights pcmanet-mini]

Prints one JSON document: mean IoU over pairs in which something visible sounds, and the share of
the others whose mask stays under 1 % of the frame, per kind of pair and per class; the expected
calibration error of the pixels' probabilities with its table; how much of the masks goes when the
sound is swapped for one of a class that is not visible; and how well a sound chooses between two
pictures side by side.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

from avscli.checkpoints import load_network
from avscli.datasets.avsmix import AvsMix
from avscli.devices import start
from avscli.evaluation import Scores, avsmix_frames, scene_frames, score
from avscli.evaluation.counterfactual import (
    score_side_by_side,
    score_swapped,
    side_by_side,
    swapped_couples,
)


def told(scores: Scores) -> dict[str, object]:
    return scores.summary() | {
        "per_class": {
            name: {"num_frames": len(ious), "mean_iou": sum(ious) / len(ious)}
            for name, ious in sorted(scores.class_ious.items())
        },
        "expected_calibration_error": scores.reliability.error,
        "reliability": [asdict(row) for row in scores.reliability.table()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="pcmanet-mini")
    parser.add_argument("--avsmix", type=Path, help="root of a copy of avsmix; scenes only without")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--scenes", type=int, default=500, help="how many scene frames")
    parser.add_argument("--threshold", type=float, help="default: the weights' own")
    arguments = parser.parse_args()

    network = load_network(arguments.weights)
    runtime = start(network, "cpu", precision="fp32", warn=print)
    began = time.monotonic()
    facts: dict[str, object] = {"weights_sha256": network.checkpoint.sha256}
    scenes = score(runtime, scene_frames(arguments.scenes), threshold=arguments.threshold)
    facts["scenes"] = told(scenes)
    if arguments.avsmix:
        data, split, threshold = (
            AvsMix.open(arguments.avsmix),
            arguments.split,
            arguments.threshold,
        )
        scores = score(runtime, avsmix_frames(data, split), threshold=threshold)
        facts[f"avsmix_{split}"] = told(scores)
        swapped = score_swapped(runtime, swapped_couples(data, split), threshold=threshold)
        facts[f"avsmix_{split}_swapped"] = asdict(swapped)
        beside = score_side_by_side(runtime, side_by_side(data, split), threshold=threshold)
        facts[f"avsmix_{split}_side_by_side"] = asdict(beside)
    facts["seconds"] = round(time.monotonic() - began, 1)
    print(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()

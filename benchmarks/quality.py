"""Score weights on fixed avsmix pairs and on generated scenes that training never draws.

    python benchmarks/quality.py --avsmix PATH [--split test] [--weights pcmanet-mini]

Prints one JSON document: mean IoU over pairs in which something visible sounds, and the share of
the others whose mask stays under 1 % of the frame, per kind of pair.
"""

import argparse
import json
import time
from pathlib import Path

from avscli.checkpoints import load_network
from avscli.datasets.avsmix import AvsMix
from avscli.devices import start
from avscli.evaluation import avsmix_frames, scene_frames, score


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
    facts["scenes"] = scenes.summary()
    if arguments.avsmix:
        frames = avsmix_frames(AvsMix.open(arguments.avsmix), arguments.split)
        scores = score(runtime, frames, threshold=arguments.threshold)
        facts[f"avsmix_{arguments.split}"] = scores.summary()
    facts["seconds"] = round(time.monotonic() - began, 1)
    print(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()

"""What leaving out settled parts of stages 2 and 1 saves, and what it does to masks.

    python benchmarks/masking.py --avsmix PATH [--split val] [--weights pcmanet-mini] [--every 1]

Runs the weights with and without ``skips_settled``, whatever they were made with, in turn on each
pair, on one thread. Prints CPU milliseconds of the decoder (stages 4 to 1) and their ratio, for
pairs with and without something that sounds, in float32 and bfloat16, and the scores of `avs eval`
both ways in float32.
"""

import argparse
import time
from collections import defaultdict
from itertools import islice
from pathlib import Path

import torch
from setting import describe, show, table
from torch import Tensor

from avscli.checkpoints import load_network
from avscli.datasets.avsmix import AvsMix, load_pair
from avscli.datasets.labelled import LabelledClip
from avscli.devices import start
from avscli.evaluation.network.judging import judge, prepare_labelled
from avscli.evaluation.protocols import AvsProtocol
from avscli.networks.pcmanet.network import PCMANet

ROUNDS = 3  # after one that warms up
KINDS = {"sounds": ("sounds",), "empty": ("empty",), "all": ("sounds", "empty")}
SCORES = ("mean_iou", "boundary_f", "kept_empty")
Milliseconds = dict[tuple[str, str, bool], float]


class Stopwatch:
    """Adds up the CPU time of a network's decoder, and nothing else.

    Args:
        network: its `_decode` is timed from now on.
    """

    def __init__(self, network: PCMANet) -> None:
        self.inner = network._decode
        self.seconds = 0.0
        network._decode = self  # type: ignore[method-assign, assignment]

    def __call__(self, *given: object) -> tuple[list[Tensor], list[Tensor]]:
        began = time.process_time()
        decoded = self.inner(*given)  # type: ignore[arg-type]
        self.seconds += time.process_time() - began
        return decoded


def add_times(
    found: Milliseconds, network: PCMANet, stopwatch: Stopwatch, clip: LabelledClip
) -> None:
    """Time both ways in both arithmetics on one clip."""
    inputs = prepare_labelled([clip], network.spec).inputs
    kind = "sounds" if (clip.targets == 1).any() else "empty"
    for dtype in (torch.float32, torch.bfloat16):
        with (
            torch.inference_mode(),
            torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16),
        ):
            moments = network.audio_encoder(inputs.log_mel.flatten(0, 2)[:, None])  # type: ignore[misc]
            moments = moments.reshape(*inputs.valid.shape, inputs.log_mel.shape[2], -1)
            seen = network.encode_picture(inputs.frames.flatten(0, 1))
            for turn in range(1 + ROUNDS):
                for network.skips_settled in (False, True):
                    stopwatch.seconds = 0.0
                    network.listen(seen, moments, inputs.valid)
                    key = (str(dtype).removeprefix("torch."), kind, network.skips_settled)
                    found[key] += (turn > 0) * 1000.0 * stopwatch.seconds / ROUNDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="pcmanet-mini")
    parser.add_argument("--avsmix", type=Path, required=True, help="root of a copy of avsmix")
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--every", type=int, default=1, help="every so many-th pair")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    network = load_network(arguments.weights)
    assert isinstance(network, PCMANet)
    runtime = start(network, "cpu", precision="fp32", warn=print)
    data = AvsMix.open(arguments.avsmix)
    pairs = list(islice(data.pairs(arguments.split), 0, None, arguments.every))
    stopwatch, times = Stopwatch(network), defaultdict(float)
    protocols = {False: AvsProtocol(), True: AvsProtocol()}
    for pair in pairs:
        clip = load_pair(data, pair)
        add_times(times, network, stopwatch, clip)
        for network.skips_settled, protocol in protocols.items():
            protocol.add(judge(runtime, clip))

    rows: list[list[object]] = []
    for dtype in ("float32", "bfloat16"):
        for name, kinds in {
            "sounds": ("sounds",),
            "empty": ("empty",),
            "all": ("sounds", "empty"),
        }.items():
            whole, part = (sum(times[dtype, k, way] for k in kinds) for way in (False, True))
            rows.append([f"{dtype}, {name}", whole / len(pairs), part / len(pairs), part / whole])
    scores = {way: protocol.result()["scores"] for way, protocol in protocols.items()}
    for name in SCORES:
        whole, part = (scores[way][name]["value"] for way in (False, True))  # type: ignore[index]
        rows.append([name, whole, part, part / whole])
    header = ("ms of a pair, then scores", "everything", "unsettled", "ratio")
    facts = {"setting": describe(), "pairs": len(pairs), "rows": rows}
    show(facts, table(header, rows))


if __name__ == "__main__":
    main()

"""What networks cost on equal encoders: parameters, operations, CPU time against PCMANet's.

    python benchmarks/network_cost.py [--networks pcmanet avesformer …] [--encoders light|published]
                                      [--side 320] [--steps 1] [--rounds 9]

All have random weights and run as `avs segment` runs them: batch norms folded, maps with channels
last, one thread. ``light`` are MobileNetV2 (output stride 16) and MobileTagger with 64 channels,
``published`` PVT-v2-b5 and VGGish with 256. Rounds go through all networks in turn, and a ratio is
the median over the rounds of a network's CPU time over that of PCMANet in the same round: other
work on the machine slows both. *beside the encoders* is what is left without the encoders, timed in
the same round.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from setting import describe, show, table
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from avscli.audio.front_end import FRONT_ENDS
from avscli.datatypes import JsonScalar, LogMel, NetworkInput, NetworkSpec
from avscli.networks.folding import fold_batch_norms
from avscli.networks.registry import build_network

ENCODERS: dict[str, dict[str, JsonScalar]] = {
    "light": {
        "backbone": "mobilenet_v2",
        "output_stride": 16,
        "audio_encoder": "mobile_tagger",
        "channels": 64,
    },
    "published": {"backbone": "pvt_v2_b5", "audio_encoder": "vggish", "channels": 256},
}
LOG_MEL: dict[str, LogMel] = {"light": "efficientat", "published": "vggish"}
OWN: dict[str, dict[str, JsonScalar]] = {
    "pcmanet": {
        "variant": "corrected",
        "avga_heads": 8,
        "qsca_heads": 8,
        "null_audio_token": True,
        "enlarges_last": True,
    },
    "avesformer": {"heads": 8},
    "ama": {"heads": 8},
    "tpavi": {"variant": "corrected"},
}


def make_network(name: str, encoders: str, side: int, steps: int) -> nn.Module:
    """Return a network with random weights, as it is run."""
    torch.manual_seed(0)
    spec = NetworkSpec(
        network=name,
        task="binary",
        clip_length=steps,
        seconds_per_step=1.0,
        frame_size_hw=(side, side),
        pixel_mean=(0.5, 0.5, 0.5),
        pixel_std=(0.5, 0.5, 0.5),
        resize_mode="squash",
        num_classes=1,
        class_names=("sounding_object",),
        padding="repeat_last",
        log_mel=LOG_MEL[encoders],
        architecture={**ENCODERS[encoders], **OWN[name]},
    )
    network = build_network(spec)
    assert isinstance(network, nn.Module)
    fold_batch_norms(network.eval())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def make_inputs(encoders: str, side: int, steps: int) -> NetworkInput:
    draw = torch.Generator().manual_seed(1)
    patch = FRONT_ENDS[LOG_MEL[encoders]].patch_shape
    return NetworkInput(
        frames=torch.randn(1, steps, 3, side, side, generator=draw),
        log_mel=torch.randn(1, steps, 1, *patch, generator=draw) - 2.0,
        valid=torch.ones(1, steps, dtype=torch.bool),
    )


def cpu_milliseconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return 1000.0 * (time.process_time() - began)


class _OperationCounter(TorchDispatchMode):
    """Adds up operations; torch's own counter fails where a forward pass asks for gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function, _types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        if count := flop_registry.get(function._overloadpacket):
            self.total += count(*args, **(kwargs or {}), out_val=found)
        return found


def giga_operations(work: Callable[[], object]) -> float:
    """Count the operations of some work, backward passes in it included."""
    # In inference mode, products would come undivided into the operations that are counted.
    with torch.inference_mode(mode=False), torch.no_grad(), _OperationCounter() as counter:
        work()
    return counter.total / 1e9


def measure(names: list[str], encoders: str, side: int, steps: int, rounds: int) -> list[list]:
    """Return a row per network; the first one is what the others are held against."""
    inputs = make_inputs(encoders, side, steps)
    networks = {name: make_network(name, encoders, side, steps) for name in names}
    whole: dict[str, list[float]] = {name: [] for name in names}
    own: dict[str, list[float]] = {name: [] for name in names}
    with torch.inference_mode():
        operations = {name: giga_operations(lambda n=n: n(inputs)) for name, n in networks.items()}
        for _ in range(rounds):
            for name, network in networks.items():
                encoding = cpu_milliseconds(
                    lambda n=network: (
                        n.backbone(inputs.frames.flatten(0, 1)),
                        n.encode_sound(inputs.log_mel.flatten(0, 1)),
                    )
                )
                whole[name].append(cpu_milliseconds(lambda n=network: n(inputs)))
                own[name].append(whole[name][-1] - encoding)
    first = names[0]

    def against(times: dict[str, list[float]], name: str) -> float:
        pairs = zip(times[name], times[first], strict=True)
        return median(ours / theirs for ours, theirs in pairs)

    return [
        [
            name,
            sum(p.numel() for p in networks[name].parameters()) / 1e6,
            operations[name] / steps,
            median(whole[name]) / steps,
            against(whole, name),
            against(own, name),
        ]
        for name in names
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=sorted(OWN), default=list(OWN))
    parser.add_argument("--encoders", choices=sorted(ENCODERS), default="light")
    parser.add_argument("--side", type=int, default=320)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(asked.networks, asked.encoders, asked.side, asked.steps, asked.rounds)
    header = (
        f"{asked.encoders}, {asked.side}², T = {asked.steps}",
        "M parameters",
        "GFLOP a frame",
        "CPU ms a frame",
        f"against {asked.networks[0]}",
        "beside the encoders",
    )
    show({"setting": describe(), "header": header, "rows": rows}, table(header, rows))


if __name__ == "__main__":
    main()

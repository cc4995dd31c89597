"""What TPAVI's block needs when every pixel meets every other, and what ours needs.

    python benchmarks/tpavi.py [--side 56] [--steps 5] [--rounds 3]

Runs one block of 256 channels on one clip, both ways in turn, each in a process of its own on one
thread, in evaluation. Prints CPU seconds and how far the process's peak memory rose while it ran,
medians over the rounds, their ratios, and the largest difference of the results.
"""

import argparse
import json
import multiprocessing
import resource
import time
from statistics import median

import torch
from setting import describe, show, table
from torch import Tensor

from avscli.networks.tpavi.modules import TemporalPixelwiseInteraction, listening_shares

CHANNELS, FEATURES = 256, 128


def dense(block: TemporalPixelwiseInteraction, maps: Tensor, sound: Tensor) -> Tensor:
    """Compute arXiv 2207.05042, equation 1, as it is written: [T, C, h, w]."""
    T, C, h, w = maps.shape
    pixels = maps.permute(0, 2, 3, 1).reshape(-1, C)
    copies = block.align(sound).repeat_interleave(h * w, dim=0)
    likeness = block.theta(pixels) @ block.phi(copies).T
    branch = block.w_z((likeness / len(pixels)) @ block.g(pixels))
    normed = block.w_z_norm(branch[:, :, None, None])[:, :, 0, 0]
    mixed: Tensor = block.norm(pixels + normed)
    return mixed.reshape(T, h, w, C).permute(0, 3, 1, 2)


def measure(form: str, T: int, side: int) -> tuple[float, float, Tensor]:
    """Return CPU seconds, the rise of peak memory in MB, and every 97th value of the result."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    block = TemporalPixelwiseInteraction(CHANNELS, FEATURES, sound_bias=True).eval()
    torch.nn.init.normal_(block.w_z_norm.weight)
    maps, sound = torch.randn(T, CHANNELS, side, side), torch.rand(T, FEATURES)
    shares = listening_shares(
        torch.ones(1, T, dtype=torch.bool), steps_together=None, masks_padding=False
    )
    with torch.inference_mode():
        block(maps[:1, :, :2, :2], sound[:1], shares[:, :1, :1])  # loads what runs once
        before, began = _peak_mb(), time.process_time()
        mixed = dense(block, maps, sound) if form == "dense" else block(maps, sound, shares)[0]
        return time.process_time() - began, _peak_mb() - before, mixed.flatten()[::97].clone()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=56)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[tuple[float, float, Tensor]]] = {"dense": [], "ours": []}
    for _ in range(options.rounds):
        for form, runs in found.items():
            with multiprocessing.get_context("spawn").Pool(1) as alone:
                runs.append(alone.apply(measure, (form, options.steps, options.side)))
    medians = {
        form: {"cpu_seconds": median(r[0] for r in runs), "peak_mb": median(r[1] for r in runs)}
        for form, runs in found.items()
    }
    difference = float((found["dense"][0][2] - found["ours"][0][2]).abs().max())
    ratios = {k: medians["ours"][k] / medians["dense"][k] for k in ("cpu_seconds", "peak_mb")}
    result = {
        "setting": describe() | vars(options),
        "medians": medians,
        "ratios": ratios,
        "largest_difference": difference,
    }
    rows = [[form, m["cpu_seconds"], m["peak_mb"]] for form, m in medians.items()]
    rows.append(["ours / dense", ratios["cpu_seconds"], ratios["peak_mb"]])
    show(json.loads(json.dumps(result)), table(["block", "CPU s", "peak MB"], rows))


if __name__ == "__main__":
    main()

"""From which share of evidence on a region should have a name: measured on pictures with classes.

    python benchmarks/names.py --avsmix PATH [--split val] [--weights pcmanet-mini] > names.json

Marks every pair of avsmix in which something visible sounds and names the regions with each of
some values of ``KNOWN_SHARE``. Of the *sounding* regions, half of whose pixels or more do sound:
the share that is given a name, of these the share with the right one (the class that most of the
region's sounding pixels have); right names, and right minus wrong ones, as shares of all. Of the
other regions the share that is called unknown.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
import torch
from setting import describe, show, table

from avscli.config import DEFAULT_WEIGHTS, SegmentOptions
from avscli.datasets.avsmix import AvsMix, load_pair
from avscli.datatypes import VOID
from avscli.masks import MaskRule, foreground_probability
from avscli.objects import naming
from avscli.pipeline import open_runtime
from avscli.postprocess import StepOutput, split_steps
from avscli.preprocess import prepare

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from avscli.datasets.avsmix import Pair
    from avscli.devices import Runtime

SHARES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6)


def said_of(runtime: Runtime, data: AvsMix, pair: Pair) -> StepOutput:
    """Return what the network says of a pair."""
    spec = runtime.spec
    clips = load_pair(data, pair).network_clips(spec)
    prepared = prepare(clips, spec)
    return next(split_steps(runtime.forward(prepared.inputs), clips, prepared.levels_dbfs))


def judge(
    runtime: Runtime, step: StepOutput, classes: NDArray[np.uint8], sounding: dict[int, str]
) -> Counter[str]:
    """Count the regions of a pair.

    Args:
        runtime: of the network.
        step: what it says.
        classes: [H, W] uint8, class index of each pixel.
        sounding: names of the indices that sound.
    """
    spec = runtime.spec
    rule, size_hw = MaskRule.of(spec), (classes.shape[0], classes.shape[1])
    logits = step.stage_logits[0]
    probability = foreground_probability(logits, rule.temperature)
    unknown = max(spec.categories)
    found = naming.name_regions(
        rule.label_map(logits, size_hw), probability, step.sources, unknown=unknown
    )
    counts: Counter[str] = Counter()
    for number, region in enumerate(found.named, 1):
        pixels = classes[(found.labels == number) & (classes != VOID)]
        shown = np.bincount(pixels, minlength=256)
        best = max(sounding, key=lambda index: int(shown[index]))
        kind = "sounding" if 2 * shown[list(sounding)].sum() >= max(len(pixels), 1) else "other"
        is_known = region.category_id != unknown
        counts[kind] += 1
        counts[f"{kind}, named"] += is_known
        counts[f"{kind}, right"] += spec.categories[region.category_id] == sounding[best]
    return counts


def row_of(counts: Counter[str]) -> dict[str, float]:
    """Return the shares of one value."""
    sounding, named, right = (counts[f"sounding{end}"] for end in ("", ", named", ", right"))
    return {
        "sounding": sounding,
        "named": named / sounding,
        "right_of_named": right / max(named, 1),
        "right": right / sounding,
        "right_less_wrong": (2 * right - named) / sounding,
        "others": counts["other"],
        "others_unknown": 1 - counts["other, named"] / max(counts["other"], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--avsmix", type=Path, required=True, help="root of a copy of avsmix")
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    options = SegmentOptions(device="cpu", precision="fp32")
    runtime = open_runtime(arguments.weights, options, print)
    data = AvsMix.open(arguments.avsmix)
    totals: dict[float, Counter[str]] = {share: Counter() for share in SHARES}
    for pair in data.pairs(arguments.split):
        if not pair.sounding:
            continue
        step, classes = said_of(runtime, data, pair), data.indices(pair.mask)
        sounding = {data.class_index[name]: name for name in sorted(pair.sounding)}
        for share, total in totals.items():
            with mock.patch.object(naming, "KNOWN_SHARE", share):
                total += judge(runtime, step, classes, sounding)
    rows = {share: row_of(total) for share, total in totals.items()}
    show(
        {"weights": arguments.weights, "shares": rows, **describe()},
        table(["share", *rows[SHARES[0]]], [[str(k), *row.values()] for k, row in rows.items()]),
    )


if __name__ == "__main__":
    main()

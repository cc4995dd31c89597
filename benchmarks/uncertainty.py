"""Do networks know what they do not know? Evidential uncertainty against temperature scaling.

    python benchmarks/uncertainty.py --weights FILE … [--scenes 60] [--steps 10]
                                     [--avsmix PATH] [--limit 300]

Every checkpoint is read in each way it allows. ``logits`` are what it returns; of an evidential one
these are lowered by the uncertainty, and ``expected`` are those before; ``… / T`` divides by the
temperature that fits validation best. Where to cut is chosen on validation as well, by mean IoU.
Scored on test seeds of generated scenes, one frame a second (and on test pairs of avsmix):

calibration error    of all pixels, 15 bins
IoU, most certain    pooled over all pixels, and over the 80 % that are most certain: by the
                     distance of the probability from where it is cut, or by u (``u``)
switch, steady       mean IoU and calibration error of frames less than half a second from the start
                     or end of a sound, and of the others (scenes only)
doubt                how much more uncertain pixels are, on average, near a switch (1: no more)
"""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from setting import describe, show, table

from avscli.checkpoints import load_network
from avscli.config import DataSelection
from avscli.datasets.kinds.scenes import SEEDS, SceneClips
from avscli.datasets.labelled import LabelledClip
from avscli.datasets.registry import kind_of
from avscli.datasets.scenes import plan_scene
from avscli.datatypes import VOID
from avscli.devices import TorchRuntime, start
from avscli.evaluation.network.judging import prepare_labelled
from avscli.masks import resize_plane
from avscli.metrics.calibration import Reliability
from avscli.networks.evidence import uncertainty
from avscli.training.couples.calibration import fit_temperature

SIDE = 224
NEAR_SECONDS = 0.5
MOST_CERTAIN = 0.8
CUTS = tuple(k / 20 for k in range(2, 19))
STEP = 4  # every fourth row and column tells enough

Plane = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Told:
    """What a network said about one frame, at some rows and columns, and the truth.

    Attributes:
        readings: [h, w] log odds by name.
        doubt: [h, w] uncertainty 0 … 1; None from networks without evidence.
        truth, known: [h, w] bool.
        near_switch: None where nobody knows.
    """

    readings: dict[str, Plane]
    doubt: Plane | None
    truth: NDArray[np.bool_]
    known: NDArray[np.bool_]
    near_switch: bool | None


def scene_clips(split: str, count: int, steps: int) -> Iterator[tuple[LabelledClip, list[bool]]]:
    """Yield scenes, and which of their frames lie near a switch."""
    seeds = SEEDS[split][:count]  # type: ignore[index]
    clips = SceneClips(seeds, steps, (SIDE, SIDE))
    for index, seed in enumerate(seeds):
        plan = plan_scene(seed, num_frames=steps, fps=Fraction(1), size_hw=(SIDE, SIDE))
        ends = [s for thing in plan.objects for span in thing.on_seconds for s in span]
        inside = [s for s in ends if 0.0 < s < steps]
        near = [any(abs(s - k) < NEAR_SECONDS for s in inside) for k in range(steps)]
        yield clips.read(index), near


def told_of(runtime: TorchRuntime, clip: LabelledClip, near: list[bool] | None) -> Iterator[Told]:
    """Run a network on a clip of any length."""
    inputs = prepare_labelled([clip], runtime.spec).inputs
    output = runtime.forward(inputs)
    valid = inputs.valid.flatten()

    def planes(values: torch.Tensor) -> list[Plane]:
        grids = values.flatten(0, 1)[valid, 0].numpy()
        resized = (resize_plane(grid, clip.size_hw) for grid in grids)
        return [np.ascontiguousarray(plane[::STEP, ::STEP]) for plane in resized]

    readings, doubts = {"logits": planes(output.logits)}, None
    if output.evidence is not None:
        readings["expected"] = planes(output.evidence.logits[0])
        doubts = planes(uncertainty(output.evidence.concentration[0]))
    for k in np.flatnonzero(clip.labelled):
        target = clip.targets[k, ::STEP, ::STEP]
        yield Told(
            readings={name: values[k] for name, values in readings.items()},
            doubt=None if doubts is None else doubts[k],
            truth=target == 1,
            known=target != VOID,
            near_switch=None if near is None else near[k],
        )


def pixels(frames: Iterable[Told], name: str) -> tuple[Plane, NDArray[np.bool_]]:
    """Return log odds and truth of all known pixels."""
    frames = list(frames)
    odds = np.concatenate([f.readings[name][f.known] for f in frames])
    return odds, np.concatenate([f.truth[f.known] for f in frames])


def probability(odds: Plane, temperature: float) -> Plane:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * odds / temperature), np.float32)


def mean_iou(frames: Iterable[Told], name: str, cut: float) -> float:
    """Return the mean over the frames in which something sounds; NaN without any."""
    ious = []
    for frame in frames:
        truth, marked = frame.truth & frame.known, (frame.readings[name] >= cut) & frame.known
        if truth.any():
            ious.append((truth & marked).sum() / (truth | marked).sum())
    return float(np.mean(ious)) if ious else float("nan")


def calibration_error(frames: Iterable[Told], name: str, temperature: float) -> float:
    reliability = Reliability()
    for frame in frames:
        reliability.add(probability(frame.readings[name], temperature), frame.truth, frame.known)
    return reliability.error


def pooled_iou(marked: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return float((marked & truth).sum() / max(1, (marked | truth).sum()))


def most_certain(certainty: Plane) -> NDArray[np.bool_]:
    """Return [P] bool: exactly that share of the pixels, the most certain ones."""
    kept = np.zeros(len(certainty), np.bool_)
    order = np.argsort(-certainty, kind="stable")
    kept[order[: round(MOST_CERTAIN * len(order))]] = True
    return kept


def rows_of(name: str, validation: list[Told], test: list[Told]) -> list[list[object]]:
    """Return a row per reading of one checkpoint, with and without temperature."""
    rows: list[list[object]] = []
    for reading in validation[0].readings:
        temperature = fit_temperature(*pixels(validation, reading))
        odds_of = {cut: float(np.log(cut / (1.0 - cut))) for cut in CUTS}
        cut = max(odds_of.values(), key=lambda odds: mean_iou(validation, reading, odds))
        odds, truth = pixels(test, reading)
        certain = {"": np.abs(odds - cut)}
        if test[0].doubt is not None:
            certain[" u"] = -np.concatenate([f.doubt[f.known] for f in test if f.doubt is not None])
        near, steady = ([f for f in test if f.near_switch is side] for side in (True, False))
        for by, certainty in certain.items():
            for how, divided in {"": 1.0, f" / {temperature:.2f}": temperature}.items():
                kept = most_certain(certainty)
                rows.append(
                    [
                        f"{name}: {reading}{how}{by}",
                        calibration_error(test, reading, divided),
                        pooled_iou(odds >= cut, truth),
                        pooled_iou(odds[kept] >= cut, truth[kept]),
                        float((truth & kept).sum() / max(1, truth.sum())),
                        mean_iou(near, reading, cut),
                        mean_iou(steady, reading, cut),
                        calibration_error(near, reading, divided),
                        calibration_error(steady, reading, divided),
                        doubt_ratio(near, steady, reading, divided, by_evidence=bool(by)),
                    ]
                )
    return rows


def doubt_ratio(
    near: list[Told], steady: list[Told], reading: str, temperature: float, *, by_evidence: bool
) -> float:
    """Return the mean uncertainty of frames near a switch over that of the others."""

    def mean_of(frames: list[Told]) -> float:
        means = []
        for frame in frames:
            p = probability(frame.readings[reading], temperature)
            doubt = frame.doubt if by_evidence else 1.0 - 2.0 * np.abs(p - 0.5)
            means.append(float(np.mean(doubt)))
        return float(np.mean(means)) if means else float("nan")

    return mean_of(near) / mean_of(steady)


def frames_of(
    runtime: TorchRuntime, asked: argparse.Namespace, split: str
) -> dict[str, list[Told]]:
    """Return what a network says of each set of data."""
    found = {
        "scenes": [
            told
            for clip, near in scene_clips(split, asked.scenes, asked.steps)
            for told in told_of(runtime, clip, near)
        ]
    }
    if asked.avsmix:
        selection = DataSelection("avsmix", asked.avsmix, split, limit=asked.limit)
        data = kind_of("avsmix", "eval").open_set(selection)
        count = min(len(data), asked.limit or len(data))  # type: ignore[arg-type]
        found["avsmix"] = [
            told
            for index in range(count)
            for told in told_of(runtime, data.read(index), None)  # type: ignore[union-attr]
        ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", nargs="+", required=True)
    parser.add_argument("--scenes", type=int, default=60, help="of each split")
    parser.add_argument("--steps", type=int, default=10, help="frames of a scene")
    parser.add_argument("--avsmix", type=Path, help="root of a copy of avsmix")
    parser.add_argument("--limit", type=int, default=300, help="pairs of avsmix of each split")
    asked = parser.parse_args()

    header = (
        "calibration error", "IoU", "IoU, most certain", "sounding kept", "IoU at a switch",
        "IoU steady", "error at a switch", "error steady", "doubt",
    )  # fmt: skip
    rows: dict[str, list[list[object]]] = {}
    for weights in asked.weights:
        runtime = start(load_network(weights), "cpu", precision="fp32", warn=print)
        validation, test = (frames_of(runtime, asked, split) for split in ("val", "test"))
        for data in test:
            found = rows_of(Path(weights).stem, validation[data], test[data])
            rows.setdefault(data, []).extend(found)
    tables = [table((data, *header), of_data) for data, of_data in rows.items()]
    show({"setting": describe(), "header": header, "rows": rows}, *tables)


if __name__ == "__main__":
    main()

"""Score weights as `avs eval` does: as shipped, and the network alone beside it.

    python benchmarks/quality.py --avsmix PATH [--split test] [--weights pcmanet-mini]
                                 [--pairs pairs_foreign_val.csv ...] [--clips PATH [--fps 2]]

Prints one table to stderr and one JSON document to stdout. Rows of a data set are its scores by
kind and by what sounds: mean IoU where something visible sounds, and the share of the other frames
whose mask stays under 1 % of the frame. ``shipped`` is what `avs segment` writes, silence gate and
flashes included; ``network`` is the network's own word. Then how much of the masks goes when the
sound is swapped for one of a class that is not visible, and how well a sound chooses between two
pictures side by side. Of real video (``--clips``) the rows are scores of seconds, see "clips" in
docs/evaluation.md; every frame is analysed unless ``--fps`` says otherwise.
"""

import argparse
import time
from pathlib import Path

from setting import describe, show, table

from avscli.config import DataSelection, EvalOptions, SegmentOptions
from avscli.devices import Runtime
from avscli.evaluation.network.data import open_data
from avscli.evaluation.network.samples import EvaluationVideos
from avscli.evaluation.protocols import Json
from avscli.evaluation.run import evaluate_network
from avscli.pipeline import open_runtime


def evaluate(
    runtime: Runtime, selection: DataSelection, threshold: float | None, fps: float | None
) -> dict[str, Json]:
    """Score one data set both ways, and with other sounds where it has its own pairs."""
    data = open_data(selection)
    is_video = isinstance(data, EvaluationVideos)
    protocols = ("clips" if is_video else "avs", "network")
    options = EvalOptions(
        protocols=protocols,
        threshold=threshold,
        counterfactual=selection.pairs is None and not is_video,
        fps=fps if is_video else None,
    )
    report = evaluate_network(runtime, data, options, lambda _done: None)
    shipped, network = (report.protocols[name] for name in protocols)
    return {"shipped": shipped, "network": network, "counterfactual": report.counterfactual or {}}


def rows_of(found: dict[str, Json]) -> list[list[object]]:
    """Return (score, shipped, network, difference) for every score of one data set."""
    flat = [flat_scores(found[side]) for side in ("shipped", "network")]
    rows = [
        [name, value, flat[1][name], abs(value - flat[1][name])] for name, value in flat[0].items()
    ]
    for change, told in found["counterfactual"].items():
        names = ("area_gone", "mean_iou", "wrong_covered", "chosen")
        rows += [[f"{change}: {n}", told[n], "", ""] for n in names if told.get(n) is not None]
    return rows


def flat_scores(result: Json) -> dict[str, float]:
    """Return the scores worth a row by name."""
    if "per_second" in result:
        return flat_scores_of_seconds(result)
    told = {
        "J": result["scores"]["mean_iou"]["value"],
        "boundary F": result["scores"]["boundary_f"]["value"],
        "kept empty": result["scores"]["kept_empty"]["value"],
        "calibration error": result["expected_calibration_error"],
    }
    for part in ("per_kind", "per_category"):
        for name, group in result[part].items():
            told[f"J, {name}"] = group["mean_iou"]
            told[f"kept empty, {name}"] = group["kept_empty"]
    return {name: value for name, value in told.items() if value is not None}


def flat_scores_of_seconds(result: Json) -> dict[str, float]:
    """Return the scores of real video that are known, and two of every class, by name."""
    told = {name.replace("_", " "): each["value"] for name, each in result["scores"].items()}
    for name, group in result["per_category"].items():
        told[f"J, {name}"] = group["mean_iou"]
        told[f"marked at all, {name}"] = group["detection_recall"]
    return {name: value for name, value in told.items() if value is not None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="pcmanet-mini")
    parser.add_argument("--avsmix", type=Path, help="root of a copy of avsmix; scenes only without")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--pairs", type=Path, nargs="*", default=[], help="further tables of pairs")
    parser.add_argument("--clips", type=Path, help="folder of real clips")
    parser.add_argument("--fps", type=float, help="analysed frames a second of real clips")
    parser.add_argument("--scenes", type=int, default=500, help="how many scene frames")
    parser.add_argument("--limit", type=int, help="the first so many pairs only")
    parser.add_argument("--threshold", type=float, help="default: the weights' own")
    arguments = parser.parse_args()

    selections = {"scenes": DataSelection("scenes", limit=arguments.scenes)}
    if arguments.avsmix:
        for pairs in (None, *arguments.pairs):
            name = f"avsmix {arguments.split if pairs is None else pairs.stem}"
            split = "val" if pairs is not None and "val" in pairs.stem else arguments.split
            selections[name] = DataSelection(
                "avsmix", arguments.avsmix, split, pairs, arguments.limit
            )
    if arguments.clips:
        selections["clips"] = DataSelection("clips", arguments.clips)
    options = SegmentOptions(device="cpu", precision="fp32")
    runtime = open_runtime(arguments.weights, options, print)
    began = time.monotonic()
    found, tables = {}, []
    for name, selection in selections.items():
        found[name] = evaluate(runtime, selection, arguments.threshold, arguments.fps)
        tables.append(table((name, "shipped", "network", "apart"), rows_of(found[name])))
    facts: dict[str, object] = {
        "setting": describe(),
        "weights_sha256": runtime.checkpoint.sha256,
        "seconds": round(time.monotonic() - began, 1),
    }
    show(facts | found, *tables)


if __name__ == "__main__":
    main()

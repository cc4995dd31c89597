"""Networks side by side: what checkpoints of the recipes compare/NAME cost, and what they mark.

    for name in ama avesformer c3n catr pcmanet tpavi; do for seed in 1 2; do
        avs train --config compare/$name --seed $seed --data avsmix=PATH --start-backbone FILE \\
            --start-audio FILE -o runs/$name-$seed
    done; done
    python benchmarks/compare_networks.py runs/*/compare-*.safetensors --avsmix PATH [--clips PATH]
                                          [--kept FOLDER]

Checkpoints of one network are seeds of it: cells hold their mean and, of several, half the range.
Costs are of one frame, as it is run, on one thread: CPU time in turn with the other networks, with
the ratio to the first one, and how far the peak memory of a process of its own rises. Scores are of
the network alone, at the operating point that its calibration chose; what `avs segment` would write
(silence gate, flashes) stands in the JSON document beside them. With ``--kept`` scores lie in a
folder, by checkpoint, data and options, and are not computed again. *Switching* are scenes of five
steps whose sounds change, shown whole (T = 5) and step by step (T = 1).
"""

import argparse
import hashlib
import json
import multiprocessing
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import cast

import torch
from network_cost import cpu_milliseconds, giga_operations
from quality import flat_scores
from setting import describe, show, table
from torch import nn

from avscli.audio.front_end import FRONT_ENDS
from avscli.checkpoints import load_network, read_info
from avscli.config import DataSelection, EvalOptions, EvalProtocol
from avscli.datasets.kinds.scenes import SceneClips
from avscli.datasets.labelled import LabelledClip
from avscli.datasets.scenes import TEST_SEEDS
from avscli.datatypes import CheckpointInfo, NetworkInput, NetworkSpec
from avscli.devices import Runtime, start
from avscli.evaluation.network.data import open_data
from avscli.evaluation.network.samples import Evaluated, EvaluationSet, EvaluationVideos
from avscli.evaluation.run import evaluate_network

STEPS = 5  # of a scene whose sounds switch
CLIP_FPS = 2.0
CALIBRATED = ("sound_shift", "calibration_error_before", "calibration_error_after")
Scores = Mapping[str, float]


@dataclass(frozen=True)
class Checkpoint:
    """One trained network."""

    path: str
    info: CheckpointInfo

    @property
    def network(self) -> str:
        return self.info.spec.network

    def runtime(self, clip_length: int = 1) -> Runtime:
        """Return it as `avs` runs it, on clips of another length than it was trained on."""
        network = load_network(self.path)
        network.spec = replace(network.spec, clip_length=clip_length)
        return start(network, "cpu", precision="fp32", warn=print)


def one_frame(spec: NetworkSpec) -> NetworkInput:
    """Return a clip of one step at the size that the network looks at."""
    draw = torch.Generator().manual_seed(1)
    patch = FRONT_ENDS[spec.log_mel].patch_shape
    moments = 1 + len(spec.sound_offsets_seconds)
    return NetworkInput(
        frames=torch.randn(1, 1, 3, *spec.frame_size_hw, generator=draw),
        log_mel=torch.randn(1, 1, moments, *patch, generator=draw) - 2.0,
        valid=torch.ones(1, 1, dtype=torch.bool),
    )


def peak_megabytes(path: str) -> float:
    """Return how far one frame raises this process's peak memory, after a smaller one."""
    torch.set_num_threads(1)
    network = load_network(path)
    inputs = one_frame(network.spec)
    small = replace(inputs, frames=inputs.frames[..., :64, :64])
    with torch.inference_mode():
        network(small)  # loads what runs once
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
        before = _status_megabytes("VmRSS")
        network(inputs)
    return _status_megabytes("VmHWM") - before


def _status_megabytes(name: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise LookupError(name)


def costs(checkpoints: Sequence[Checkpoint], rounds: int) -> dict[str, dict[str, float]]:
    """Return what a frame of each network costs, by the network's name."""
    torch.set_num_threads(1)
    first_of = {each.network: each for each in reversed(checkpoints)}
    names = list(dict.fromkeys(each.network for each in checkpoints))
    running = {name: first_of[name].runtime() for name in names}
    networks = {name: runtime.network for name, runtime in running.items()}  # type: ignore[attr-defined]
    inputs = {name: one_frame(first_of[name].info.spec) for name in names}
    # As loaded: convolutions that carry their activations are not counted.
    loaded = {name: load_network(first_of[name].path) for name in names}
    operations = {n: giga_operations(lambda n=n: loaded[n](inputs[n])) for n in names}
    times: dict[str, list[float]] = defaultdict(list)
    with torch.inference_mode():
        for _ in range(rounds):
            for name in names:
                times[name].append(cpu_milliseconds(lambda n=name: networks[n](inputs[n])))
    found = {}
    for name in names:
        with multiprocessing.get_context("spawn").Pool(1) as alone:
            peak = alone.apply(peak_megabytes, (first_of[name].path,))
        pairs = zip(times[name], times[names[0]], strict=True)
        found[name] = {
            "M parameters": first_of[name].info.num_parameters / 1e6,
            "of these head": _head_parameters(cast("nn.Module", networks[name])) / 1e6,
            "GFLOP": operations[name],
            "CPU ms": median(times[name]),
            f"CPU against {names[0]}": median(ours / theirs for ours, theirs in pairs),
            "peak MB": peak,
        }
    return found


def _head_parameters(network: nn.Module) -> int:
    encoders = ("backbone.", "audio_encoder.")
    own = (p for name, p in network.named_parameters() if not name.startswith(encoders))
    return sum(p.numel() for p in own)


def switching_scenes(count: int) -> EvaluationSet:
    """Return scenes of several steps, in which what sounds changes."""
    scenes = SceneClips(TEST_SEEDS[:count], STEPS, (224, 224))

    def samples() -> Iterator[LabelledClip]:
        for index in range(len(scenes)):
            yield scenes.read(index)

    facts = {"kind": "scenes", "steps": STEPS, "split": "test seeds"}
    return EvaluationSet(facts, len(scenes), samples, lambda: ())


def data_sets(options: argparse.Namespace) -> dict[str, tuple[Evaluated, int]]:
    """Return what is scored, by name, with the length of clips that networks see."""
    sets: dict[str, tuple[Evaluated, int]] = {}
    if options.avsmix:
        for name, pairs in (("avsmix test", None), *((p.stem, p) for p in options.pairs)):
            split = "val" if pairs is not None and "val" in pairs.stem else "test"
            selection = DataSelection("avsmix", options.avsmix, split, pairs, options.limit)
            sets[name] = (open_data(selection), 1)
    sets["scenes"] = (open_data(DataSelection("scenes", limit=options.scenes)), 1)
    switching = switching_scenes(max(1, options.scenes // STEPS))
    sets |= {f"switching, T = {T}": (switching, T) for T in (STEPS, 1)}
    if options.clips:
        sets["clips"] = (open_data(DataSelection("clips", options.clips)), 1)
    return sets


def score(runtime: Runtime, data: Evaluated) -> dict[str, Scores]:
    """Return scores of the network alone and as shipped; with other sounds where there are."""
    is_video = isinstance(data, EvaluationVideos)
    ours: EvalProtocol = "clips" if is_video else "avs"
    has_others = isinstance(data, EvaluationSet) and data.side_by_side is not None
    options = EvalOptions(
        protocols=(ours, "network"), counterfactual=has_others, fps=CLIP_FPS if is_video else None
    )
    report = evaluate_network(runtime, data, options, lambda _done: None)
    altered: dict[str, float] = {}
    for change, told in (report.counterfactual or {}).items():
        names = ("area_gone", "mean_iou", "wrong_covered", "chosen")
        altered |= {f"{change}: {n}": told[n] for n in names if told.get(n) is not None}  # type: ignore[index,attr-defined]
    return {
        "shipped": flat_scores(report.protocols[ours]),
        "network": flat_scores(report.protocols["network"]) | altered,
    }


def cell(values: Sequence[float]) -> str:
    """Return the mean of seeds and half their range."""
    if not values:
        return "—"
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{mean(values):.3f} ±{(max(values) - min(values)) / 2:.3f}"


def score_table(title: str, found: Mapping[str, Sequence[Scores]]) -> str:
    """Return a table with a row a score and a column a network."""
    rows = list(dict.fromkeys(name for seeds in found.values() for one in seeds for name in one))
    cells = [
        [row, *(cell([one[row] for one in seeds if row in one]) for seeds in found.values())]
        for row in rows
    ]
    return table((title, *found), cells)


def scores_of(
    checkpoints: Sequence[Checkpoint], data: Evaluated, clip_length: int, kept: Path | None
) -> dict[str, list[dict[str, Scores]]]:
    """Return the scores of all checkpoints by network."""
    found: dict[str, list[dict[str, Scores]]] = {each.network: [] for each in checkpoints}
    for each in checkpoints:
        found[each.network].append(once(each, data, clip_length, kept))
    return found


def once(
    checkpoint: Checkpoint, data: Evaluated, clip_length: int, kept: Path | None
) -> dict[str, Scores]:
    """Score a checkpoint, or read what was found before."""
    if kept is None:
        return score(checkpoint.runtime(clip_length), data)
    asked = {
        "sha256": checkpoint.info.sha256,
        "data": data.facts,
        "samples": data.num_samples,
        "clip_length": clip_length,
    }
    name = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
    path = kept / f"{checkpoint.network}-{name[:16]}.json"
    if not path.exists():
        kept.mkdir(parents=True, exist_ok=True)
        found = score(checkpoint.runtime(clip_length), data)
        path.write_text(json.dumps({"asked": asked, "found": found}, default=str), "utf-8")
    return cast("dict[str, Scores]", json.loads(path.read_text("utf-8"))["found"])


def calibrations(checkpoints: Sequence[Checkpoint]) -> dict[str, list[Scores]]:
    """Return what calibration on validation found, by network."""
    found: dict[str, list[Scores]] = {each.network: [] for each in checkpoints}
    for each in checkpoints:
        scores = each.info.scores
        found[each.network].append({name: scores[name] for name in CALIBRATED if name in scores})
    return found


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="+", help="of the recipes compare/NAME")
    parser.add_argument("--avsmix", type=Path, help="root of a copy of avsmix")
    parser.add_argument("--pairs", type=Path, nargs="*", default=[], help="further tables of pairs")
    parser.add_argument("--clips", type=Path, help="folder of real clips")
    parser.add_argument("--scenes", type=int, default=500, help="how many scene frames")
    parser.add_argument("--limit", type=int, help="the first so many pairs only")
    parser.add_argument("--kept", type=Path, help="folder of scores that are there already")
    parser.add_argument("--rounds", type=int, default=9, help="of measuring time")
    return parser.parse_args()


def main() -> None:
    options, began = parsed(), time.monotonic()
    paths = [path for path in options.checkpoints if not path.endswith(".golden.safetensors")]
    checkpoints = [Checkpoint(path, read_info(Path(path))) for path in paths]
    cost = costs(checkpoints, options.rounds)
    measures = list(next(iter(cost.values())))
    rows = [[measure, *(of_one[measure] for of_one in cost.values())] for measure in measures]
    tables = [
        table(("a frame", *cost), rows),
        score_table("calibration on validation", calibrations(checkpoints)),
    ]
    scores = {}
    for title, (data, clip_length) in data_sets(options).items():
        scores[title] = scores_of(checkpoints, data, clip_length, options.kept)
        alone = {name: [one["network"] for one in seeds] for name, seeds in scores[title].items()}
        tables.append(score_table(title, alone))
    facts: dict[str, object] = {
        "setting": describe(),
        "seconds": round(time.monotonic() - began, 1),
        "checkpoints": [{"sha256": c.info.sha256, "source": c.info.source} for c in checkpoints],
    }
    show(facts | {"cost": cost, "scores": scores}, *tables)


if __name__ == "__main__":
    main()

"""A whole evaluation: read ahead, run the network, score, and tell.

samples ─▶ prefetch ─▶ network ─▶ prefetch ─▶ protocols (main thread)
           (reads)     (judges)
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from avscli import __version__
from avscli.errors import UsageError
from avscli.evaluation.network.counterfactual import score_altered, score_side_by_side
from avscli.evaluation.network.judging import judge
from avscli.evaluation.network.samples import EvaluationVideos
from avscli.evaluation.protocols import (
    AvsBenchProtocol,
    AvsProtocol,
    AvssProtocol,
    NetworkProtocol,
)
from avscli.evaluation.report.gallery import Gallery
from avscli.evaluation.report.report import EvaluationReport, checkpoint_facts, report_time
from avscli.evaluation.stored.opening import open_masks
from avscli.evaluation.stored.pairing import check_pairs, judged_masks, pair_clips
from avscli.evaluation.stored.plausibility import Plausibility
from avscli.evaluation.stored.runs import recorded_weights
from avscli.evaluation.video.run import evaluate_videos
from avscli.media.prefetch import prefetch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from pathlib import Path

    from avscli.config import EvalOptions
    from avscli.datasets.labelled import LabelledClip
    from avscli.datatypes import NetworkSpec
    from avscli.devices import Runtime
    from avscli.evaluation.clips import JudgedClip
    from avscli.evaluation.network.samples import Evaluated, EvaluationSet
    from avscli.evaluation.protocols import Json, ScoringProtocol

_AHEAD = 2  # samples read, and judged clips waiting to be scored


@dataclass(slots=True)
class _Sums:
    """What one pass over the clips leaves behind.

    Attributes:
        ours: always summed, whichever protocols are asked for: rows, gates and plots need it.
        others: the others that are asked for, by name.
    """

    ours: AvsProtocol
    others: dict[str, ScoringProtocol]
    gallery: Gallery = field(default_factory=Gallery)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    seconds: float = 0.0

    def add(self, clip: JudgedClip) -> None:
        began = time.perf_counter()
        self.ours.add(clip)
        for protocol in self.others.values():
            protocol.add(clip)
        self.gallery.add(clip, self.ours.rows[-1].mean_iou)
        if len(self.sizes) < 2:
            self.sizes.add((clip.targets.shape[1], clip.targets.shape[2]))
        self.seconds += time.perf_counter() - began

    def report(self, made: _Made, options: EvalOptions, began: float) -> EvaluationReport:
        """Return everything that was found."""
        ours = self.ours.result()
        return EvaluationReport(
            date_created=report_time(),
            tool=f"avs {__version__}",
            way=made.way,
            scored="frames",
            data=made.data | {"sizes_hw": sorted(self.sizes)},  # two of them, if there are several
            checkpoint=made.checkpoint,
            options=asdict(options),
            device=made.device,
            protocols={
                name: ours if name == "avs" else self.others[name].result()
                for name in options.protocols
            },
            scores=ours,
            counterfactual=made.counterfactual,
            clips=self.ours.rows,
            worst=[clip.strip for clip in self.gallery.worst()],
            seconds={
                "total": time.perf_counter() - began,
                "network": made.network_seconds,
                "scoring": self.seconds,
            },
        )


@dataclass(frozen=True, slots=True)
class _Made:
    """How predictions came about; see `EvaluationReport` for the fields."""

    way: Literal["network", "masks"]
    data: Json
    checkpoint: Json | None = None
    device: Mapping[str, object] | None = None
    counterfactual: Json | None = None
    network_seconds: float = 0.0


def evaluate_network(
    runtime: Runtime, data: Evaluated, options: EvalOptions, on_progress: Callable[[int], None]
) -> EvaluationReport:
    """Run a network over a data set and score what it says.

    Args:
        runtime: a loaded network on its device.
        data: see `avscli.evaluation.network.data.open_data`.
        options: protocols, threshold, counterfactuals.
        on_progress: told after every sample, of videos every labelled second, how many are done.

    Raises:
        DataError: a file of the data set is not as its format says.
        UsageError: a protocol that does not fit the data.
    """
    if isinstance(data, EvaluationVideos):
        return evaluate_videos(runtime, data, options, on_progress)
    options = _options_of_frames(options)
    spec, began = runtime.spec, time.perf_counter()
    sums = _sums(options, _num_classes(spec, data), data.class_names)
    network_seconds = 0.0

    def judged() -> Iterator[JudgedClip]:
        nonlocal network_seconds
        with closing(prefetch(data.samples(), depth=_AHEAD)) as samples:
            for sample in samples:
                started = time.perf_counter()
                clip = judge(runtime, sample, prefer=options.prefer, threshold=options.threshold)
                network_seconds += time.perf_counter() - started
                yield clip

    _score(prefetch(judged(), depth=_AHEAD), sums, on_progress)
    altered = None
    if options.counterfactual:
        done = len(sums.ours.rows)
        altered = _counterfactual(runtime, data, options, lambda more: on_progress(done + more))
    made = _Made(
        way="network",
        data=dict(data.facts),
        checkpoint=checkpoint_facts(runtime),
        device=runtime.facts(),
        counterfactual=altered,
        network_seconds=network_seconds,
    )
    used = replace(
        options, threshold=options.threshold or spec.operating_point(options.prefer).threshold
    )
    return sums.report(made, used, began)


def evaluate_masks(
    predicted: Path,
    true: Path,
    options: EvalOptions,
    on_progress: Callable[[int], None],
    on_warning: Callable[[str], None] = lambda _told: None,
) -> EvaluationReport:
    """Score stored masks against stored truth.

    Every frame is matched before the first one is read, so that what is missing is told at once.

    Args:
        predicted, true: see `avscli.evaluation.stored.opening.open_masks`.
        options: protocols, classes, and what is known of either side.
        on_progress: told after every clip how many are done.
        on_warning: told of what is scored and yet looks strange.

    Raises:
        DataError: files are missing, extra, unreadable or of another size, or what was scored can
            hardly be what was meant.
        UsageError: a protocol that does not fit the data.
    """
    if "network" in options.protocols:
        raise UsageError(
            "--protocol network scores what a network says by itself; masks are stored",
            hint="score them with --protocol avs, or the network with --data",
        )
    options = _options_of_frames(options)
    began = time.perf_counter()
    sums = _sums(options, options.num_classes, ())
    pairs = pair_clips(
        open_masks(predicted, options.num_classes, options.predicted, images_of=true),
        open_masks(true, options.num_classes, options.true),
    )
    matched = check_pairs(pairs, options)
    plausibility = Plausibility(
        predictions=pairs[0].predicted.from_pngs and options.predicted.marked == "auto",
        truth=pairs[0].true.from_pngs and options.true.marked == "auto",
    )
    judged = plausibility.watch(judged_masks(pairs, options))
    _score(prefetch(judged, depth=_AHEAD), sums, on_progress)
    plausibility.require(on_warning)
    facts: Json = {
        "predicted": str(predicted),
        "predicted_by": recorded_weights(predicted),
        "truth": str(true),
        "matched": matched,
    }
    return sums.report(_Made(way="masks", data=facts), options, began)


def _options_of_frames(options: EvalOptions) -> EvalOptions:
    """Return the options with the protocol that is meant where none is named.

    Raises:
        UsageError: what only real video has is asked for.
    """
    of_video = {
        "--protocol clips": "clips" in options.protocols,
        "--fps": options.fps is not None,
        "--no-audio": options.no_audio != "error",
    }
    if given := [option for option, is_given in of_video.items() if is_given]:
        raise UsageError(f"{given[0]} is for real video", hint="such as --data clips --root DIR")
    return replace(options, protocols=options.protocols or ("avs",))


def _num_classes(spec: NetworkSpec, data: EvaluationSet) -> int:
    """Return how many classes predictions and truth share, the background being one."""
    if spec.task == "binary" or not data.class_names:
        return 2
    if spec.num_classes != len(data.class_names):
        raise UsageError(
            f"the network knows {spec.num_classes} classes, the data {len(data.class_names)}"
        )
    return spec.num_classes


def _sums(options: EvalOptions, num_classes: int, class_names: tuple[str, ...]) -> _Sums:
    if "avss" in options.protocols and num_classes == 2:
        raise UsageError(
            "the avss protocol needs classes",
            hint="stored masks: say how many with --classes; networks: a semantic one on "
            "--data avsbench-avss",
        )
    others: dict[str, ScoringProtocol] = {}
    if "network" in options.protocols:
        others["network"] = NetworkProtocol(num_classes, class_names)
    if "avsbench" in options.protocols:
        others["avsbench"] = AvsBenchProtocol(options.protocol_batch)
    if "avss" in options.protocols:
        others["avss"] = AvssProtocol(num_classes)
    return _Sums(AvsProtocol(num_classes, class_names), others)


def _score(
    clips: Generator[JudgedClip, None, None], sums: _Sums, on_progress: Callable[[int], None]
) -> None:
    with closing(clips) as each:
        for number, clip in enumerate(each, start=1):
            sums.add(clip)
            on_progress(number)


def _counterfactual(
    runtime: Runtime, data: EvaluationSet, options: EvalOptions, on_progress: Callable[[int], None]
) -> Json:
    num_judged = 0

    def judged(clip: LabelledClip) -> JudgedClip:
        nonlocal num_judged
        num_judged += 1
        on_progress(num_judged)
        return judge(runtime, clip, prefer=options.prefer, threshold=options.threshold)

    with closing(prefetch(data.altered(), depth=_AHEAD)) as altered:
        told: Json = score_altered(altered, judged)
    if data.side_by_side is not None:
        told["side_by_side"] = asdict(score_side_by_side(data.side_by_side(), judged))
    return told

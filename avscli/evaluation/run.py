"""A whole evaluation: read ahead, run the network, score, and tell.

samples ─▶ prefetch ─▶ network ─▶ prefetch ─▶ protocols (main thread)
           (reads)     (judges)
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from avscli import __version__
from avscli.errors import UsageError
from avscli.evaluation.counterfactual import score_altered, score_side_by_side
from avscli.evaluation.gallery import Gallery
from avscli.evaluation.mask_files import open_masks, recorded_weights
from avscli.evaluation.mask_way import check_pairs, judged_masks, pair_clips
from avscli.evaluation.network_way import judge_sample
from avscli.evaluation.protocols import AvsBenchProtocol, AvsProtocol, AvssProtocol
from avscli.evaluation.report import EvaluationReport, report_time
from avscli.media.prefetch import prefetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from avscli.config import EvalOptions
    from avscli.devices import Runtime
    from avscli.evaluation.clips import JudgedClip
    from avscli.evaluation.data import DataSet, Sample
    from avscli.evaluation.protocols import Json, ScoringProtocol

_AHEAD = 2  # samples read, and judged clips waiting to be scored


@dataclass(slots=True)
class _Sums:
    """What one pass over the clips leaves behind.

    Attributes:
        ours: always summed, whichever protocols are asked for: rows, gates and plots need it.
        published: the others, by name.
    """

    ours: AvsProtocol
    published: dict[str, ScoringProtocol]
    gallery: Gallery = field(default_factory=Gallery)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    seconds: float = 0.0

    def add(self, clip: JudgedClip) -> None:
        began = time.perf_counter()
        self.ours.add(clip)
        for protocol in self.published.values():
            protocol.add(clip)
        self.gallery.add(clip, self.ours.rows[-1].mean_iou)
        if len(self.sizes) < 2:
            self.sizes.add((clip.targets.shape[1], clip.targets.shape[2]))
        self.seconds += time.perf_counter() - began

    def results(self, ours: Json, names: Iterable[str]) -> dict[str, Json]:
        """Return our result and the published ones by the names asked for."""
        return {name: ours if name == "avs" else self.published[name].result() for name in names}


def evaluate_network(
    runtime: Runtime, data: DataSet, options: EvalOptions, on_progress: Callable[[int], None]
) -> EvaluationReport:
    """Run a network over a data set and score what it says.

    Args:
        runtime: a loaded network on its device.
        data: see `avscli.evaluation.data.open_data`.
        options: protocols, threshold, counterfactuals.
        on_progress: told after every sample how many are done.

    Raises:
        DataError: a file of the data set is not as its format says.
        UsageError: a protocol that does not fit the data.
    """
    spec, began = runtime.network.spec, time.perf_counter()
    semantic = bool(data.class_names) and spec.task == "semantic"
    sums = _sums(options, len(data.class_names) if semantic else 2, data.class_names)
    network_seconds = 0.0

    def judged() -> Iterator[JudgedClip]:
        nonlocal network_seconds
        with closing(prefetch(data.samples(), depth=_AHEAD)) as samples:
            for sample in samples:
                started = time.perf_counter()
                clip = judge_sample(runtime, sample, options.threshold)
                network_seconds += time.perf_counter() - started
                yield clip

    _score(prefetch(judged(), depth=_AHEAD), sums, on_progress)
    altered = None
    if options.counterfactual:
        done = len(sums.ours.rows)
        altered = _counterfactual(runtime, data, options, lambda more: on_progress(done + more))
    scores = sums.ours.result()
    assert runtime.network.checkpoint is not None, "load_network fills it in"
    checkpoint = runtime.network.checkpoint
    return EvaluationReport(
        date_created=report_time(),
        tool=f"avs {__version__}",
        way="network",
        data=data.facts | {"sizes_hw": _sizes(sums)},
        checkpoint={
            "name": checkpoint.name,
            "sha256": checkpoint.sha256,
            "clip_length": spec.clip_length,
            "frame_size_hw": spec.frame_size_hw,
        },
        options=asdict(options) | {"threshold": options.threshold or spec.threshold},
        device=runtime.facts(),
        protocols=sums.results(scores, options.protocols),
        scores=scores,
        counterfactual=altered,
        clips=[asdict(row) for row in sums.ours.rows],
        worst=sums.gallery.worst(),
        seconds={
            "total": time.perf_counter() - began,
            "network": network_seconds,
            "scoring": sums.seconds,
        },
    )


def evaluate_masks(
    predicted: Path, true: Path, options: EvalOptions, on_progress: Callable[[int], None]
) -> EvaluationReport:
    """Score stored masks against stored truth.

    Every frame is matched before the first one is read, so that what is missing is told at once.

    Raises:
        DataError: files are missing, extra, unreadable or of another size.
        UsageError: a protocol that does not fit the data.
    """
    began = time.perf_counter()
    sums = _sums(options, options.num_classes, ())
    pairs = pair_clips(
        open_masks(predicted, options.num_classes), open_masks(true, options.num_classes)
    )
    check_pairs(pairs, options.tolerance_seconds)
    _score(
        prefetch(judged_masks(pairs, options.tolerance_seconds), depth=_AHEAD), sums, on_progress
    )
    scores = sums.ours.result()
    return EvaluationReport(
        date_created=report_time(),
        tool=f"avs {__version__}",
        way="masks",
        data={
            "predicted": str(predicted),
            "predicted_by": recorded_weights(predicted),
            "truth": str(true),
            "sizes_hw": _sizes(sums),
        },
        checkpoint=None,
        options=asdict(options),
        device=None,
        protocols=sums.results(scores, options.protocols),
        scores=scores,
        counterfactual=None,
        clips=[asdict(row) for row in sums.ours.rows],
        worst=sums.gallery.worst(),
        seconds={"total": time.perf_counter() - began, "scoring": sums.seconds},
    )


def _sums(options: EvalOptions, num_classes: int, class_names: tuple[str, ...]) -> _Sums:
    if "avss" in options.protocols and num_classes == 2:
        raise UsageError(
            "the avss protocol needs classes",
            hint="stored masks: say how many with --classes; networks: a semantic one on "
            "--data avsbench-avss",
        )
    published: dict[str, ScoringProtocol] = {}
    if "avsbench" in options.protocols:
        published["avsbench"] = AvsBenchProtocol(options.protocol_batch)
    if "avss" in options.protocols:
        published["avss"] = AvssProtocol(num_classes)
    return _Sums(AvsProtocol(num_classes, class_names), published)


def _score(clips: Iterator[JudgedClip], sums: _Sums, on_progress: Callable[[int], None]) -> None:
    with closing(clips) as each:  # type: ignore[type-var]  # prefetch is a generator
        for number, clip in enumerate(each, start=1):
            sums.add(clip)
            on_progress(number)


def _counterfactual(
    runtime: Runtime, data: DataSet, options: EvalOptions, on_progress: Callable[[int], None]
) -> Json:
    num_judged = 0

    def judged(sample: Sample) -> JudgedClip:
        nonlocal num_judged
        num_judged += 1
        on_progress(num_judged)
        return judge_sample(runtime, sample, options.threshold)

    with closing(prefetch(data.altered(), depth=_AHEAD)) as altered:
        told: Json = score_altered(altered, judged)
    if data.side_by_side is not None:
        frames = data.side_by_side()
        beside = score_side_by_side(runtime, frames, threshold=options.threshold)
        told["side_by_side"] = asdict(beside)
    return told


def _sizes(sums: _Sums) -> list[tuple[int, int]]:
    """Return the size of all frames, or two of several sizes."""
    return sorted(sums.sizes)

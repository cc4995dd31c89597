"""A network over real videos, by the very path of `avs segment`.

video ─▶ probed ─▶ read_clips ─▶ predict_steps ─┬▶ finish ────────▶ seconds ─▶ protocol `clips`
                                                └▶ the mask rule ─▶ seconds ─▶ protocol `network`
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import tee
from typing import TYPE_CHECKING

from avscli import __version__
from avscli.config import ReadOptions, SegmentOptions
from avscli.errors import DataError, MediaError, UsageError
from avscli.evaluation.protocols import AVS_SOURCE, NETWORK_SOURCE
from avscli.evaluation.report.report import EvaluationReport, checkpoint_facts, report_time
from avscli.evaluation.video.gallery import SecondsGallery
from avscli.evaluation.video.protocol import ClipsProtocol
from avscli.evaluation.video.seconds import SeenFrame, judged_seconds
from avscli.media.fallback import probed
from avscli.media.reader import read_clips
from avscli.pipeline import mask_rule, predict_steps
from avscli.postprocess import finish

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from avscli.config import EvalOptions
    from avscli.datasets.labelled_video import LabelledVideo
    from avscli.devices import Runtime
    from avscli.evaluation.network.samples import EvaluationVideos
    from avscli.evaluation.video.seconds import JudgedSecond
    from avscli.media.reader import ClipReader

LEAST_FPS = 2.0  # below, the frame nearest to a mask may be half a second away from it
_SOURCES = {"clips": AVS_SOURCE, "network": NETWORK_SOURCE}


@dataclass(slots=True)
class _Sums:
    """What one pass over the videos leaves behind; `clips` is summed whether asked for or not."""

    protocols: dict[str, ClipsProtocol]
    gallery: SecondsGallery = field(default_factory=SecondsGallery)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    num_seconds: int = 0
    scoring_seconds: float = 0.0


def evaluate_videos(
    runtime: Runtime,
    data: EvaluationVideos,
    options: EvalOptions,
    on_progress: Callable[[int], None],
) -> EvaluationReport:
    """Segment every video and score what is marked in each of its labelled seconds.

    Memory grows with the number of labelled seconds, by some hundred bytes each, not with frames.

    Args:
        runtime: a loaded network on its device.
        data: see `avscli.evaluation.network.data.open_data`.
        options: protocols, threshold, analysed frames per second, what a missing sound means.
        on_progress: told after every labelled second how many are done.

    Raises:
        DataError: a video or mask is not as its format says; videos that no frame can be read of
            are named before any work.
        NoAudioError: a video has no sound, and the options do not allow that.
        UsageError: options that do not fit real video.
    """
    began = time.perf_counter()
    options = replace(options, protocols=options.protocols or ("clips",))
    run = _segment_options(options)
    for video in data.videos:
        with _opened(video, runtime, run):
            pass
    names = [name for name in _SOURCES if name == "clips" or name in options.protocols]
    sums = _Sums({name: ClipsProtocol(_SOURCES[name]) for name in names})
    for video in data.videos:
        _judge(video, runtime, run, sums, on_progress)
    results = {name: protocol.result() for name, protocol in sums.protocols.items()}
    total = time.perf_counter() - began
    point = runtime.spec.operating_point(options.prefer)
    used = replace(options, threshold=options.threshold or point.threshold)
    return EvaluationReport(
        date_created=report_time(),
        tool=f"avs {__version__}",
        way="network",
        scored="seconds",
        data=dict(data.facts) | {"sizes_hw": sorted(sums.sizes)[:2]},
        checkpoint=checkpoint_facts(runtime),
        options=asdict(used),
        device=runtime.facts(),
        protocols={name: results[name] for name in options.protocols},
        scores=results["clips"],
        counterfactual=None,
        clips=sums.protocols["clips"].rows,
        worst=sums.gallery.strips(),
        seconds={
            "total": total,
            "network": total - sums.scoring_seconds,
            "scoring": sums.scoring_seconds,
        },
    )


def _segment_options(options: EvalOptions) -> SegmentOptions:
    """Return what `avs segment` would be given.

    Raises:
        UsageError: naming the option that does not fit.
    """
    if strange := [name for name in options.protocols if name not in _SOURCES]:
        raise UsageError(
            f"--protocol {strange[0]} scores stills and stored masks; real video is scored by the "
            "second",
            hint="--protocol clips, or clips,network",
        )
    if options.counterfactual:
        raise UsageError("--counterfactual changes the sound of stills, not of real video")
    if options.fps == "auto" and "network" in options.protocols:
        raise UsageError(
            "--protocol network asks what the network says of every frame; --fps auto leaves "
            "some out"
        )
    if isinstance(options.fps, float | int) and options.fps < LEAST_FPS:
        raise UsageError(
            f"--fps {options.fps:g} looks at seconds too rarely to score them",
            hint=f"at least {LEAST_FPS:g} frames a second, or 'native'",
        )
    read = ReadOptions(fps=options.fps, no_audio=options.no_audio)
    return SegmentOptions(read=read, prefer=options.prefer, threshold=options.threshold)


def _judge(
    video: LabelledVideo,
    runtime: Runtime,
    run: SegmentOptions,
    sums: _Sums,
    on_progress: Callable[[int], None],
) -> None:
    """Add the seconds of one video to the sums."""
    seconds: list[list[JudgedSecond]] = [[] for _ in sums.protocols]
    with _opened(video, runtime, run) as reader:
        sums.sizes.add((reader.media.height, reader.media.width))
        alone = "network" in sums.protocols
        with closing(_seen_frames(reader, runtime, run, alone=alone)) as frames:
            for judged in judged_seconds(frames, video):
                started = time.perf_counter()
                sums.gallery.add(video, judged[0])
                for of_way, second in zip(seconds, judged, strict=True):
                    of_way.append(replace(second, shown=None))
                sums.num_seconds += 1
                on_progress(sums.num_seconds)
                sums.scoring_seconds += time.perf_counter() - started
    for protocol, of_way in zip(sums.protocols.values(), seconds, strict=True):
        protocol.add(video.clip_id, of_way)


@contextmanager
def _opened(video: LabelledVideo, runtime: Runtime, run: SegmentOptions) -> Iterator[ClipReader]:
    """Open a video as `avs segment` does; what is wrong with it is wrong with the data."""
    try:
        with probed(video.path) as media:
            yield read_clips(media, runtime.spec, run.read, runtime.warn)
    except MediaError as err:
        raise DataError(str(err), hint=err.hint) from err


def _seen_frames(
    reader: ClipReader, runtime: Runtime, run: SegmentOptions, *, alone: bool
) -> Generator[SeenFrame, None, None]:
    """Yield the analysed frames with the masks of `avs segment`, and those of the network alone.

    Held frames repeat the mask of the one before and are not judged: at a lower rate they would
    be late.
    """
    size_hw = reader.media.height, reader.media.width
    rule, spec = mask_rule(runtime, run), runtime.spec
    first: float | None = None
    with closing(predict_steps(reader, runtime, rule, looks_at_all=alone)) as steps:
        ours, theirs = tee(steps)  # `finish` is one step ahead: so much waits for the other
        finished = finish(ours, size_hw, rule, spec)
        shipped = (frame for frame in finished if not frame.interpolated)
        for prediction, step in zip(shipped, theirs, strict=True):
            seconds = prediction.stamp.pts_seconds
            first = seconds if first is None else first
            label_maps = [prediction.label_map]
            if alone:
                label_maps.append(rule.label_map(step.stage_logits[0], size_hw))
            yield SeenFrame(seconds - first, prediction.stamp.index, tuple(label_maps))

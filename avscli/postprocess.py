"""Network output to frame predictions: where logits become masks that can be trusted or not.

NetworkOutput ──▶ StepOutput per frame ──▶ time order ──▶ label map at display size ──▶ objects
                                                 │        + confidence on the network's grid
                                                 └──────▶ held frames repeat it
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from avscli.audio.audioset import audioset_names
from avscli.config import SILENCE_DBFS
from avscli.masks import (
    MaskRule,
    foreground_probability,
    keep_touched_regions,
    marked_share,
    mask_iou,
    num_components,
)
from avscli.objects.naming import SourceProbabilities
from avscli.objects.tracking import ObjectTracker
from avscli.results import CARRIED, FrameConfidence, FramePrediction, HeardSound, SoundingObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from avscli.datatypes import AnalysedFrame, Clip, NetworkOutput, NetworkSpec, SourceLogits
    from avscli.masks import BoolMask, LabelMap, Logits, SizeHW
    from avscli.results import FrameState

LOW_AGREEMENT = 0.5  # stages that share less than half of their masks tell different stories
FLICKER_IOU = 0.5
FLICKER_SECONDS = 0.25  # beyond a quarter of a second things may well have moved that far
FLASH_SECONDS = 0.07  # what is heard, 0.975 s of sound, hardly changes between two such frames
NOTABLE_SHARE = 0.001  # of the frame; smaller masks jump about without anybody seeing it
MOST_HEARD = 10  # names a frame; more would only fill the journal
HEARD_FLOOR = 0.05  # what is less likely heard would only fill the journal
PROBABILITY_FLOOR = 1e-7  # keeps 0 · log 0 out of the entropy; the least float32 can take off 1


@dataclass(frozen=True, slots=True, eq=False)
class StepOutput:
    """What the network said about one frame, still on its own grids.

    Attributes:
        analysed: the frame's place in the source.
        stage_logits: per supervised stage, finest first, [C, h_k, w_k] float32.
        audio_dbfs: level of the sound around the frame, as `PreparedBatch` has it.
        selected: shares of queries selected, coarse to fine.
        sources: what picture and sound say of the named sources; None from networks that name
            none.
        heard: [527] float32 probabilities of AudioSet's names; None from networks without a tagger.
        is_carried: it was shown other frames, and what it said of these was carried here.
    """

    analysed: AnalysedFrame
    stage_logits: tuple[Logits, ...]
    audio_dbfs: float
    selected: tuple[float, ...] = ()
    sources: SourceProbabilities | None = None
    heard: NDArray[np.float32] | None = None
    is_carried: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """One frame before its neighbours are asked.

    Attributes:
        silent: its sound is below the gate.
        network_mask: [h, w] what the network marks on its own grid, whatever the sound's level.
    """

    step: StepOutput
    silent: bool
    network_mask: BoolMask

    @classmethod
    def of(cls, step: StepOutput, rule: MaskRule) -> _Candidate:
        logits = step.stage_logits[0]
        network_mask = rule.label_map(logits, _grid_size(logits)) > 0
        return cls(step, step.audio_dbfs < SILENCE_DBFS, network_mask)

    @property
    def seconds(self) -> float:
        return self.step.analysed.stamp.pts_seconds


@dataclass(frozen=True, slots=True, eq=False)
class _Decided:
    """One frame after its neighbours were asked; the next frame is compared with it.

    Attributes:
        mask: [h, w] what the result marks of the candidate's `network_mask`.
        lost_flash: a notable part of that was on no close neighbour.
    """

    candidate: _Candidate
    mask: BoolMask
    lost_flash: bool


def split_steps(
    output: NetworkOutput, clips: Sequence[Clip], levels_dbfs: NDArray[np.float64]
) -> Iterator[StepOutput]:
    """Cut a batch into its valid steps, moved to the CPU once.

    Args:
        output: of B clips.
        clips: the same B clips.
        levels_dbfs: [B, T] from `avscli.preprocess.prepare`.
    """
    stages = [stage.float().cpu().numpy() for stage in output.stage_logits]
    shares = output.selected.float().cpu().numpy()
    sources = None if output.sources is None else _probabilities(output.sources)
    heard = None if output.heard is None else output.heard.float().sigmoid().cpu().numpy()
    for row, clip in enumerate(clips):
        for step, analysed in zip(np.flatnonzero(clip.valid), clip.analysed, strict=True):
            logits = tuple(stage[row, step] for stage in stages)
            selected = tuple(shares[row, step].tolist())
            said = None
            if sources is not None:
                said = SourceProbabilities(sources.picture[row, step], sources.sound[row, step])
            yield StepOutput(
                analysed=analysed,
                stage_logits=logits,
                audio_dbfs=float(levels_dbfs[row, step]),
                selected=selected,
                sources=said,
                heard=None if heard is None else heard[row, step],
            )


def _probabilities(sources: SourceLogits) -> SourceProbabilities:
    """Return those of a whole batch: picture [B, T, K, h, w], sound [B, T, K]."""
    picture = sources.picture.float().softmax(dim=2)[:, :, 1:]
    return SourceProbabilities(picture.cpu().numpy(), sources.sound.float().sigmoid().cpu().numpy())


def in_time_order(steps: Iterable[StepOutput]) -> Iterator[StepOutput]:
    """Hand steps on by `AnalysedFrame.sequence`, keeping early ones until their turn.

    Interleaved clips deliver the frames of several seconds out of order; what waits here are
    small grids, never frames.
    """
    waiting: dict[int, StepOutput] = {}
    due = 0
    for step in steps:
        waiting[step.analysed.sequence] = step
        while due in waiting:
            yield waiting.pop(due)
            due += 1
    assert not waiting, f"analysed frame {due} never came, {len(waiting)} later ones did"


def finish(
    steps: Iterable[StepOutput],
    size_hw: SizeHW,
    rule: MaskRule,
    spec: NetworkSpec,
    on_warning: Callable[[str], None] | None = None,
) -> Iterator[FramePrediction]:
    """Turn steps in time order into one prediction per source frame.

    A region that the masks of neighbours within FLASH_SECONDS leave untouched is a flash, and
    goes; so predictions are one step late. Where no neighbour is that close, none is asked.

    Args:
        steps: in time order (`in_time_order`).
        size_hw: of the masks: the source's display size.
        rule: how logits become masks.
        spec: of the network, which says what objects can be.
        on_warning: told once when a frame has more objects than a map can number.

    Yields:
        The analysed frame's prediction, then the same object map for each frame that holds it.
    """
    previous: _Decided | None = None
    unknown = max(spec.categories) if spec.source_classes else None
    tracker = ObjectTracker(unknown=unknown, on_warning=on_warning)
    candidates = (_Candidate.of(step, rule) for step in steps)
    for before, candidate, after in _with_neighbours(candidates):
        seen_nearby = _seen_nearby(candidate, before, after)
        label_map = _label_map(candidate, seen_nearby, rule, size_hw)
        state, confidence, previous = _judged(candidate, seen_nearby, label_map, rule, previous)
        step = candidate.step
        probability = foreground_probability(step.stage_logits[0], rule.temperature)
        seen = tracker.step(candidate.seconds, label_map, probability, step.sources)
        prediction = FramePrediction(
            stamp=step.analysed.stamp,
            object_map=seen.object_map,
            objects=tuple(_named(each, spec.categories) for each in seen.objects),
            heard=_heard(step, spec),
            state=state,
            interpolated=False,
            confidence=confidence,
        )
        yield prediction
        for stamp in step.analysed.held:
            yield replace(prediction, stamp=stamp, interpolated=True)


def mean_entropy_bits(probability: NDArray[np.float32]) -> float:
    """Return the mean binary entropy of probabilities: 0 when all are certain, 1 when all ½."""
    p = np.clip(probability, PROBABILITY_FLOOR, 1.0 - PROBABILITY_FLOOR)
    return float(-(p * np.log2(p) + (1.0 - p) * np.log2(1.0 - p)).mean(dtype=np.float64))


def _with_neighbours(
    candidates: Iterable[_Candidate],
) -> Iterator[tuple[_Candidate | None, _Candidate, _Candidate | None]]:
    """Yield each frame between the one before and the one after it; None at the ends."""
    before: _Candidate | None = None
    now: _Candidate | None = None
    for after in candidates:
        if now is not None:
            yield before, now, after
        before, now = now, after
    if now is not None:
        yield before, now, None


def _seen_nearby(
    candidate: _Candidate, before: _Candidate | None, after: _Candidate | None
) -> BoolMask | None:
    """Return [h, w] what close neighbours show, None when there are none."""
    near = [
        neighbour.network_mask & (not neighbour.silent)
        for neighbour in (before, after)
        if neighbour is not None and abs(neighbour.seconds - candidate.seconds) <= FLASH_SECONDS
    ]
    return np.logical_or.reduce(near) if near else None


def _label_map(
    candidate: _Candidate, seen_nearby: BoolMask | None, rule: MaskRule, size_hw: SizeHW
) -> LabelMap:
    """Return the [H, W] label map that the silence gate and the neighbours leave."""
    if candidate.silent:
        return np.zeros(size_hw, np.uint8)
    label_map = rule.label_map(candidate.step.stage_logits[0], size_hw)
    return label_map if seen_nearby is None else keep_touched_regions(label_map, seen_nearby)


def _named(each: SoundingObject, categories: Mapping[int, str]) -> SoundingObject:
    return replace(
        each,
        category=categories[each.category_id],
        track_category=categories[each.track_category_id],
    )


def _heard(step: StepOutput, spec: NetworkSpec) -> tuple[HeardSound, ...]:
    """Name the sound as a tagger does where there is one, else by the source classes."""
    if step.audio_dbfs < SILENCE_DBFS:
        return ()
    if step.heard is not None:
        names, likely = audioset_names(), np.flatnonzero(step.heard >= HEARD_FLOOR)
        sounds = (HeardSound(names[i], float(step.heard[i])) for i in likely)
    elif step.sources is not None:
        pairs = zip(spec.source_classes, step.sources.sound.tolist(), strict=True)
        sounds = (HeardSound(*pair) for pair in pairs if pair[1] >= HEARD_FLOOR)
    else:
        return ()
    return tuple(sorted(sounds, key=lambda sound: -sound.probability))[:MOST_HEARD]


def _judged(
    candidate: _Candidate,
    seen_nearby: BoolMask | None,
    label_map: LabelMap,
    rule: MaskRule,
    previous: _Decided | None,
) -> tuple[FrameState, FrameConfidence, _Decided]:
    mask = candidate.network_mask
    if seen_nearby is not None:
        mask = keep_touched_regions(mask.view(np.uint8), seen_nearby) > 0
    area_share = marked_share(label_map)
    lost_flash = bool((candidate.network_mask & ~mask).mean() >= NOTABLE_SHARE)
    decided = _Decided(candidate, mask & (area_share > 0), lost_flash)
    state: FrameState = (
        "silent" if candidate.silent else "sounding" if area_share else "nothing_sounds"
    )
    return state, _confidence(decided, rule, previous, area_share), decided


def _confidence(
    decided: _Decided, rule: MaskRule, previous: _Decided | None, area_share: float
) -> FrameConfidence:
    step = decided.candidate.step
    probability = foreground_probability(step.stage_logits[0], rule.temperature)
    largest = float(probability.max())
    # A region can survive on the display grid only; its probability is then near the largest.
    inside = probability[decided.mask].mean(dtype=np.float64) if decided.mask.any() else largest
    agreement = _stage_agreement(step.stage_logits, rule)
    temporal_iou = None if previous is None else mask_iou(decided.mask, previous.mask)
    return FrameConfidence(
        score=float(inside) if area_share else 1.0 - largest,
        mean_probability=float(inside) if area_share else None,
        entropy=mean_entropy_bits(probability),
        stage_agreement=agreement,
        temporal_iou=temporal_iou,
        area_share=area_share,
        num_components=num_components(decided.mask),
        audio_dbfs=step.audio_dbfs,
        selected=step.selected,
        flags=tuple(_flags(decided, previous, agreement=agreement, temporal_iou=temporal_iou)),
    )


def _stage_agreement(stage_logits: tuple[Logits, ...], rule: MaskRule) -> float:
    """Mean IoU of the coarser stages' masks, on the finest stage's grid, with the finest one's."""
    size_hw = _grid_size(stage_logits[0])
    finest, *coarser = (rule.of_pixels.label_map(logits, size_hw) > 0 for logits in stage_logits)
    return float(np.mean([mask_iou(finest, mask) for mask in coarser])) if coarser else 1.0


def _flags(
    decided: _Decided, previous: _Decided | None, *, agreement: float, temporal_iou: float | None
) -> Iterator[str]:
    notable = decided.candidate.network_mask.mean() >= NOTABLE_SHARE
    if decided.candidate.silent:
        yield "silent"
        if notable:
            yield "mask_while_silent"
    elif previous is not None and temporal_iou is not None and not previous.candidate.silent:
        soon = decided.candidate.seconds - previous.candidate.seconds <= FLICKER_SECONDS
        seen_at_all = max(decided.mask.mean(), previous.mask.mean()) >= NOTABLE_SHARE
        if soon and seen_at_all and temporal_iou < FLICKER_IOU:
            yield "flicker"
    if decided.lost_flash and not decided.candidate.silent:
        yield "flash"
    if agreement < LOW_AGREEMENT and notable:
        yield "low_agreement"
    if decided.candidate.step.is_carried:
        yield CARRIED


def _grid_size(logits: Logits) -> SizeHW:
    return logits.shape[1], logits.shape[2]

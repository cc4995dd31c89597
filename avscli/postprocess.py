"""Network output to frame predictions: where logits become masks that can be trusted or not.

NetworkOutput ──▶ StepOutput per frame ──▶ time order ──▶ label map at display size
                                                 │        + confidence on the network's grid
                                                 └──────▶ held frames repeat it
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from avscli.config import SILENCE_DBFS
from avscli.datatypes import FrameConfidence, FramePrediction
from avscli.masks import (
    drop_small_regions,
    keep_touched_regions,
    label_map_from_logits,
    logit_cutoff,
    marked_share,
    mask_iou,
    num_components,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from avscli.config import SegmentOptions
    from avscli.datatypes import (
        AnalysedFrame,
        Clip,
        FrameState,
        MediaInfo,
        NetworkOutput,
        NetworkSpec,
    )
    from avscli.masks import BoolMask, LabelMap, Logits, SizeHW

LOW_AGREEMENT = 0.5  # stages that share less than half of their masks tell different stories
FLICKER_IOU = 0.5
FLICKER_SECONDS = 0.25  # beyond a quarter of a second things may well have moved that far
FLASH_SECONDS = 0.07  # what is heard, 0.975 s of sound, hardly changes between two such frames
NOTABLE_SHARE = 0.001  # of the frame; smaller masks jump about without anybody seeing it
PROBABILITY_FLOOR = 1e-7  # keeps 0 · log 0 out of the entropy; the least float32 can take off 1


@dataclass(frozen=True, slots=True, eq=False)
class StepOutput:
    """What the network said about one frame, still on its own grids.

    Attributes:
        analysed: the frame's place in the source.
        stage_logits: per supervised stage, finest first, [C, h_k, w_k] float32.
        audio_dbfs: level of the frame's sound window.
        selected: shares of queries selected, coarse to fine.
    """

    analysed: AnalysedFrame
    stage_logits: tuple[Logits, ...]
    audio_dbfs: float
    selected: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class MaskRule:
    """How logits of one source become label maps.

    Attributes:
        size_hw: display size of the source.
        cutoff: logit at or above which a pixel of a binary mask is marked; semantic networks
            take the largest class instead.
        region_cutoff: logit that some pixel of each region of a binary mask must reach.
        temperature: divides the logits before they become probabilities.
        min_area: smallest share of the frame that a region must cover.
    """

    size_hw: SizeHW
    cutoff: float
    region_cutoff: float
    temperature: float
    min_area: float

    @classmethod
    def of(cls, media: MediaInfo, spec: NetworkSpec, options: SegmentOptions) -> MaskRule:
        """Join the source's size, the checkpoint's defaults and the person's options."""
        threshold = spec.threshold if options.threshold is None else options.threshold
        sure = options.region_threshold
        region_threshold = spec.region_threshold if sure is None else sure
        return cls(
            size_hw=(media.height, media.width),
            cutoff=logit_cutoff(threshold, spec.temperature),
            region_cutoff=logit_cutoff(region_threshold, spec.temperature),
            temperature=spec.temperature,
            min_area=options.min_area,
        )

    def label_map(self, logits: Logits, size_hw: SizeHW) -> LabelMap:
        """Return the cleaned [H, W] label map of [C, h, w] logits."""
        labels = label_map_from_logits(
            logits, size_hw, cutoff=self.cutoff, region_cutoff=self.region_cutoff
        )
        return drop_small_regions(labels, self.min_area)


@dataclass(frozen=True, slots=True, eq=False)
class _Glance:
    """One frame before its neighbours are asked.

    Attributes:
        silent: its sound is below the gate.
        network_mask: [h, w] what the network marks on its own grid, whatever the sound's level.
    """

    step: StepOutput
    silent: bool
    network_mask: BoolMask

    @classmethod
    def at(cls, step: StepOutput, rule: MaskRule) -> _Glance:
        logits = step.stage_logits[0]
        network_mask = rule.label_map(logits, _grid_size(logits)) > 0
        return cls(step, step.audio_dbfs < SILENCE_DBFS, network_mask)

    @property
    def seconds(self) -> float:
        return self.step.analysed.stamp.pts_seconds


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """One frame after its neighbours were asked; the next frame is compared with it.

    Attributes:
        mask: [h, w] what the result marks of the glance's `network_mask`.
        lost_flash: a notable part of that was on no close neighbour.
    """

    glance: _Glance
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
    for row, clip in enumerate(clips):
        for step, analysed in zip(np.flatnonzero(clip.valid), clip.analysed, strict=True):
            logits = tuple(stage[row, step] for stage in stages)
            selected = tuple(shares[row, step].tolist())
            yield StepOutput(analysed, logits, float(levels_dbfs[row, step]), selected)


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
    steps: Iterable[StepOutput], media: MediaInfo, spec: NetworkSpec, options: SegmentOptions
) -> Iterator[FramePrediction]:
    """Turn steps in time order into one prediction per source frame.

    A region that the masks of neighbours within FLASH_SECONDS leave untouched is a flash, and
    goes; so predictions are one step late. Where no neighbour is that close, none is asked.

    Args:
        steps: in time order (`in_time_order`).
        media: the source; masks have its display size.
        spec: of the network.
        options: threshold and smallest region.

    Yields:
        The analysed frame's prediction, then the same label map for each frame that holds it.
    """
    rule = MaskRule.of(media, spec, options)
    previous: _Look | None = None
    glances = (_Glance.at(step, rule) for step in steps)
    for before, glance, after in _with_neighbours(glances):
        seen_nearby = _seen_nearby(glance, before, after)
        prediction, previous = _predict(glance, seen_nearby, rule, previous)
        yield prediction
        for stamp in glance.step.analysed.held:
            yield FramePrediction(
                stamp=stamp,
                label_map=prediction.label_map,
                state=prediction.state,
                interpolated=True,
                confidence=prediction.confidence,
            )


def foreground_probability(logits: Logits, temperature: float) -> NDArray[np.float32]:
    """Return [h, w] float32: how probable it is that something sounds at each cell.

    Args:
        logits: [C, h, w]; C = 1 gives the sigmoid, otherwise one minus the softmax of channel 0.
        temperature: divides the logits first.
    """
    # sigmoid(x) = (1 + tanh(x / 2)) / 2 cannot overflow
    odds = foreground_log_odds(logits, temperature)
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * odds), np.float32)


def foreground_log_odds(logits: Logits, temperature: float = 1.0) -> NDArray[np.float32]:
    """Return [h, w] float32: the log-odds that something sounds at each cell.

    Args:
        logits: [C, h, w]; C = 1 is taken as it is, otherwise all channels against channel 0.
        temperature: divides the logits first.
    """
    scaled = logits / np.float32(temperature)
    if len(scaled) == 1:
        return np.asarray(scaled[0], np.float32)
    others = scaled[1:]
    peak = others.max(axis=0)
    odds = peak + np.log(np.exp(others - peak).sum(axis=0)) - scaled[0]
    return np.asarray(odds, np.float32)


def mean_entropy_bits(probability: NDArray[np.float32]) -> float:
    """Return the mean binary entropy of probabilities: 0 when all are certain, 1 when all ½."""
    p = np.clip(probability, PROBABILITY_FLOOR, 1.0 - PROBABILITY_FLOOR)
    return float(-(p * np.log2(p) + (1.0 - p) * np.log2(1.0 - p)).mean(dtype=np.float64))


def _with_neighbours(
    glances: Iterable[_Glance],
) -> Iterator[tuple[_Glance | None, _Glance, _Glance | None]]:
    """Yield each frame between the one before and the one after it; None at the ends."""
    before: _Glance | None = None
    now: _Glance | None = None
    for after in glances:
        if now is not None:
            yield before, now, after
        before, now = now, after
    if now is not None:
        yield before, now, None


def _seen_nearby(glance: _Glance, before: _Glance | None, after: _Glance | None) -> BoolMask | None:
    """Return [h, w] what close neighbours show, None when there are none."""
    near = [
        neighbour.network_mask & (not neighbour.silent)
        for neighbour in (before, after)
        if neighbour is not None and abs(neighbour.seconds - glance.seconds) <= FLASH_SECONDS
    ]
    return np.logical_or.reduce(near) if near else None


def _predict(
    glance: _Glance, seen_nearby: BoolMask | None, rule: MaskRule, previous: _Look | None
) -> tuple[FramePrediction, _Look]:
    step, silent, mask = glance.step, glance.silent, glance.network_mask
    logits, size_hw = step.stage_logits[0], rule.size_hw
    label_map = np.zeros(size_hw, np.uint8) if silent else rule.label_map(logits, size_hw)
    if seen_nearby is not None:
        label_map = keep_touched_regions(label_map, seen_nearby)
        mask = keep_touched_regions(mask.view(np.uint8), seen_nearby) > 0
    area_share = marked_share(label_map)
    lost_flash = bool((glance.network_mask & ~mask).mean() >= NOTABLE_SHARE)
    look = _Look(glance, mask & (area_share > 0), lost_flash)
    state: FrameState = "silent" if silent else "sounding" if area_share else "nothing_sounds"
    confidence = _confidence(look, rule, previous, area_share)
    return FramePrediction(step.analysed.stamp, label_map, state, False, confidence), look


def _confidence(
    look: _Look, rule: MaskRule, previous: _Look | None, area_share: float
) -> FrameConfidence:
    step = look.glance.step
    probability = foreground_probability(step.stage_logits[0], rule.temperature)
    largest = float(probability.max())
    # A region can survive on the display grid only; its probability is then near the largest.
    inside = probability[look.mask].mean(dtype=np.float64) if look.mask.any() else largest
    agreement = _stage_agreement(step.stage_logits, rule)
    temporal_iou = None if previous is None else mask_iou(look.mask, previous.mask)
    return FrameConfidence(
        score=float(inside) if area_share else 1.0 - largest,
        mean_probability=float(inside) if area_share else None,
        entropy=mean_entropy_bits(probability),
        stage_agreement=agreement,
        temporal_iou=temporal_iou,
        area_share=area_share,
        num_components=num_components(look.mask),
        audio_dbfs=step.audio_dbfs,
        selected=step.selected,
        flags=tuple(_flags(look, previous, agreement=agreement, temporal_iou=temporal_iou)),
    )


def _stage_agreement(stage_logits: tuple[Logits, ...], rule: MaskRule) -> float:
    """Mean IoU of the coarser stages' masks, on the finest stage's grid, with the finest one's."""
    size_hw = _grid_size(stage_logits[0])
    finest, *coarser = (
        label_map_from_logits(logits, size_hw, cutoff=rule.cutoff) > 0 for logits in stage_logits
    )
    return float(np.mean([mask_iou(finest, mask) for mask in coarser])) if coarser else 1.0


def _flags(
    look: _Look, previous: _Look | None, *, agreement: float, temporal_iou: float | None
) -> Iterator[str]:
    notable = look.glance.network_mask.mean() >= NOTABLE_SHARE
    if look.glance.silent:
        yield "silent"
        if notable:
            yield "mask_while_silent"
    elif previous is not None and temporal_iou is not None and not previous.glance.silent:
        soon = look.glance.seconds - previous.glance.seconds <= FLICKER_SECONDS
        seen_at_all = max(look.mask.mean(), previous.mask.mean()) >= NOTABLE_SHARE
        if soon and seen_at_all and temporal_iou < FLICKER_IOU:
            yield "flicker"
    if look.lost_flash and not look.glance.silent:
        yield "flash"
    if agreement < LOW_AGREEMENT and notable:
        yield "low_agreement"


def _grid_size(logits: Logits) -> SizeHW:
    return logits.shape[1], logits.shape[2]

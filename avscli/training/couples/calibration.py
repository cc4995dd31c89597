"""Make probabilities mean something, and choose where to cut them: on validation frames only.

A mask where nothing visible sounds is the error that people notice first. So choices first see to
it that so many of such frames stay empty, under 1 % of the frame, as EMPTY_WANTED says, and then
maximise the mean IoU of the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from avscli.datatypes import BALANCED, VOID, OperatingPoint
from avscli.evaluation.network.judging import prepare_labelled
from avscli.masks import MaskRule, logit_cutoff, resize_plane
from avscli.metrics.calibration import Reliability
from avscli.metrics.overlap import EMPTY_SHARE, Overlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from avscli.datasets.labelled import LabelledClip
    from avscli.devices import TorchRuntime
    from avscli.training.networks.plain import NetworkTraining

THRESHOLDS = tuple(k / 100 for k in range(20, 81, 5))
REGION_THRESHOLDS = (0.6, 0.65, 0.7, 0.75, *(k / 40 for k in range(31, 40)), 0.98, 0.99)
SOUND_SHIFTS = (0.0, 0.7, 1.4, 2.1)
REGION_LOGITS = (-math.inf, *(k / 2 for k in range(1, 13)))  # before the temperature is known
EMPTY_WANTED: Mapping[str, float] = {"recall": 0.90, BALANCED: 0.95, "precision": 0.99}
_STEP = 4  # every fourth row and column tells enough
_MOST_NEWTON_STEPS = 50
_SHIFT_STEP = 3  # every third frame is enough to choose the shift by


class Evidence(NamedTuple):
    """What a network said about one frame, and the truth, at some rows and columns of it.

    Attributes:
        logits: [h, w] float32.
        truth: [h, w] bool.
        scored: [h, w] bool, False where the truth is void.
    """

    logits: NDArray[np.float32]
    truth: NDArray[np.bool_]
    scored: NDArray[np.bool_]


class Merit(NamedTuple):
    """How good masks are; the greater, the better, the first of both above the second.

    Attributes:
        kept_empty: share of the frames without target whose masks are empty.
        mean_iou: over the frames with a target.
    """

    kept_empty: float
    mean_iou: float

    def wanting(self, share: float) -> Merit:
        """Return the same, where more than a share of empty frames is no merit."""
        return Merit(min(self.kept_empty, share), self.mean_iou)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a checkpoint's spec takes over.

    Attributes:
        temperature: divides the logits.
        operating_points: where probabilities are cut, by what is preferred.
        sound_shift: to be added to what the sound says of every source class (a logit).
        error_before, error_after: expected calibration error without and with the temperature.
    """

    temperature: float
    operating_points: Mapping[str, OperatingPoint]
    sound_shift: float
    error_before: float
    error_after: float


def calibrate(
    runtime: TorchRuntime, side: NetworkTraining, frames: Iterable[LabelledClip]
) -> Calibration:
    """Choose the shift of the sound side, fit the temperature, choose the thresholds.

    Args:
        runtime: a loaded network.
        side: how that network trains; its sound side learns what is usual and is shifted, in place.
        frames: clips of one step of the validation split; all are kept in memory.
    """
    frames = list(frames)
    if side.names_sources and runtime.spec.sound_offsets_seconds:
        side.learn_usual(_patches(runtime, frame) for frame in frames)
    shift, evidence = _shift_the_sound(runtime, side, frames)
    logits = np.concatenate([e.logits[e.scored] for e in evidence])
    truth = np.concatenate([e.truth[e.scored] for e in evidence])
    temperature = fit_temperature(logits, truth)
    points = choose_operating_points(evidence, temperature)
    before, after = (_error(logits / t, truth) for t in (1.0, temperature))
    return Calibration(temperature, points, shift, before, after)


def _patches(runtime: TorchRuntime, frame: LabelledClip) -> Tensor:
    """Return [N, 1, ·, ·] log-mel patches of all moments that are heard with a frame."""
    inputs = prepare_labelled([frame], runtime.spec).inputs
    return inputs.log_mel.flatten(0, 2)[:, None].to(runtime.device)


def _shift_the_sound(
    runtime: TorchRuntime, side: NetworkTraining, frames: Sequence[LabelledClip]
) -> tuple[float, list[Evidence]]:
    """Find the best shift, and what the network then says.

    Training recordings are known by heart and new ones are not: on those the sound side is less
    sure, and the stages, which have learned from sure ones, believe it too rarely.
    """
    if not side.names_sources:
        return 0.0, [gather(runtime, frame) for frame in frames]
    some = frames[::_SHIFT_STEP]
    found: list[tuple[Merit, float]] = []
    for shift in SOUND_SHIFTS:
        side.shift_sound(shift)
        evidence = [gather(runtime, frame) for frame in some]
        side.shift_sound(-shift)
        merits = (merit(evidence, MaskRule(0.0, region)) for region in REGION_LOGITS)
        found.append((max(each.wanting(EMPTY_WANTED[BALANCED]) for each in merits), shift))
    _, shift = max(found, key=lambda one: one[0])
    side.shift_sound(shift)
    return shift, [gather(runtime, frame) for frame in frames]


def gather(runtime: TorchRuntime, frame: LabelledClip) -> Evidence:
    """Run a network on one frame and keep some rows and columns of the picture's own size."""
    inputs = prepare_labelled([frame], runtime.spec).inputs
    logits = resize_plane(runtime.forward(inputs).logits[0, 0, 0].numpy(), frame.size_hw)
    some = (slice(None, None, _STEP), slice(None, None, _STEP))
    target = frame.targets[0][some]
    return Evidence(np.ascontiguousarray(logits[some]), target == 1, target != VOID)


def fit_temperature(logits: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """Return the temperature with the least binary cross-entropy.

    The loss is convex in 1 / temperature, so Newton's method finds the one minimum.

    Args:
        logits: [P] float32.
        truth: [P] bool, both values present.

    Source: Guo et al., "On Calibration of Modern Neural Networks", arXiv 1706.04599, section 4.2,
    for two classes.
    """
    x, y = logits.astype(np.float64), truth.astype(np.float64)
    inverse = 1.0
    for _ in range(_MOST_NEWTON_STEPS):
        p = 0.5 + 0.5 * np.tanh(0.5 * inverse * x)
        slope, curvature = np.mean((p - y) * x), np.mean(p * (1.0 - p) * x * x)
        # Far from the minimum the curve is flat; no step more than halves or doubles.
        wanted = inverse - float(slope) / max(float(curvature), 1e-12)
        updated = min(max(wanted, inverse / 2), inverse * 2)
        if abs(updated - inverse) < 1e-6 * inverse:
            break
        inverse = updated
    return 1.0 / inverse


def choose_operating_points(
    evidence: Sequence[Evidence], temperature: float
) -> dict[str, OperatingPoint]:
    """Return, for each share of EMPTY_WANTED, the best pair of THRESHOLDS and REGION_THRESHOLDS.

    Of equals the lower one is taken.

    Args:
        evidence: of every validation frame.
        temperature: of the probabilities that are cut.
    """
    pairs = [(low, high) for low in THRESHOLDS for high in REGION_THRESHOLDS if high > low]
    merits = {
        pair: merit(evidence, MaskRule(*(logit_cutoff(t, temperature) for t in pair)))
        for pair in [(low, 0.0) for low in THRESHOLDS] + pairs
    }

    def best(wanted: float) -> tuple[float, float]:
        return max(merits, key=lambda pair: merits[pair].wanting(wanted))

    return {name: OperatingPoint(*best(wanted)) for name, wanted in EMPTY_WANTED.items()}


def merit(evidence: Sequence[Evidence], rule: MaskRule) -> Merit:
    """Return how good the masks of some frames are.

    Args:
        evidence: at least one.
        rule: what makes masks of the logits.
    """
    ious: list[float] = []
    empty: list[bool] = []
    for logits, truth, scored in evidence:
        mask = (rule.label_map(logits[None], logits.shape) > 0) & scored
        overlap = Overlap.of(mask, truth & scored, scored)
        if overlap.true:
            ious.append(overlap.iou)
        else:
            empty.append(overlap.marked_share < EMPTY_SHARE)
    kept_empty = float(np.mean(empty)) if empty else 1.0
    return Merit(kept_empty, float(np.mean(ious)) if ious else 0.0)


def _error(logits: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    reliability = Reliability()
    reliability.add(0.5 + 0.5 * np.tanh(0.5 * logits), truth)
    return reliability.error

"""Make probabilities mean something, and choose where to cut them: on validation frames only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from avscli.datasets.avsmix import VOID
from avscli.evaluation.scoring import EMPTY_SHARE, prepare_frames
from avscli.masks import logit_cutoff, resize_plane
from avscli.metrics.calibration import Reliability

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from avscli.devices import Runtime
    from avscli.evaluation import LabelledFrame

THRESHOLDS = tuple(k / 100 for k in range(20, 81, 5))
EMPTY_GOAL = 0.97  # share of the frames in which nothing sounds that should stay empty
_STEP = 4  # every fourth row and column tells enough
_MOST_NEWTON_STEPS = 50


class Evidence(NamedTuple):
    """What a network said about one frame, and the truth, at some of its pixels.

    Attributes:
        logits: [P] float32.
        truth: [P] bool.
    """

    logits: NDArray[np.float32]
    truth: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a checkpoint's spec takes over.

    Attributes:
        temperature: divides the logits.
        threshold: probability at or above which a pixel is marked.
        error_before, error_after: expected calibration error without and with the temperature.
    """

    temperature: float
    threshold: float
    error_before: float
    error_after: float


def calibrate(runtime: Runtime, frames: Iterable[LabelledFrame]) -> Calibration:
    """Fit the temperature, then choose the threshold, on validation frames."""
    evidence = [gather(runtime, frame) for frame in frames]
    logits = np.concatenate([e.logits for e in evidence])
    truth = np.concatenate([e.truth for e in evidence])
    temperature = fit_temperature(logits, truth)
    threshold = choose_threshold(evidence, temperature)
    before, after = (_error(logits / t, truth) for t in (1.0, temperature))
    return Calibration(temperature, threshold, before, after)


def gather(runtime: Runtime, frame: LabelledFrame) -> Evidence:
    """Run a network on one frame and keep some pixels of the picture's own size."""
    inputs = prepare_frames([frame], runtime.network.spec)
    logits = resize_plane(runtime.forward(inputs).logits[0, 0, 0].numpy(), frame.target.shape)
    some = (slice(None, None, _STEP), slice(None, None, _STEP))
    target = frame.target[some]
    scored = target != VOID
    return Evidence(logits[some][scored], target[scored] == 1)


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


def choose_threshold(evidence: Sequence[Evidence], temperature: float) -> float:
    """Return the threshold with the best mean IoU among those that keep empty frames empty.

    Enough means 97 % of the frames in which nothing visible sounds; when no threshold reaches
    that, the one with the largest share kept empty is taken, the lower of equals.

    Args:
        evidence: of every validation frame.
        temperature: of the probabilities that are cut.
    """
    judged = {t: _judge(evidence, logit_cutoff(t, temperature)) for t in THRESHOLDS}
    enough = [t for t, (_, kept_empty) in judged.items() if kept_empty >= EMPTY_GOAL]
    if enough:
        return max(enough, key=lambda t: judged[t][0])
    return max(judged, key=lambda t: judged[t][1])


def _error(logits: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    reliability = Reliability()
    reliability.add(0.5 + 0.5 * np.tanh(0.5 * logits), truth)
    return reliability.error


def _judge(evidence: Sequence[Evidence], cutoff: float) -> tuple[float, float]:
    """Return the mean IoU where something sounds and the share kept empty elsewhere."""
    ious: list[float] = []
    kept: list[bool] = []
    for logits, truth in evidence:
        mask = logits >= np.float32(cutoff)
        if truth.any():
            ious.append(float((mask & truth).sum() / (mask | truth).sum()))
        else:
            kept.append(bool(mask.mean() < EMPTY_SHARE))
    return float(np.mean(ious or [0.0])), float(np.mean(kept or [True]))

"""What every protocol scores: predictions and truth of one clip, wherever they come from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SURE_LOGIT = np.float32(100.0)  # stands for a stored mask: its sigmoid is exactly 0 or 1


@dataclass(frozen=True, slots=True, eq=False)
class JudgedFrame:
    """One scored step of a clip.

    Attributes:
        labels: [H, W] uint8 predicted class, 0 for none.
        logits: [H, W] float32 log-odds that something sounds there.
        probability: [H, W] float32 of the same, after the weights' temperature.
        target: [H, W] uint8 true class, 0 for none, 255 void.
        score: how sure it is, 0 … 1, that anything sounds in the frame.
    """

    labels: NDArray[np.uint8]
    logits: NDArray[np.float32]
    probability: NDArray[np.float32]
    target: NDArray[np.uint8]
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class NetworkAlone:
    """What a network says of T steps before the silence gate and the neighbours are asked.

    Attributes:
        labels: [T, H, W] uint8 class, 0 for none.
        probability: [T, H, W] float32 that something sounds there, after the temperature.
        scores: [T] float64, the largest probability of each step.
    """

    labels: NDArray[np.uint8]
    probability: NDArray[np.float32]
    scores: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class JudgedClip:
    """T steps of one clip, as `avs segment` would mark them, or as stored.

    Attributes:
        clip_id: unique within the evaluation.
        kind: what the clip tests, for grouping.
        category: what sounds, when that is one thing; else None.
        labels: [T, H, W] uint8 predicted class, 0 for none.
        logits: [T, H, W] float32 log-odds that something sounds.
        probability: [T, H, W] float32 of the same, after the weights' temperature.
        targets: [T, H, W] uint8 true class, 0 for none, 255 void.
        labelled: [T] bool; the other steps are padding or have no truth.
        scores: [T] float, how sure it is that anything sounds in each step.
        pictures: [T, H, W, 3] uint8 RGB; None when only masks are at hand.
        continues: this is a later part of the clip before.
        alone: the network's own word; None when masks are stored.
    """

    clip_id: str
    kind: str
    category: str | None
    labels: NDArray[np.uint8]
    logits: NDArray[np.float32]
    probability: NDArray[np.float32]
    targets: NDArray[np.uint8]
    labelled: NDArray[np.bool_]
    scores: NDArray[np.float64]
    pictures: NDArray[np.uint8] | None = None
    continues: bool = False
    alone: NetworkAlone | None = None

    def by_the_network_alone(self) -> JudgedClip:
        """Return the clip as the network marks it by itself; a stored one as it is."""
        if self.alone is None:
            return self
        return replace(
            self,
            labels=self.alone.labels,
            probability=self.alone.probability,
            scores=self.alone.scores,
        )

    def frames(self) -> Iterator[JudgedFrame]:
        """Yield the labelled steps."""
        for step in np.flatnonzero(self.labelled):
            yield JudgedFrame(
                self.labels[step],
                self.logits[step],
                self.probability[step],
                self.targets[step],
                float(self.scores[step]),
            )


def clip_of_masks(
    clip_id: str,
    labels: NDArray[np.uint8],
    targets: NDArray[np.uint8],
    scores: NDArray[np.float64] | None = None,
    *,
    continues: bool = False,
) -> JudgedClip:
    """Return stored masks as if a network had been perfectly sure of them.

    Args:
        clip_id: unique within the evaluation.
        labels: [T, H, W] uint8 predicted class, 0 for none.
        targets: [T, H, W] uint8 true class, 255 void.
        scores: [T] how sure each step was that anything sounds; None takes the marked share.
        continues: this is a later part of the clip before.
    """
    marked = labels > 0
    return JudgedClip(
        clip_id=clip_id,
        kind="clip",
        category=None,
        labels=labels,
        logits=np.where(marked, SURE_LOGIT, -SURE_LOGIT),
        probability=marked.astype(np.float32),
        targets=targets,
        labelled=np.ones(len(labels), np.bool_),
        scores=marked.mean(axis=(1, 2)) if scores is None else scores,
        continues=continues,
    )

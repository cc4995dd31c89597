"""The semantic scores of AVSBench (AVSS), exactly as its evaluation gives them.

Per frame and class an IoU; a class's sum is divided by the number of frames in which it was seen
*or marked*; classes never met count as 0 in the mean. "Without background" leaves out the *last*
class, although the background is the first: numbers in papers were made so.

Source: Zhou et al., Audio-Visual Segmentation with Semantics (IJCV 2024), and the published
evaluation code's behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from avscli.metrics.thresholds import BETA_SQUARED

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SemanticScores:
    """What the published evaluation prints; all 0 … 1.

    Attributes:
        mean_iou, f_score: over all classes.
        mean_iou_without_last, f_score_without_last: what papers call "without background".
        binary_iou: mean over frames of the IoU of "not the last class".
    """

    mean_iou: float
    mean_iou_without_last: float
    f_score: float
    f_score_without_last: float
    binary_iou: float


@dataclass(slots=True, eq=False)
class SemanticSums:
    """Sums over frames, one number per class.

    Attributes:
        num_classes: including the background.
        iou: [num_classes] sum of IoUs.
        f_score: [num_classes] sum of F-scores.
        count: [num_classes] frames in which the class was seen or marked.
        frame_ious: per frame, the mean IoU over the classes with any hit; NaN without one.
        binary_ious: per frame, the IoU of "not the last class".
    """

    num_classes: int
    iou: NDArray[np.float64] = field(init=False)
    f_score: NDArray[np.float64] = field(init=False)
    count: NDArray[np.int64] = field(init=False)
    frame_ious: list[float] = field(default_factory=list)
    binary_ious: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.iou, self.f_score = np.zeros(self.num_classes), np.zeros(self.num_classes)
        self.count = np.zeros(self.num_classes, np.int64)

    def add(self, labels: NDArray[np.integer], target: NDArray[np.integer]) -> None:
        """Add one frame, padding included.

        Args:
            labels: [H, W] predicted class per pixel.
            target: [H, W] true class per pixel.
        """
        hits, marked, true = (
            np.bincount(values.ravel(), minlength=self.num_classes)
            for values in (target[labels == target], labels, target)
        )
        union = marked + true - hits
        iou = hits / np.maximum(union, 1)
        self.iou += iou
        self.f_score += (1 + BETA_SQUARED) * hits / np.maximum(BETA_SQUARED * true + marked, 1e-9)
        self.count += union > 0
        num_hit = np.count_nonzero(iou)
        self.frame_ious.append(float(iou.sum() / num_hit) if num_hit else float("nan"))
        self.binary_ious.append(_binary_iou(labels, target, self.num_classes - 1))

    def scores(self) -> SemanticScores:
        """Return the data set's scores."""
        met = np.maximum(self.count, 1)
        iou, f_score = self.iou / met, self.f_score / met
        return SemanticScores(
            mean_iou=float(iou.mean()),
            mean_iou_without_last=float(iou[:-1].mean()),
            f_score=float(f_score.mean()),
            f_score_without_last=float(f_score[:-1].mean()),
            binary_iou=float(np.mean(self.binary_ious)) if self.binary_ious else float("nan"),
        )


def _binary_iou(labels: NDArray[np.integer], target: NDArray[np.integer], last: int) -> float:
    marked, true = labels != last, target != last
    union = np.count_nonzero(marked | true)
    return float(np.count_nonzero(marked & true) / union) if union else 0.0

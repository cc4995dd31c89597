"""Scoring protocols by name: ours, and the two published ones exactly as published."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from avscli.datatypes import VOID
from avscli.evaluation.rows import ClipRow, ratio
from avscli.metrics import avsbench
from avscli.metrics.avss import SemanticSums
from avscli.metrics.bootstrap import interval
from avscli.metrics.calibration import Reliability
from avscli.metrics.coco_ap import MaskAveragePrecision
from avscli.metrics.confusion import Confusion, mean_of_known
from avscli.metrics.detection import area_under_roc
from avscli.metrics.thresholds import NUM_THRESHOLDS, THRESHOLDS, count_at_thresholds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from avscli.evaluation.clips import JudgedClip, JudgedFrame

Json = dict[str, object]
# Told with every result; docs/evaluation.md says what each does.
AVS_SOURCE = "docs/evaluation.md, as avs segment marks"
NETWORK_SOURCE = "docs/evaluation.md, the network alone"
AVSBENCH_SOURCE = "Zhou et al., ECCV 2022, as published"
AVSS_SOURCE = "Zhou et al., IJCV 2024, as published"


class ScoringProtocol(Protocol):
    """Adds up clips, then tells the scores; keeps no pixels."""

    def add(self, clip: JudgedClip) -> None:
        """Add one clip."""

    def result(self) -> Json:
        """Return the scores as plain JSON values."""


class AvsProtocol:
    """Ours: every frame counts once, frames without sound count on their own.

    Args:
        num_classes: of the labels, including the background; 2 takes everything above 0 as one.
        class_names: by label, for the table of classes.
        source: told with the result.
    """

    def __init__(
        self, num_classes: int = 2, class_names: Sequence[str] = (), *, source: str = AVS_SOURCE
    ) -> None:
        self._num_classes, self._class_names = num_classes, class_names
        self._source = source
        self.rows: list[ClipRow] = []
        self._curve = np.zeros(NUM_THRESHOLDS)
        self._pixels, self._frames = Reliability(), Reliability()
        self._confusion = Confusion(num_classes)
        self._ap = MaskAveragePrecision()
        self._scores: list[float] = []
        self._truth: list[bool] = []

    def add(self, clip: JudgedClip) -> None:
        """Add one clip, or the next part of the last one."""
        row = ClipRow.of(clip)
        if clip.continues:
            self.rows[-1].absorb(row)
        else:
            self.rows.append(row)
        for frame in clip.frames():
            self._add_frame(frame)

    def _add_frame(self, frame: JudgedFrame) -> None:
        scored = frame.target != VOID
        truth = (frame.target > 0) & scored
        sounds = bool(truth.any())
        if sounds:
            self._curve += count_at_thresholds(frame.probability, truth, scored).f_scores()
        self._pixels.add(frame.probability, truth, scored)
        self._frames.add(np.array([frame.score]), np.array([sounds]))
        self._scores.append(frame.score)
        self._truth.append(sounds)
        labels, target = frame.labels, np.where(scored, frame.target, np.uint8(0))
        if self._num_classes == 2:
            labels, target = (labels > 0).view(np.uint8), (target > 0).view(np.uint8)
        self._confusion.add(labels, target, scored)
        self._ap.add(labels, target, scored, frame.score)

    def result(self) -> Json:
        """Return the scores, with 95 % intervals where they are ratios over clips."""
        num_sounding = sum(row.num_sounding for row in self.rows)
        curve = self._curve / max(1, num_sounding)
        best = int(curve.argmax())
        return {
            "source": self._source,
            "num_clips": len(self.rows),
            "num_frames": len(self._truth),
            "num_sounding_frames": num_sounding,
            "scores": {name: self._told(name) for name in ClipRow.MEASURES},
            "f_max": float(curve[best]) if num_sounding else None,
            "f_max_threshold": float(THRESHOLDS[best]) if num_sounding else None,
            "f_curve": curve.tolist(),
            "detection_auc": area_under_roc(self._scores, self._truth),
            "coco": self._ap.result()._asdict(),
            "expected_calibration_error": _known(self._pixels.error),
            "reliability": [asdict(row) for row in self._pixels.table()],
            "frame_calibration_error": _known(self._frames.error),
            "frame_reliability": [asdict(row) for row in self._frames.table()],
            "per_kind": _groups(self.rows, [row.kind for row in self.rows]),
            "per_category": _groups(self.rows, [row.category for row in self.rows]),
            **self._per_class(),
        }

    def _told(self, measure: str) -> Json:
        of_rows = ratio(self.rows, measure)
        return {"value": of_rows.value, "interval": interval(of_rows)}

    def _per_class(self) -> Json:
        classes = self._confusion.classes()
        told: Json = {"dataset_mean_iou": mean_of_known([c.iou for c in classes])}
        if self._num_classes == 2:  # the foreground's own numbers are among the scores
            return told
        return told | {
            "dataset_mean_iou_without_background": mean_of_known([c.iou for c in classes[1:]]),
            "mean_false_discovery_rate": mean_of_known(
                [c.false_discovery_rate for c in classes[1:]]
            ),
            "per_class": {
                self._class_names[i] if i < len(self._class_names) else str(i): asdict(pixels)
                for i, pixels in enumerate(classes)
                if pixels.iou is not None
            },
        }


class NetworkProtocol(AvsProtocol):
    """The same scores of the network alone: no silence gate, and no neighbours asked."""

    def __init__(self, num_classes: int = 2, class_names: Sequence[str] = ()) -> None:
        super().__init__(num_classes, class_names, source=NETWORK_SOURCE)

    def add(self, clip: JudgedClip) -> None:
        """Add one clip, or the next part of the last one."""
        super().add(clip.by_the_network_alone())


class AvsBenchProtocol:
    """J and F of AVSBench, per batch of clips, and their means over batches.

    Args:
        clips_per_batch: the published results depend on it; their code used 1 to 8.
    """

    def __init__(self, clips_per_batch: int = 1) -> None:
        self._size = clips_per_batch
        self._batch, self._num_clips = avsbench.BatchSums(), 0
        self._j: list[float] = []
        self._f: list[float] = []

    def add(self, clip: JudgedClip) -> None:
        """Add one clip, or the next part of the last one; unlabelled steps are left out."""
        if not clip.continues:
            if self._num_clips == self._size:
                self._end_batch()
            self._num_clips += 1
        for frame in clip.frames():
            probability = torch.sigmoid(torch.from_numpy(frame.logits))[None]
            truth = (frame.target > 0) & (frame.target != VOID)  # nothing published is void
            target = torch.from_numpy(truth)[None]
            self._batch.add_ious(probability, target)
            self._batch.add_curves(probability, target)

    def result(self) -> Json:
        """Return the means over batches, the last one possibly smaller."""
        self._end_batch()
        return {
            "source": AVSBENCH_SOURCE,
            "clips_per_batch": self._size,
            "num_batches": len(self._j),
            "j": float(np.mean(self._j)) if self._j else None,
            "f": float(np.mean(self._f)) if self._f else None,
        }

    def _end_batch(self) -> None:
        if self._batch.num_frames:
            self._j.append(self._batch.mask_iou)
            self._f.append(self._batch.f_measure)
        self._batch, self._num_clips = avsbench.BatchSums(), 0


class AvssProtocol:
    """The semantic scores of AVSBench: padded steps count, with an empty target.

    Args:
        num_classes: including the background.
    """

    def __init__(self, num_classes: int) -> None:
        self._sums = SemanticSums(num_classes)

    def add(self, clip: JudgedClip) -> None:
        """Add one clip with all its steps, padding included."""
        alone = clip.by_the_network_alone()
        for labels, target in zip(alone.labels, clip.targets, strict=True):
            self._sums.add(labels, np.where(target == VOID, np.uint8(0), target))

    def result(self) -> Json:
        """Return the published numbers."""
        facts: Json = {"source": AVSS_SOURCE, "num_frames": len(self._sums.frame_ious)}
        return facts | asdict(self._sums.scores())


def summary(result: Json) -> dict[str, float]:
    """Return mean IoU and the share kept empty of `AvsProtocol.result`, over all and per kind.

    Scores that nothing tells, such as the mean IoU of frames in which nothing sounds, are left out.
    """
    scores, per_kind = result["scores"], result["per_kind"]
    assert isinstance(scores, dict)
    assert isinstance(per_kind, dict)
    told = {"mean_iou": scores["mean_iou"]["value"]}
    for measure in ("mean_iou", "kept_empty"):
        told |= {f"{measure}_{kind}": group[measure] for kind, group in per_kind.items()}
    return {name: value for name, value in told.items() if value is not None}


def _groups(rows: Sequence[ClipRow], names: Sequence[str | None]) -> Json:
    """Return a few scores of the rows of each name."""
    grouped: dict[str, list[ClipRow]] = defaultdict(list)
    for row, name in zip(rows, names, strict=True):
        if name is not None:
            grouped[name].append(row)
    return {
        name: {
            "num_clips": len(group),
            **{m: ratio(group, m).value for m in ("mean_iou", "f_score", "kept_empty")},
        }
        for name, group in sorted(grouped.items())
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value

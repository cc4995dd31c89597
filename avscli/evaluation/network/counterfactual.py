"""Does the mask follow the sound? Scores of the same pictures with other sounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from avscli.datatypes import VOID
from avscli.evaluation.rows import ClipRow, ratio
from avscli.metrics.bootstrap import difference_interval
from avscli.metrics.overlap import Overlap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from avscli.datasets.contract import SideBySide
    from avscli.datasets.labelled import LabelledClip
    from avscli.evaluation.clips import JudgedClip
    from avscli.evaluation.network.samples import Altered

    Judge = Callable[[LabelledClip], JudgedClip]


@dataclass(frozen=True, slots=True)
class SideBySideScores:
    """How well a sound chooses between two objects.

    Attributes:
        num_frames: two for each couple of pictures; without any, the rest is None.
        mean_iou: of the masks with the objects that sound.
        wrong_covered: mean share of the other object that the mask covers; 0 is best.
        chosen: share of frames whose mask covers more of the right object than of the other.
    """

    num_frames: int
    mean_iou: float | None
    wrong_covered: float | None
    chosen: float | None


def score_altered(altered: Iterable[Altered], judge: Judge) -> dict[str, object]:
    """Score clips and the same with other sounds, by what was done to the sound.

    Returns:
        Per change: how many clips it was made on, mean IoU before and after, the difference
        with its interval, and the share of the marked area that went away.
    """
    rows: dict[str, list[tuple[ClipRow, ClipRow]]] = {}
    for item in altered:
        right = ClipRow.of(judge(item.right))
        for change, clip in item.others.items():
            rows.setdefault(change, []).append((right, ClipRow.of(judge(clip))))
    return {change: _change(pairs) for change, pairs in rows.items()}


def _change(pairs: list[tuple[ClipRow, ClipRow]]) -> dict[str, object]:
    before, after = ([pair[i] for pair in pairs] for i in (0, 1))
    ious = [ratio(rows, "mean_iou") for rows in (before, after)]
    areas = [sum(row.hit + row.false for row in rows) for rows in (before, after)]
    values = [iou.value for iou in ious]
    known = values[0] is not None and values[1] is not None
    return {
        "num_clips": len(pairs),
        "mean_iou_before": values[0],
        "mean_iou_after": values[1],
        "mean_iou_change": (values[1] or 0.0) - (values[0] or 0.0) if known else None,
        "interval": difference_interval(*ious),
        "area_gone": 1.0 - areas[1] / areas[0] if areas[0] else None,
    }


def score_side_by_side(items: Iterable[SideBySide], judge: Judge) -> SideBySideScores:
    """Measure how well the sound chooses between two objects."""
    ious: list[float] = []
    wrong: list[float] = []
    chosen: list[bool] = []
    for item in items:
        judged = judge(item.clip)
        mask, target = judged.labels[0] > 0, judged.targets[0]
        right = Overlap.of(mask, target == 1, target != VOID)
        covered = float(mask[item.other].mean()) if item.other.any() else 0.0
        ious.append(right.iou)
        wrong.append(covered)
        chosen.append(right.hit / max(1, right.true) > covered)
    mean = [float(np.mean(values)) if values else None for values in (ious, wrong, chosen)]
    return SideBySideScores(len(ious), *mean)

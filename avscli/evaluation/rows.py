"""One row of sums per clip, and the scores that are ratios of such sums.

Every score here is Σ part / Σ whole over clips, so the order of clips and the size of batches do
not matter, and drawing rows with replacement gives its interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np

from avscli.datatypes import VOID
from avscli.metrics.bootstrap import Ratio
from avscli.metrics.boundary import boundary_f
from avscli.metrics.overlap import EMPTY_SHARE, Overlap

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from avscli.evaluation.clips import JudgedClip


class Measure(NamedTuple):
    """A score as Σ part / Σ whole over rows.

    Attributes:
        parts: fields of a row whose sum is the part.
        wholes: fields whose sum is the whole.
        factor: of the part.
    """

    parts: tuple[str, ...]
    wholes: tuple[str, ...]
    factor: float = 1.0


class Row(Protocol):
    """Sums about one clip, a dataclass.

    Attributes:
        MEASURES: the scores that such rows tell, by name.
        TRUTH: fields that the truth alone decides.
        clip_id: unique within an evaluation.
    """

    MEASURES: ClassVar[Mapping[str, Measure]]
    TRUTH: ClassVar[tuple[str, ...]]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    clip_id: str

    @property
    def mean_iou(self) -> float | None:
        """J of the clip; None where it has no mask to compare with."""


def ratio(rows: Sequence[Row], measure: str) -> Ratio:
    """Return one of the rows' measures as sums per clip."""
    if not rows:
        return Ratio(np.zeros(0), np.zeros(0))
    parts, wholes, factor = rows[0].MEASURES[measure]
    return Ratio(factor * _column(rows, parts), _column(rows, wholes))


def measures_of(kind: type[Row], sums: Collection[str]) -> tuple[str, ...]:
    """Return the measures of a kind of rows that those with these fields tell."""
    return tuple(
        name for name, (parts, wholes, _) in kind.MEASURES.items() if {*parts, *wholes} <= set(sums)
    )


def _column(rows: Sequence[Row], names: tuple[str, ...]) -> NDArray[np.float64]:
    return np.array([sum(getattr(row, name) for name in names) for row in rows], np.float64)


@dataclass(slots=True)
class ClipRow:
    """Sums over the labelled frames of one clip.

    Attributes:
        clip_id, kind, category: as in `JudgedClip`.
        num_sounding, num_quiet: frames in which something visible sounds, or nothing does.
        iou, f_score, f_at_half, boundary_f: sums over the sounding frames; F where the network
            decides, and at probability 0.5.
        found: sounding frames with any marked pixel.
        alarms: quiet frames with any marked pixel.
        alarm_area: sum over quiet frames of the marked share.
        kept_empty: quiet frames whose mask covers less than 1 %.
        hit, false, missed: pixels of all frames.
    """

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "mean_iou": Measure(("iou",), ("num_sounding",)),
        "f_score": Measure(("f_score",), ("num_sounding",)),
        "f_at_half": Measure(("f_at_half",), ("num_sounding",)),
        "boundary_f": Measure(("boundary_f",), ("num_sounding",)),
        "j_and_boundary_f": Measure(("iou", "boundary_f"), ("num_sounding",), 0.5),
        "dataset_iou": Measure(("hit",), ("hit", "false", "missed")),
        "false_discovery_rate": Measure(("false",), ("hit", "false")),
        "false_positive_area": Measure(("alarm_area",), ("num_quiet",)),
        "false_positive_rate": Measure(("alarms",), ("num_quiet",)),
        "kept_empty": Measure(("kept_empty",), ("num_quiet",)),
        "detection_precision": Measure(("found",), ("found", "alarms")),
        "detection_recall": Measure(("found",), ("num_sounding",)),
    }
    TRUTH: ClassVar[tuple[str, ...]] = ("num_sounding", "num_quiet")

    clip_id: str
    kind: str
    category: str | None
    num_sounding: int = 0
    num_quiet: int = 0
    iou: float = 0.0
    f_score: float = 0.0
    f_at_half: float = 0.0
    boundary_f: float = 0.0
    found: int = 0
    alarms: int = 0
    alarm_area: float = 0.0
    kept_empty: int = 0
    hit: int = 0
    false: int = 0
    missed: int = 0

    @classmethod
    def of(cls, clip: JudgedClip) -> ClipRow:
        """Score a clip."""
        row = cls(clip.clip_id, clip.kind, clip.category)
        for frame in clip.frames():
            scored = frame.target != VOID
            mask, truth = (frame.labels > 0) & scored, (frame.target > 0) & scored
            row._add(Overlap.of(mask, truth, scored))
            if truth.any():
                half = (frame.probability >= 0.5) & scored
                row.f_at_half += Overlap.of(half, truth, scored).f_score()
                row.boundary_f += boundary_f(mask, truth)
        return row

    def _add(self, overlap: Overlap) -> None:
        self.hit += overlap.hit
        self.false += overlap.false
        self.missed += overlap.missed
        if overlap.true:
            self.num_sounding += 1
            self.iou += overlap.iou
            self.f_score += overlap.f_score()
            self.found += overlap.marked > 0
        else:
            self.num_quiet += 1
            self.alarms += overlap.marked > 0
            self.alarm_area += overlap.marked_share
            self.kept_empty += overlap.marked_share < EMPTY_SHARE

    def absorb(self, other: ClipRow) -> None:
        """Add the sums of another part of the same clip."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def mean_iou(self) -> float | None:
        """J of this clip; None when nothing sounds in it."""
        return self.iou / self.num_sounding if self.num_sounding else None


ROW_NAMES = ("clip_id", "kind", "category")
_SUMS = tuple(field.name for field in fields(ClipRow) if field.name not in ROW_NAMES)

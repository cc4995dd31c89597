"""What is remembered of one object, and how well a region fits it."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avscli.objects.naming import Region
    from avscli.objects.spots import Spot

SAME_CLASS_IOU = 0.1
OTHER_CLASS_IOU = 0.5
MOST_SIZE_RATIO = 3.0  # of areas, for an object that is found again without overlap
REACH_IN_SIZES = 0.75  # people side by side are at least one width apart
MOST_REACH_IN_SIZES = 3.0
SPEED_SECONDS = 0.5  # speeds are taken over this long, so that masks that breathe are not fast


class ClassVote:
    """The class of a track: the one with the largest sum of category scores so far."""

    def __init__(self) -> None:
        self._sums: defaultdict[int, float] = defaultdict(float)

    def add(self, category_id: int, category_score: float) -> None:
        """Count one frame."""
        self._sums[category_id] += category_score

    @property
    def winner(self) -> int:
        """The category in the lead; of equal ones, the lowest."""
        return min(self._sums, key=lambda category: (-self._sums[category], category))


@dataclass(slots=True, eq=False)
class Track:
    """One object up to now.

    Attributes:
        track_id: 1….
        spot: where it was last.
        seen_seconds: when that was.
        seen_step: in which step.
        joined_since: when it became one region with another track; None while it is not.
    """

    track_id: int
    spot: Spot
    seen_seconds: float
    seen_step: int
    joined_since: float | None = None
    vote: ClassVote = field(default_factory=ClassVote)
    _anchor: tuple[float, tuple[float, float]] | None = None
    _way: float = 0.0
    _way_seconds: float = 0.0

    def see(self, region: Region, spot: Spot, seconds: float, step: int) -> None:
        """Note where and as what it is seen now."""
        self.vote.add(region.category_id, region.category_score)
        if self._anchor is None or self.seen_step < step - 1:
            self._anchor = seconds, spot.centre
        elif seconds - self._anchor[0] >= SPEED_SECONDS:
            self._way += math.dist(self._anchor[1], spot.centre)
            self._way_seconds += seconds - self._anchor[0]
            self._anchor = seconds, spot.centre
        self.spot, self.seen_seconds, self.seen_step = spot, seconds, step

    def fit(
        self, region: Region, spot: Spot, seconds: float, step: int, unknown: int | None
    ) -> float:
        """Return how well a region continues this track, 0 where it cannot.

        Overlap (0…1) + nearness (0…1) + 1 where the class is the same + 1 where the track was
        there one step ago.
        """
        is_present = self.seen_step == step - 1
        category = self.vote.winner
        is_same = region.category_id == category
        iou = self.spot.iou(spot)
        reach = self._reach(seconds)
        nearness = max(0.0, 1.0 - self.spot.distance(spot) / reach) if reach else 0.0
        is_neutral = is_same or unknown in (region.category_id, category)
        continues = is_present and iou >= (SAME_CLASS_IOU if is_neutral else OTHER_CLASS_IOU)
        ratio = max(spot.area, self.spot.area) / max(min(spot.area, self.spot.area), 1)
        returns = is_same and nearness > 0 and ratio <= MOST_SIZE_RATIO
        return iou + nearness + float(is_same) + float(is_present) if continues or returns else 0.0

    def _reach(self, seconds: float) -> float:
        speed = self._way / self._way_seconds if self._way_seconds else 0.0
        reach = REACH_IN_SIZES * self.spot.size + speed * (seconds - self.seen_seconds)
        return min(reach, MOST_REACH_IN_SIZES * self.spot.size)

"""How far masks and truth overlap: counts of pixels, and the ratios made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMPTY_SHARE = 0.01  # a mask below this share of the frame counts as kept empty


@dataclass(frozen=True, slots=True)
class Overlap:
    """Pixel counts of one mask, or the sum of many; they add up.

    Attributes:
        hit: marked and true.
        false: marked and not true.
        missed: true and not marked.
        scored: all pixels that count.
    """

    hit: int = 0
    false: int = 0
    missed: int = 0
    scored: int = 0

    @classmethod
    def of(
        cls,
        mask: NDArray[np.bool_],
        truth: NDArray[np.bool_],
        scored: NDArray[np.bool_] | None = None,
    ) -> Overlap:
        """Count one mask [H, W] bool against its truth; `scored` is False on void pixels."""
        if scored is not None:
            mask, truth = mask & scored, truth & scored
        hit = int(np.count_nonzero(mask & truth))
        return cls(
            hit=hit,
            false=int(np.count_nonzero(mask)) - hit,
            missed=int(np.count_nonzero(truth)) - hit,
            scored=mask.size if scored is None else int(np.count_nonzero(scored)),
        )

    def __add__(self, other: Overlap) -> Overlap:
        return Overlap(
            self.hit + other.hit,
            self.false + other.false,
            self.missed + other.missed,
            self.scored + other.scored,
        )

    @property
    def marked(self) -> int:
        """Marked pixels."""
        return self.hit + self.false

    @property
    def true(self) -> int:
        """True pixels."""
        return self.hit + self.missed

    @property
    def iou(self) -> float:
        """Intersection over union, 0 … 1; 1 when nothing is marked and nothing is true."""
        union = self.hit + self.false + self.missed
        return self.hit / union if union else 1.0

    @property
    def marked_share(self) -> float:
        """Marked share of the scored pixels, 0 … 1; 0 when nothing is scored."""
        return self.marked / self.scored if self.scored else 0.0

    def f_score(self, beta_squared: float = 0.3) -> float:
        """Weighted harmonic mean of precision and recall, 0 … 1.

        1 when nothing is marked and nothing is true, 0 when only one of them holds.
        """
        weighted = (1.0 + beta_squared) * self.hit
        total = weighted + beta_squared * self.missed + self.false
        return weighted / total if total else 1.0

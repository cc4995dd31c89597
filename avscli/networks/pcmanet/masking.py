"""Which part of a fine stage is worth computing, given what the coarser stage said.

The paper's masks spare queries of an attention that costs next to nothing. These spare whole
stages: frames in which the coarser stage is sure everywhere, and of the others all but a rectangle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from avscli.networks.pcmanet.modules import confidence_induced_mask

if TYPE_CHECKING:
    from torch import Tensor

# A pixel this sure needs no finer stage. From 0.9 to 0.99, masks of avsmix's validation pairs are
# as good, and the finest stage sees 47 to 52 % of the picture (benchmarks/masking.py).
SETTLED_PROBABILITY = 0.95
# Cells of the coarser grid around a rectangle that its values depend on, in half its cells: head 1,
# merge 1; in whole ones: enlarging 1, the convolutions of the guide and the coarser stage 1.
REACH = 3


class StageInput(NamedTuple):
    """What a stage of N = B·T frames works with.

    Attributes:
        features: [N, C, h, w] projected maps of its own stride.
        sound: [N, C] projected sounds.
        token: [N, C] sounds as the coarser stage left them; the same as `sound` for the deepest.
        valid: [B, T] bool, steps that may be attended to.
        coarser: [N, C, h', w'] fused maps of the coarser stage; None for the deepest.
        marks: [N, h', w'] bool, what the coarser stages left unsettled; None for the deepest.
        evidence: [N, 1, ·, ·] logits of the agreement; None in a network without one.
    """

    features: Tensor
    sound: Tensor
    token: Tensor
    valid: Tensor
    coarser: Tensor | None = None
    marks: Tensor | None = None
    evidence: Tensor | None = None

    def of_clips(self, chosen: Tensor) -> StageInput:
        """Return those of the clips chosen by [B] bool."""
        frames = chosen.repeat_interleave(self.valid.shape[1])
        parts = (self.coarser, self.marks, self.evidence)
        coarser, marks, evidence = (None if x is None else x[frames] for x in parts)
        return StageInput(
            self.features[frames], self.sound[frames], self.token[frames], self.valid[chosen],
            coarser, marks, evidence,
        )  # fmt: skip

    def window(self, rows: slice, columns: slice) -> StageInput:
        """Return a part of the picture, in cells of the coarser grid; its own has twice as many.

        The evidence is that of stride 8, so this is for stage 1.
        """
        parts = (self.coarser, self.marks, self.evidence)
        coarser, marks, evidence = (None if x is None else x[..., rows, columns] for x in parts)
        features = self.features[..., doubled(rows), doubled(columns)]
        return self._replace(features=features, coarser=coarser, marks=marks, evidence=evidence)


def unsettled(logits: Tensor) -> Tensor:
    """Return [N, h, w] bool: where logits [N, C, h, w] leave something to a finer stage."""
    return confidence_induced_mask(logits, None, confident=SETTLED_PROBABILITY)


def rectangles(marks: Tensor) -> Tensor:
    """Return [N, h, w] bool, the smallest rectangle around each frame's marks [N, h, w]."""
    return _between(marks.any(dim=2))[:, :, None] & _between(marks.any(dim=1))[:, None, :]


def window_around(marks: Tensor) -> tuple[slice, slice]:
    """Return rows and columns that hold all frames' marks [N, h, w], some at least, and REACH."""
    rows, columns = marks.any(dim=2).any(dim=0), marks.any(dim=1).any(dim=0)
    return _reaching(rows), _reaching(columns)


def doubled(cells: slice) -> slice:
    """Return the same part of a grid twice as fine."""
    return slice(2 * cells.start, 2 * cells.stop)


def enlarged(marks: Tensor) -> Tensor:
    """Return marks [N, h, w] on a grid twice as fine."""
    return marks[:, :, None, :, None].expand(-1, -1, 2, -1, 2).flatten(3, 4).flatten(1, 2)


def _between(marks: Tensor) -> Tensor:
    """Return [N, L] bool, True from the first mark to the last of each row."""
    counts = marks.cumsum(dim=1)
    return (counts > 0) & ((counts < counts[:, -1:]) | marks)


def _reaching(marks: Tensor) -> slice:
    cells = torch.nonzero(marks)
    first, last = int(cells[0]), int(cells[-1])
    return slice(max(0, first - REACH), min(len(marks), last + 1 + REACH))

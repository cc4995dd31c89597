"""The sound side by itself, and those that teach the one that stays."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from avscli.networks.pcmanet.modules import SoundNaming


class SoundSide(nn.Module):
    """From log-mel windows to the names of sounds and of what could make them.

    Args:
        encoder: log-mel [N, 1, 96, 64] to embeddings [N, D].
        naming: of the possible sources; None for a network that names none.
        tag_head: names the sounds, in training only; from the features of the naming, or from
            the embeddings.
    """

    def __init__(self, encoder: nn.Module, naming: SoundNaming | None, tag_head: nn.Linear) -> None:
        super().__init__()
        self.encoder, self.naming, self.tag_head = encoder, naming, tag_head

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return logits of the sounds [N, sounds], and of the possible sources [N, K] or None."""
        embedding = self.encoder(log_mel)
        if self.naming is None:
            return self.tag_head(embedding), None
        features = self.naming.features(embedding)
        return self.tag_head(features), self.naming.names(features)


class SoundTeachers:
    """Trained sound sides whose mean is more often right than each of them.

    One network that learns this mean keeps most of the gain.

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv 1503.02531, with
    the temperature 1 and soft targets alone.

    Args:
        number: of teachers to be added before they teach; with 0 they never do.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._sides: list[SoundSide] = []

    @property
    def are_ready(self) -> bool:
        """Whether all are there, and any."""
        return 0 < self.number == len(self._sides)

    def add(self, side: SoundSide) -> None:
        """Keep a copy of a trained side that names sources."""
        teacher = copy.deepcopy(side).eval().requires_grad_(False)
        # as a network in training is, so that a resumed run repeats to the last bit
        self._sides.append(teacher.to(memory_format=torch.channels_last))  # type: ignore[call-overload]

    @torch.no_grad()
    def mean(self, log_mel: Tensor) -> Tensor:
        """Return the probability [N, K] of every source at the mean of the teachers' logits."""
        logits = [
            heard for _, heard in (side(log_mel) for side in self._sides) if heard is not None
        ]
        return torch.stack(logits).mean(dim=0).sigmoid()

    def state(self) -> list[dict[str, Tensor]]:
        """Return the weights of all that have been added."""
        return [side.state_dict() for side in self._sides]

    def load_state(self, state: Sequence[Mapping[str, Tensor]], *, like: SoundSide) -> None:
        """Take over what `state` returned, for sides built as ``like``."""
        self._sides = []
        for weights in state:
            self.add(like)
            self._sides[-1].load_state_dict(weights)

"""The sound side by itself: what it says of windows, and the tagger that it is not to forget."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from avscli.networks.pcmanet.sound_naming import SoundNaming


class SaidOfSounds(NamedTuple):
    """What a sound side says of N windows.

    Attributes:
        heard: [N, K] logits: could this source class make it? None where none are named.
        tags: [N, 527] logits of AudioSet's names; None from encoders that do not tag.
    """

    heard: Tensor | None
    tags: Tensor | None


class SoundSide(nn.Module):
    """From log-mel windows to the names of what could make the sounds.

    Args:
        encoder: log-mel patches [N, 1, ·, ·] to embeddings [N, D].
        naming: of the possible sources; None for a network that names none.
    """

    def __init__(self, encoder: nn.Module, naming: SoundNaming | None) -> None:
        super().__init__()
        self.encoder, self.naming = encoder, naming
        self.hears_tags = hasattr(encoder, "tags")

    def forward(self, log_mel: Tensor) -> SaidOfSounds:
        """Name windows [N, 1, ·, ·], the sources by what was learned from recordings alone."""
        embedding = self.encoder(log_mel)
        heard = None if self.naming is None else self.naming.of_recordings(embedding)
        tags = self.encoder.tags(embedding) if self.hears_tags else None  # type: ignore[operator]
        return SaidOfSounds(heard, tags)


def frozen_tagger(encoder: nn.Module) -> nn.Module | None:
    """Return a copy of an encoder that tags, as it is now, that will not learn; else None.

    Its answers are the aim of an encoder that is trained further, beside the labels: what few
    recordings teach would otherwise cost most of what millions have taught.

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv 1503.02531, with
    the temperature 1 and soft targets alone.
    """
    return copy.deepcopy(encoder).eval().requires_grad_(False) if hasattr(encoder, "tags") else None

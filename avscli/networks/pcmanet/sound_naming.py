"""What could make a sound: names learned from recordings, joined with what a tagger knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from avscli.audio.audioset import makers_of_names, telling_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_FEATURES = 256  # of the hidden layer: many more than names, an eighth of the embedding
_DROPOUT = 0.3  # there are few recordings of each class
_LIKENESS_SCALE = 0.3  # of cosines; from 0.2 to 0.3 nothing changed
_LEAST_LENGTH = 1e-12  # of a vector whose direction is asked for, as in `F.normalize`
_LEAST_LOGIT = -20.0  # of a class that no AudioSet name stands for
_LEAST_PROBABILITY = 1e-6  # whose logit, ±14, says enough


class SoundNaming(nn.Module):
    """Logits of the source classes that could make a sound.

    A second of sound is short to name. What is heard before and after it has a say as far as it
    sounds alike: in what it is, not in whether it is.

    Args:
        audio_features: D of the audio embedding.
        source_classes: names of the K classes.
        hears_tags: the encoder also names sounds as AudioSet does (`TagEvidence`).

    Attributes:
        usual: [256], what the hidden layer mostly gives, before its ReLU; likeness is told by how
            moments differ from it.
        evidence: joins the names learned from recordings with the tagger's; None without tags.
    """

    usual: Tensor

    def __init__(
        self, audio_features: int, source_classes: Sequence[str], *, hears_tags: bool
    ) -> None:
        super().__init__()
        self.register_buffer("usual", torch.zeros(_FEATURES))
        self.hidden = nn.Linear(audio_features, _FEATURES)
        self.dropout = nn.Dropout(_DROPOUT)
        self.names = nn.Linear(_FEATURES, len(source_classes))
        self.evidence = TagEvidence(source_classes) if hears_tags else None

    def features(self, embedding: Tensor) -> Tensor:
        """Map embeddings [N, D] to what the names are told by, [N, 256], non-negative."""
        features: Tensor = self.dropout(F.relu(self.hidden(embedding)))
        return features

    def of_recordings(self, embedding: Tensor) -> Tensor:
        """Map embeddings [N, D] to logits [N, K], by what was learned from recordings alone."""
        logits: Tensor = self.names(self.features(embedding))
        return logits

    @torch.no_grad()
    def add_shift(self, logit: float) -> None:
        """Have all classes said to be likelier by a logit, in place."""
        (self.names.bias if self.evidence is None else self.evidence.shift).add_(logit)

    def forward(self, moments: Tensor, tags: Tensor | None = None) -> Tensor:
        """Name the sounds of moments.

        Args:
            moments: [N, 1 + S, D] embeddings, of each moment and of S others of the same sound.
            tags: [N, 1 + S, 527] logits of AudioSet's names, for a naming that hears tags.

        Returns:
            [N, K] logits: the mean over all moments, weighted by their likeness to the first; as
            a whole lowered until none is above the largest of the first alone.
        """
        hidden = self.hidden(moments)  # [N, 1 + S, 256]
        each = self.names(self.dropout(F.relu(hidden)))
        if self.evidence is not None:
            assert tags is not None
            each = self.evidence(each, tags)
        if moments.shape[1] == 1:
            alone: Tensor = each[:, 0]
            return alone
        logits = each[:, 0]
        directions = F.normalize((hidden - self.usual).float(), dim=-1, eps=_LEAST_LENGTH)
        likeness = (directions * directions[:, :1]).sum(dim=-1)
        weights = (likeness / _LIKENESS_SCALE).softmax(dim=1)  # [N, 1 + S]
        mean = torch.einsum("ns,nsk->nk", weights, each)
        surer = mean.amax(dim=1, keepdim=True) - logits.amax(dim=1, keepdim=True)
        capped: Tensor = mean - surer.clamp_min(0.0)
        return capped


class TagEvidence(nn.Module):
    """Join what was learned from recordings with what a tagger of all sounds says.

    A class may make a sound if either says so: p = 1 − (1 − p_recordings)(1 − p_tags). What was
    learned from few recordings is doubted where the tags say something else. With *own* the
    largest logit among the AudioSet names that the class makes, and *rival* the largest among the
    telling names that it does not make::

        p_recordings = σ(a · learned + d · (own − rival) + c)
        p_tags       = σ(b · own + e)

    The numbers are few and are fitted on validation recordings, in training, so a sound that was
    never taught is named by its tags, or by nothing. Classes that no AudioSet name stands for are
    told by what was learned alone.

    Args:
        source_classes: names of the K classes.

    Attributes:
        recordings: [3] a, d, c.
        tags: [2] b, e.
        shift: [1] added to what both say together.
    """

    recordings: Tensor
    tags: Tensor
    shift: Tensor
    makers: Tensor
    is_telling: Tensor

    def __init__(self, source_classes: Sequence[str]) -> None:
        super().__init__()
        self.register_buffer("recordings", torch.tensor([1.0, 0.0, 0.0]))
        self.register_buffer("tags", torch.tensor([1.0, 0.0]))
        self.register_buffer("shift", torch.zeros(1))
        makers = torch.from_numpy(makers_of_names(source_classes))
        self.register_buffer("makers", makers, persistent=False)
        self.register_buffer("is_telling", torch.from_numpy(telling_names()), persistent=False)

    def own_and_rival(self, tags: Tensor) -> tuple[Tensor, Tensor]:
        """Return the largest logits of the names that each class makes, and does not make.

        Args:
            tags: [..., 527] logits.

        Returns:
            own, rival: [..., K] each; own is −20 where no name stands for a class.
        """
        makers = self.makers.T  # [K, 527]
        each = tags[..., None, :]
        own = each.masked_fill(~makers, -torch.inf).amax(dim=-1)
        rival = each.masked_fill(~self.is_telling | makers, -torch.inf).amax(dim=-1)
        return own.masked_fill(~makers.any(dim=1), _LEAST_LOGIT), rival

    def forward(self, learned: Tensor, tags: Tensor) -> Tensor:
        """Join logits [..., K] learned from recordings with logits [..., 527] of tags."""
        return self.joined(learned.float(), *self.own_and_rival(tags.float())) + self.shift

    def joined(self, learned: Tensor, own: Tensor, rival: Tensor) -> Tensor:
        """Return logits [..., K] that a class makes the sound, from [..., K] each."""
        a, d, c = self.recordings
        b, e = self.tags
        either = torch.stack((a * learned + d * (own - rival) + c, b * own + e))
        neither = (-either).sigmoid().prod(dim=0)
        joined = (1.0 - neither).clamp(_LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY).logit()
        return torch.where(self.makers.any(dim=0), joined, learned)

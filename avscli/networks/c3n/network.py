"""C3N: TPAVI's fusion of maps that a consensus of picture and sound has weighed.

Source: the published C3N (ZhaofengSHI/AVS-C3N) with VGGish and PVT-v2-b5, as described; written
from that description. Its label embeddings and its tag head are not public: `labels` and our own
taggers stand in their place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from avscli.networks.c3n.consensus import class_activation, gated
from avscli.networks.c3n.modules import AtrousPyramid
from avscli.networks.encoders import own_sounds, tags_heard
from avscli.networks.tpavi.losses import dice_loss, of_labelled
from avscli.networks.tpavi.network import TPAVI

if TYPE_CHECKING:
    from torch import Tensor, nn

    from avscli.datatypes import NetworkInput, NetworkOutput, NetworkSpec
    from avscli.networks.c3n.consensus import Activation
    from avscli.networks.losses import Supervision
    from avscli.networks.tpavi.modules import Fused


class C3N(TPAVI):
    """Consensus of picture and sound, class activation, and TPAVI's fusion.

    The classifier stays as it starts: the published training lets no loss reach it either.

    Args:
        spec, backbone, audio_encoder, audio_features: as `TPAVI`. Where the audio encoder is no
            tagger, all names are equally likely, and the picture decides alone.
        classifier: last map [N, C_4, ·, ·] to logits [N, K].
        similarity: [K, 527] float32, of the labels of both sides.
    """

    projection = AtrousPyramid
    similarity: Tensor

    def __init__(
        self,
        spec: NetworkSpec,
        backbone: nn.Module,
        audio_encoder: nn.Module | None,
        *,
        audio_features: int,
        classifier: nn.Module,
        similarity: Tensor,
    ) -> None:
        super().__init__(spec, backbone, audio_encoder, audio_features=audio_features)
        self.classifier = classifier.requires_grad_(requires_grad=False)
        self.register_buffer("similarity", similarity)

    def forward(self, inputs: NetworkInput) -> NetworkOutput:
        """Segment a batch of clips; see `NetworkInput` and `NetworkOutput` for shapes.

        Raises:
            WeightsError: as `encode_sound`.
        """
        audio = own_sounds(self.audio_encoder, inputs)
        tags = tags_heard(self.audio_encoder, audio)
        fused = self.fuse(inputs.frames, audio, inputs.valid, tags)
        return self.output_of(fused, inputs.valid, tags)

    def losses(self, inputs: NetworkInput, truth: Supervision) -> dict[str, Tensor]:
        """Return `entropy` of masks and, with one class, ``dice``; all of labelled steps.

        Args:
            inputs: B clips of T steps.
            truth: of these.
        """
        audio = own_sounds(self.audio_encoder, inputs)
        tags = tags_heard(self.audio_encoder, audio)
        scores = self.fuse(inputs.frames, audio, inputs.valid, tags).scores
        losses, logits = self.entropy(scores, truth), self.reading.logits(scores)
        if logits.shape[1] == 1:
            losses["dice"] = of_labelled(dice_loss, logits, truth)
        return losses

    def fuse(
        self, frames: Tensor, audio: Tensor, valid: Tensor, tags: Tensor | None = None
    ) -> Fused:
        """Segment clips whose sound is already encoded, and keep what a loss may look at.

        Args:
            frames, audio, valid: as `TPAVI.fuse`.
            tags: [B, T, 527] logits of AudioSet's names; None where nobody tells.
        """
        seen = self.activate(frames.flatten(0, 1), None if tags is None else tags.flatten(0, 1))
        weighed = map(gated, seen.maps, seen.weights)
        features = [project(maps) for project, maps in zip(self.project, weighed, strict=True)]
        return self.decode(features, audio, valid)

    def activate(self, frames: Tensor, tags: Tensor | None) -> Activation:
        """Encode frames [N, 3, h, w] and find what speaks for the class of each.

        Args:
            frames: normalised.
            tags: [N, 527] logits; None for equally likely names.
        """
        if tags is None:
            tags = torch.zeros(len(frames), self.similarity.shape[1], device=frames.device)
        return class_activation(self.backbone, self.classifier, frames, tags, self.similarity)

"""TPAVI: the baseline of audio-visual segmentation.

Source: Zhou et al., "Audio-Visual Segmentation", ECCV 2022 (arXiv 2207.05042), and its semantic
sequel, arXiv 2301.13190. The ``official`` variant is the published code's exact forward pass;
``corrected`` listens to no padded step, and to all steps of a clip however many there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from avscli.networks.dilation import DilatedSum
from avscli.networks.encoders import AudioVisualNetwork, channels_of, own_sounds, tags_heard
from avscli.networks.evidence import ScoreReading
from avscli.networks.losses import evidence_losses
from avscli.networks.tpavi.losses import audio_visual_matching, of_labelled, pixel_entropy
from avscli.networks.tpavi.modules import InteractingDecoder, listening_shares

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from avscli.datatypes import NetworkInput, NetworkOutput, NetworkSpec
    from avscli.networks.losses import Supervision
    from avscli.networks.tpavi.modules import Fused


class TPAVI(AudioVisualNetwork):
    """Temporal pixel-wise audio-visual interaction.

    With ``padding = "zeros_with_flag"`` in the spec, maps of padded steps are kept at zero and
    sounds are projected without bias, as the published 71-class form has it.

    Args:
        spec: `spec.architecture` names ``variant`` (``official`` or ``corrected``), ``channels``
            and, where clips are cut into parts that do not hear each other, ``steps_together``;
            ``uncertainty`` as in `ScoreReading`.
        backbone, audio_encoder: as `AudioVisualNetwork`.
        audio_features: D.
    """

    projection: Callable[[int, int], nn.Module] = DilatedSum  # of the encoder's maps to C channels

    def __init__(
        self,
        spec: NetworkSpec,
        backbone: nn.Module,
        audio_encoder: nn.Module | None,
        *,
        audio_features: int,
    ) -> None:
        super().__init__(spec, backbone, audio_encoder)
        C = channels_of(spec.architecture)
        self.gates_padding = spec.padding == "zeros_with_flag"
        inputs: tuple[int, ...] = backbone.channels  # type: ignore[assignment]
        self.project = nn.ModuleList(self.projection(n, C) for n in inputs)
        self.reading = ScoreReading.of(spec)
        self.decoder = InteractingDecoder(
            C, audio_features, self.reading.num_scores, sound_bias=not self.gates_padding
        )

    def forward(self, inputs: NetworkInput) -> NetworkOutput:
        """Segment a batch of clips; see `NetworkInput` and `NetworkOutput` for shapes.

        There is one stage, at the frames' own size.

        Raises:
            WeightsError: as `encode_sound`.
        """
        audio = own_sounds(self.audio_encoder, inputs)
        fused = self.fuse(inputs.frames, audio, inputs.valid)
        return self.output_of(fused, inputs.valid, tags_heard(self.audio_encoder, audio))

    def output_of(self, fused: Fused, valid: Tensor, heard: Tensor | None) -> NetworkOutput:
        """Return what was fused for clips with [B, T] steps, and what was heard, as an output."""
        scores = fused.scores.reshape(*valid.shape, *fused.scores.shape[1:])
        return self.reading.output([scores], scores.new_zeros(*valid.shape, 0), heard=heard)

    def losses(self, inputs: NetworkInput, truth: Supervision) -> dict[str, Tensor]:
        """Return `entropy` of masks, and ``matching`` of what is marked with what is heard.

        The first is of labelled steps. The second (`audio_visual_matching`) needs no labels: it is
        a mean over valid steps, counted as often as steps are labelled.

        Args:
            inputs: B clips of T steps.
            truth: of these.
        """
        audio = own_sounds(self.audio_encoder, inputs)
        fused = self.fuse(inputs.frames, audio, inputs.valid)
        logits = self.reading.logits(fused.scores)
        steps = inputs.valid.flatten().float()
        matching = (audio_visual_matching(logits, fused.maps, fused.sounds) * steps).sum()
        mean = matching / steps.sum().clamp_min(1.0)
        return {**self.entropy(fused.scores, truth), "matching": mean * truth.labelled.sum()}

    def entropy(self, scores: Tensor, truth: Supervision) -> dict[str, Tensor]:
        """Return ``entropy`` of scores [B·T, ·, H, W], and of evidence its ``divergence``."""
        if self.reading.evidence is None:
            return {"entropy": of_labelled(pixel_entropy, scores, truth)}
        concentration = self.reading.concentration(scores)
        of_steps = concentration.reshape(*truth.labelled.shape, *concentration.shape[1:])
        told = evidence_losses(of_steps, truth)
        return {"entropy": told.cross_entropy, "divergence": told.divergence}

    def fuse(self, frames: Tensor, audio: Tensor, valid: Tensor) -> Fused:
        """Segment clips whose sound is already encoded, and keep what a loss may look at.

        Args:
            frames: [B, T, 3, h, w] float32, normalised.
            audio: [B, T, D] audio embeddings.
            valid: [B, T] bool.
        """
        features = [
            project(maps)
            for project, maps in zip(self.project, self.backbone(frames.flatten(0, 1)), strict=True)
        ]
        return self.decode(features, audio, valid)

    def decode(self, features: list[Tensor], audio: Tensor, valid: Tensor) -> Fused:
        """Fuse projected maps, four of [B·T, C, h_k, w_k], with sounds [B, T, D]."""
        settings = self.spec.architecture
        together = settings.get("steps_together")
        shares = listening_shares(
            valid,
            steps_together=None if together is None else int(together),
            masks_padding=settings["variant"] != "official",
        )
        sound, flags = audio.flatten(0, 1), None
        if self.gates_padding:
            flags = valid.flatten().to(sound.dtype)
            sound = sound * flags[:, None]
        fused: Fused = self.decoder(features, sound, shares.to(sound.dtype), flags=flags)
        return fused

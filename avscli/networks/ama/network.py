"""AMA + UE: sound-guided groups in every level of the picture encoder, doubt where sounds change.

Source: Liu et al., "Robust Audio-Visual Segmentation via Audio-Guided Visual Convergent Alignment",
arXiv 2503.12847 (CVPR 2025). After the paper: there is no code, and what we read of it names the
steps and two formulas but hardly a number. What is ours is marked here, in `alignment.py` and in
`avscli.networks.evidence`, and is a setting where it is a number.

Frames of a batch of clips travel flattened: N = B·T, clip by clip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from avscli.datatypes import Evidence, NetworkOutput
from avscli.networks.ama.alignment import AudioGuidedAlignment, Grouping
from avscli.networks.encoders import (
    AudioVisualNetwork,
    channels_of,
    embedding_size,
    own_sounds,
    tags_heard,
)
from avscli.networks.evidence import ScoreReading, evident_output
from avscli.networks.layers import Attention, conv_norm_relu, count_of, heads_of, resize
from avscli.networks.losses import evidence_losses, mask_loss, overlap_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from avscli.datatypes import NetworkInput, NetworkSpec
    from avscli.networks.losses import Supervision

STRIDES = (4, 8, 16, 32)
_MOST = 256  # groups and neighbours; a damaged number must not fill the memory


class Fused(NamedTuple):
    """What picture and sound gave together, for N frames.

    Attributes:
        logits: [N, C, h, w] of the mask head, at stride 4.
        scores: [N, K, h, w] of the uncertainty head; None in a network without one.
        contrast: [N] mean over the levels, see `avscli.networks.ama.alignment.contrast_of`.
    """

    logits: Tensor
    scores: Tensor | None
    contrast: Tensor


class AMA(AudioVisualNetwork):
    """Audio-guided modality alignment, and uncertainty estimation.

    The mask decoder is unknown: ours adds the levels from coarse to fine, and lets the steps of a
    clip attend to each other at stride 8, each position to the same position.

    Args:
        spec: ``spec.architecture`` names ``channels`` (of the decoder) and ``heads``, and
            ``groups``, ``neighbours``, ``contrast_share`` and ``contrast_temperature`` where they
            differ from the defaults of `Grouping`; ``uncertainty = "none"`` leaves the uncertainty
            head out, ``evidence`` as in `ScoreReading`.
        backbone, audio_encoder: as `AudioVisualNetwork`. The backbone takes a `StageHook`.
    """

    def __init__(
        self, spec: NetworkSpec, backbone: nn.Module, audio_encoder: nn.Module | None
    ) -> None:
        super().__init__(spec, backbone, audio_encoder)
        self.reading = ScoreReading.of(spec, unless_stated="evidential")
        settings = spec.architecture
        C = channels_of(settings)
        heads = heads_of(settings, C)
        grouping = grouping_of(spec)
        inputs: tuple[int, ...] = backbone.channels  # type: ignore[assignment]
        strides = (*STRIDES[:3], int(settings.get("output_stride", STRIDES[3])))
        self.alignment = nn.ModuleList(
            AudioGuidedAlignment(
                n,
                embedding_size(audio_encoder),
                heads=heads_of(settings, n),
                stride=stride,
                grouping=grouping,
            )
            for n, stride in zip(inputs, strides, strict=True)
        )
        self.project = nn.ModuleList(conv_norm_relu(n, C, 1) for n in inputs)
        self.merge = nn.ModuleList(conv_norm_relu(C, C, 3) for _ in inputs)
        self.steps_norm = nn.LayerNorm(C)
        self.steps = Attention(C, heads)
        self.mask_head = _head(C, spec.num_classes)
        self.evidence_head = None
        if self.reading.evidence:
            self.evidence_head = _head(C, self.reading.num_scores)

    def forward(self, inputs: NetworkInput) -> NetworkOutput:
        """Segment a batch of clips; see `NetworkInput` and `NetworkOutput` for shapes.

        There is one stage, at stride 4.

        Raises:
            WeightsError: as `encode_sound`.
        """
        sound = own_sounds(self.audio_encoder, inputs)
        return self.output_of(self.fuse(inputs.frames, sound, inputs.valid), sound)

    def output_of(self, fused: Fused, sound: Tensor) -> NetworkOutput:
        """Return what `fuse` gave for sounds [B, T, D] as the output of a network."""
        B, T, _ = sound.shape
        heard = tags_heard(self.audio_encoder, sound)
        selected = fused.logits.new_zeros(B, T, 0)
        logits = fused.logits.float().reshape(B, T, *fused.logits.shape[1:])
        if fused.scores is None:
            return NetworkOutput((logits,), selected, heard=heard)
        concentration = self.reading.concentration(fused.scores)
        of_steps = concentration.reshape(B, T, *concentration.shape[1:])
        return evident_output(Evidence((logits,), (of_steps,)), selected, heard=heard)

    def losses(self, inputs: NetworkInput, truth: Supervision) -> dict[str, Tensor]:
        """Return what the mask, the contrast and the evidence cost.

        The paper adds cross-entropy, Dice and IoU of the mask, λ times the contrast, and μ times
        the divergence of the evidence. That the evidence itself is taught by the cross-entropy
        expected over it, and all weights, are ours: recipes name them in ``loss_weights``.

        Args:
            inputs: B clips.
            truth: of these.

        Returns:
            ``mask`` (of masks with their Dice), ``contrast``, and with an uncertainty head
            ``evidence`` and ``divergence``: sums over the labelled steps.
        """
        sound = own_sounds(self.audio_encoder, inputs)
        fused = self.fuse(inputs.frames, sound, inputs.valid)
        logits = fused.logits.float().reshape(*truth.labelled.shape, *fused.logits.shape[1:])
        labelled = truth.labelled.flatten().to(fused.contrast.dtype)
        mask = mask_loss(logits, truth)
        if logits.shape[2] == 1 and truth.labelled.any():
            mask = mask + (1.0 - overlap_of(logits, truth).dice(truth.smoothing_pixels)).sum()
        told = {
            "mask": mask,
            "contrast": (fused.contrast * labelled).sum(),
        }
        if fused.scores is not None:
            concentration = self.reading.concentration(fused.scores)
            of_steps = concentration.reshape(*truth.labelled.shape, *concentration.shape[1:])
            evidence = evidence_losses(of_steps, truth)
            told |= {"evidence": evidence.cross_entropy, "divergence": evidence.divergence}
        return told

    def fuse(self, frames: Tensor, sound: Tensor, valid: Tensor) -> Fused:
        """Segment clips whose sound is already encoded, and keep what a loss may look at.

        Args:
            frames: [B, T, 3, h, w] float32, normalised.
            sound: [B, T, D] audio embeddings.
            valid: [B, T] bool.
        """
        heard, contrasts = sound.flatten(0, 1), []

        def align(level: int, maps: Tensor) -> Tensor:
            aligned = self.alignment[level](maps, heard)
            contrasts.append(aligned.contrast)
            aligned_maps: Tensor = aligned.maps
            return aligned_maps

        fused = self.decode(self.backbone(frames.flatten(0, 1), align), valid)
        scores = None if self.evidence_head is None else self.evidence_head(fused)
        contrast = torch.stack(contrasts).float().mean(dim=0)
        return Fused(self.mask_head(fused), scores, contrast)

    def decode(self, maps: Sequence[Tensor], valid: Tensor) -> Tensor:
        """Merge four maps, finest first, into one [N, C, h, w] at stride 4.

        Args:
            maps: aligned, [N, ·, h_k, w_k].
            valid: [B, T] bool.
        """
        levels = [project(m) for project, m in zip(self.project, maps, strict=True)]
        fused: Tensor = self.merge[3](levels[3])
        for k in (2, 1, 0):
            fused = self.merge[k](levels[k] + resize(fused, levels[k].shape[-2:]))
            if k == 1:
                fused = self._between_steps(fused, valid)
        return fused

    def _between_steps(self, maps: Tensor, valid: Tensor) -> Tensor:
        """Let each position of [B·T, C, h, w] attend to itself in the valid steps of its clip."""
        B, T = valid.shape
        N, C, h, w = maps.shape
        tokens = maps.reshape(B, T, C, h * w).permute(0, 3, 1, 2).flatten(0, 1)  # [B·h·w, T, C]
        # A padded step attends to itself too, so that none is left without anybody to ask.
        own = torch.eye(T, dtype=torch.bool, device=valid.device)
        allowed = (valid[:, None, :] | own).repeat_interleave(h * w, dim=0)[:, None]
        normed = self.steps_norm(tokens)
        attended: Tensor = self.steps(normed, normed, allowed)
        tokens = tokens + attended
        return tokens.reshape(B, h * w, T, C).permute(0, 2, 3, 1).reshape(N, C, h, w)


def grouping_of(spec: NetworkSpec) -> Grouping:
    """Return how a spec wants tokens to be grouped.

    Raises:
        ValueError: a number that cannot be.
    """
    settings, ours = spec.architecture, Grouping()
    share = float(settings.get("contrast_share", ours.contrast_share))
    temperature = float(settings.get("contrast_temperature", ours.contrast_temperature))
    if not 0.0 < share <= 0.5 or not 0.0 < temperature < float("inf"):
        raise ValueError(
            f"contrast_share must lie in (0, 0.5] and contrast_temperature be positive, "
            f"got {share}, {temperature}"
        )
    return Grouping(
        num_groups=max(1, count_of(settings, "groups", ours.num_groups, _MOST)),
        num_neighbours=max(1, count_of(settings, "neighbours", ours.num_neighbours, _MOST)),
        contrast_share=share,
        contrast_temperature=temperature,
    )


def _head(channels: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        *conv_norm_relu(channels, channels // 2, 3), nn.Conv2d(channels // 2, outputs, 1)
    )

"""The parts of TPAVI, under the paper's names.

Source: Zhou et al., "Audio-Visual Segmentation", ECCV 2022 (arXiv 2207.05042), section 3, and the
layout of the published checkpoints. Written from the paper; parameter names are ours
(`avscli.networks.tpavi.remap` knows the published ones).

Frames of a batch of clips travel flattened: N = B·T, clip by clip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

STAGES = (1, 2, 3, 4)  # fine to coarse; strides 4, 8, 16, 32
_HEAD_CHANNELS = 32  # of the head's last hidden map, whatever the width of the network


class TemporalPixelwiseInteraction(nn.Module):
    """TPAVI: every pixel asks the sounds of the steps, and takes what their pictures answer.

    The paper compares each of a clip's T·h·w pixels (``theta``) with as many copies of the sounds
    (``phi``) and mixes as many values (``g``): a product of two matrices with (T·h·w)² entries. The
    copies of one step are alike and there is no softmax, so both products are linear: a pixel needs
    T scores, and T vectors to mix by them. That is what is computed here, in training too. Every
    map is affine on top, so ``theta``, ``g`` and their mixture never stand at a pixel.

    Args:
        channels: C of the maps; the inner width is half of it.
        audio_features: D of the sounds.
        sound_bias: of the projection of the sounds; without, a silent zero stays zero.

    Source: arXiv 2207.05042, equation 1.
    """

    def __init__(self, channels: int, audio_features: int, *, sound_bias: bool) -> None:
        super().__init__()
        inner = channels // 2
        self.align = nn.Linear(audio_features, channels, bias=sound_bias)
        self.theta = nn.Linear(channels, inner)
        self.phi = nn.Linear(channels, inner)
        self.g = nn.Linear(channels, inner)
        self.w_z = nn.Linear(inner, channels)
        self.w_z_norm = nn.BatchNorm2d(channels)
        # Both start at zero, so the block starts as the norm of its input.
        nn.init.zeros_(self.w_z_norm.weight)
        self.norm = nn.LayerNorm(channels)

    def forward(self, maps: Tensor, sound: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        """Let maps and sounds of clips interact.

        Args:
            maps: [B·T, C, h, w].
            sound: [B·T, D].
            shares: [B, T, T], with what share each step (second axis) listens to each (third).

        Returns:
            [B·T, C, h, w] maps, and [B·T, C] the projected sounds.
        """
        N, C, h, w = maps.shape
        B, T, _ = shares.shape
        pixels = maps.permute(0, 2, 3, 1).reshape(B, T * h * w, C)
        projected: Tensor = self.align(sound)
        phi = self.phi(projected)  # [B·T, C / 2]
        asked = F.linear(phi, self.theta.weight.mT).reshape(B, T, C)
        offset = F.linear(phi, self.theta.bias[None]).reshape(B, 1, T)
        answer = F.linear(self.g(maps.mean(dim=(2, 3))), self.w_z.weight).reshape(B, T, C)
        scores = pixels @ asked.mT + offset  # [B, T·h·w, T]
        scores = (scores.reshape(B, T, h * w, T) * shares[:, :, None]).flatten(1, 2)
        branch = scores @ answer + self.w_z.bias  # [B, T·h·w, C]
        branch = self.w_z_norm(branch.reshape(-1, C, 1, 1)).reshape_as(branch)
        mixed: Tensor = self.norm(pixels + branch)
        return mixed.reshape(N, h, w, C).permute(0, 3, 1, 2), projected


class ResidualUnit(nn.Module):
    """Two 3×3 convolutions around a shortcut that is rectified, as in the published network."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Map [N, C, h, w] to the same shape."""
        rectified = F.relu(maps)
        changed: Tensor = self.conv2(F.relu(self.conv1(rectified)))
        return changed + rectified


class FeatureFusion(nn.Module):
    """One step of the decoder: add a stage to what comes from the coarser ones, and enlarge.

    Args:
        channels: C.
        deepest: there is nothing coarser.
    """

    def __init__(self, channels: int, *, deepest: bool) -> None:
        super().__init__()
        self.own = None if deepest else ResidualUnit(channels)
        self.joined = ResidualUnit(channels)

    def forward(self, maps: Tensor, coarser: Tensor | None, size: tuple[int, int]) -> Tensor:
        """Fuse [N, C, h, w], and the coarser stages' [N, C, h, w], into [N, C, *size]."""
        if self.own is not None:
            assert coarser is not None
            maps = coarser + self.own(maps)
        joined: Tensor = self.joined(maps)
        if joined.shape[-2:] == size:
            return joined
        return F.interpolate(joined, size=size, mode="bilinear", align_corners=True)


class Fused(NamedTuple):
    """What picture and sound gave together, for N frames.

    Attributes:
        scores: [N, ·, H, W] at the frames' own size: logits, unless they are read otherwise.
        maps: four, fine to coarse, [N, C, h_k, w_k]: after TPAVI, rectified.
        sounds: four, [N, C]: as each stage's TPAVI projects them.
    """

    scores: Tensor
    maps: list[Tensor]
    sounds: list[Tensor]


class InteractingDecoder(nn.Module):
    """TPAVI at four stages, then coarse to fine up to the frames' own size.

    Args:
        channels: C.
        audio_features: D of the sounds.
        num_scores: of the last map.
        sound_bias: as in `TemporalPixelwiseInteraction`.
    """

    def __init__(
        self, channels: int, audio_features: int, num_scores: int, *, sound_bias: bool
    ) -> None:
        super().__init__()
        self.tpavi = nn.ModuleList(
            TemporalPixelwiseInteraction(channels, audio_features, sound_bias=sound_bias)
            for _ in STAGES
        )
        self.paths = nn.ModuleList(FeatureFusion(channels, deepest=k == 4) for k in STAGES)
        self.near = nn.Conv2d(channels, channels // 2, 3, padding=1)
        self.far = nn.Conv2d(channels // 2, _HEAD_CHANNELS, 3, padding=1)
        self.scores = nn.Conv2d(_HEAD_CHANNELS, num_scores, 1)

    def forward(
        self,
        features: Sequence[Tensor],
        sound: Tensor,
        shares: Tensor,
        *,
        flags: Tensor | None = None,
    ) -> Fused:
        """Fuse and decode.

        Args:
            features: four maps, fine to coarse, [B·T, C, h_k, w_k].
            sound: [B·T, D].
            shares: [B, T, T] as in `TemporalPixelwiseInteraction`.
            flags: [B·T] 0 at padded steps, whose maps are kept at zero throughout; else 1. None
                treats all steps alike.
        """
        gate = None if flags is None else flags[:, None, None, None]

        def gated(maps: Tensor) -> Tensor:
            return maps if gate is None else maps * gate

        maps, sounds = [], []
        for block, of_stage in zip(self.tpavi, features, strict=True):
            mixed, projected = block(gated(of_stage), sound, shares)
            maps.append(F.relu(gated(mixed)))
            sounds.append(projected)
        path: Tensor | None = None
        for k in reversed(range(len(STAGES))):
            h, w = maps[max(k - 1, 0)].shape[-2:]
            size = (h, w) if k > 0 else (2 * h, 2 * w)
            path = gated(self.paths[k](maps[k], path, size))
        assert path is not None
        near = F.interpolate(self.near(path), scale_factor=2, mode="bilinear", align_corners=False)
        scores = gated(self.scores(F.relu(self.far(near))))
        return Fused(scores, maps, sounds)


def listening_shares(valid: Tensor, *, steps_together: int | None, masks_padding: bool) -> Tensor:
    """Return [B, T, T] float32, with what share each step listens to each.

    Args:
        valid: [B, T] bool.
        steps_together: a clip is cut into so many steps that know nothing of the others; None
            leaves it whole.
        masks_padding: nobody listens to padded steps; else they count as any other.
    """
    T = valid.shape[1]
    heard = valid if masks_padding else torch.ones_like(valid)
    part = torch.arange(T, device=valid.device) // (steps_together or T)
    listens = (part[:, None] == part) & heard[:, None, :]  # [B, T, T]
    return listens / listens.sum(dim=2, keepdim=True).clamp_min(1)

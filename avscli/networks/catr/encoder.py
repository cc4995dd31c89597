"""The decoupled audio-video encoder: one frame with all sounds, then all frames with their sounds.

Source: Li et al., "CATR: Combinatorial-Dependence Audio-Queried Transformer for Audio-Visual Video
Segmentation", arXiv 2309.09709. Where its code and its text differ, the text is the ``corrected``
variant (docs/networks.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from avscli.networks.catr.attention import Attention, EncoderLayer, Memory, sine_places

if TYPE_CHECKING:
    from torch import Tensor

    from avscli.networks.catr.attention import LayerSizes

LAYERS = 3  # the gates join exactly three


class ClipTokens(NamedTuple):
    """Clips as tokens, L = h · w of every frame and one of every sound.

    Attributes:
        picture: [B, T, L, C].
        sound: [B, T, C].
        grid_hw: (h, w).
        valid: [B, T] bool, steps that may be attended to; None for all of them.
    """

    picture: Tensor
    sound: Tensor
    grid_hw: tuple[int, int]
    valid: Tensor | None

    def per_frame(self) -> Memory:
        """Return each frame's L tokens with the T sounds of its clip, [B·T, L + T, C].

        Sounds have no place.
        """
        B, T, L, C = self.picture.shape
        every_sound = self.sound[:, None].expand(-1, T, -1, -1)  # [B, T, T, C]
        tokens = torch.cat((self.picture, every_sound), dim=2).flatten(0, 1)
        places = torch.cat((self._places(), tokens.new_zeros(T, C)))
        if self.valid is None:
            return Memory(tokens, places, None)
        pixels = self.valid.new_ones(B * T, L)
        return Memory(tokens, places, torch.cat((pixels, _each_frame(self.valid)), dim=1))

    def all_pixels(self) -> Memory:
        """Return the tokens of all frames of a clip, [B, T·L, C]."""
        T, L = self.picture.shape[1:3]
        valid = None if self.valid is None else self.valid.repeat_interleave(L, dim=1)
        return Memory(self.picture.flatten(1, 2), self._places().repeat(T, 1), valid)

    def all_sounds(self) -> Memory:
        """Return the sounds of a clip, [B, T, C], without places."""
        return Memory(self.sound, torch.zeros_like(self.sound[0]), self.valid)

    def _places(self) -> Tensor:
        return sine_places(*self.grid_hw, self.picture.shape[-1], like=self.picture)


class SpatialEncoder(nn.ModuleList):
    """Self-attention within each frame and all sounds of its clip."""

    def __init__(self, sizes: LayerSizes) -> None:
        super().__init__(EncoderLayer(sizes) for _ in range(LAYERS))

    def forward(self, clips: ClipTokens) -> Memory:
        """Return the memory of each frame, [B·T, L + T, C] tokens."""
        memory = clips.per_frame()
        for layer in self:
            memory = memory._replace(tokens=layer(memory))
        return memory


class TemporalLayer(nn.Module):
    """Attention within frames, then picture and sound of the whole clip ask each other.

    Args:
        sizes: as everywhere.
        official: the clip's sounds are those that its first frame saw, instead of each frame's own.
        returns_sound: compute what the sounds become, which only another layer reads.
    """

    def __init__(self, sizes: LayerSizes, *, official: bool, returns_sound: bool) -> None:
        super().__init__()
        self.official = official
        self.within = EncoderLayer(sizes)
        self.picture_asks = Attention(sizes)
        self.sound_asks = Attention(sizes) if returns_sound else None

    def forward(self, clips: ClipTokens) -> ClipTokens:
        """Return clips whose tokens were multiplied by the square of what they heard and saw."""
        B, T, L, C = clips.picture.shape
        tokens = self.within(clips.per_frame()).reshape(B, T, L + T, C)
        picture, sounds = tokens.split((L, T), dim=2)
        steps = torch.arange(T, device=tokens.device)
        sound = sounds[:, 0] if self.official else sounds[:, steps, steps]
        seen = clips._replace(picture=picture, sound=sound)
        heard = self.picture_asks.attend(picture.flatten(1, 2), seen.all_sounds())
        picture = picture * heard.square().reshape(picture.shape)
        if self.sound_asks is not None:
            shown = self.sound_asks.attend(sound, seen._replace(picture=picture).all_pixels())
            sound = sound * shown.square()
        return clips._replace(picture=picture, sound=sound)


class TemporalEncoder(nn.Module):
    """Three layers over whole clips, joined by two gates.

    A gate is one number for each frame, the mean of a sigmoid over its pixels.

    Args:
        sizes: as everywhere.
        official: as in `TemporalLayer`; also, the second gate is the first one's sigmoid, averaged
            over both of its channels, instead of a channel of its own.
    """

    def __init__(self, sizes: LayerSizes, *, official: bool) -> None:
        super().__init__()
        self.official = official
        self.layers = nn.ModuleList(
            TemporalLayer(sizes, official=official, returns_sound=number < LAYERS)
            for number in range(1, LAYERS + 1)
        )
        C = sizes.channels
        self.gates = nn.Conv2d(2 * C, 2, 3, padding=1)
        self.join = nn.ModuleList(
            nn.Sequential(nn.Conv2d(C, C, 3, padding=1), nn.BatchNorm2d(C), nn.PReLU())
            for _ in range(2)
        )

    def forward(self, clips: ClipTokens) -> Tensor:
        """Return fused maps [B·T, C, h, w]."""
        maps = []
        for layer in self.layers:
            clips = layer(clips)
            maps.append(_to_maps(clips))
        first, second, third = maps
        gates = self._opened(first, second)
        joined = self.join[0](gates[:, :1] * second)
        if self.official:
            gate = gates.sigmoid().mean(dim=1, keepdim=True)
        else:
            gate = self._opened(second, third)[:, 1:]
        fused: Tensor = self.join[1](joined + gate * third)
        return fused

    def _opened(self, before: Tensor, after: Tensor) -> Tensor:
        """Return [N, 2, 1, 1] in (0, 1): how much of two maps [N, C, h, w] passes."""
        logits = self.gates(torch.cat((before, after), dim=1))
        opened: Tensor = logits.sigmoid().mean(dim=(2, 3), keepdim=True)
        return opened


def _to_maps(clips: ClipTokens) -> Tensor:
    """Return the picture of clips as maps [B·T, C, h, w]."""
    B, T, _, C = clips.picture.shape
    return clips.picture.transpose(2, 3).reshape(B * T, C, *clips.grid_hw)


def _each_frame(valid: Tensor) -> Tensor:
    """Return [B·T, T]: for each frame, which sounds of its clip are valid."""
    return valid.repeat_interleave(valid.shape[1], dim=0)

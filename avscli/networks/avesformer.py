"""AVESFormer: audio-visual segmentation in real time, by prompts around the sound and early focus.

Source: Wang et al., "AVESFormer: Efficient Transformer Design for Real-Time Audio-Visual
Segmentation", arXiv 2408.01708. After the paper: its code was never published, and what we read of
it says what the parts are for and how they are joined, but no sizes. Numbers of prompts, heads,
blocks and channels, the kind of convolution blocks, the self-attention of late blocks, how levels
are merged and the head are defaults of ours; each is a setting or is marked below.

The paper's diagnosis: with one sound token a frame, attention of pixels over sound is a softmax
over one entry. It is 1 whatever a pixel asks, and every pixel is given the same vector. So the
sound is placed among learned prompts, and what pixels ask are the several tokens this gives. And
attention of fine maps turned out to look at close neighbours only, which convolutions do for less.

Frames of a batch of clips travel flattened: N = B·T. There is no way from one step to another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from avscli.networks.encoders import (
    AudioVisualNetwork,
    channels_of,
    embedding_size,
    own_sounds,
    picture_encoder,
    sound_encoder,
    tags_heard,
)
from avscli.networks.evidence import ScoreReading
from avscli.networks.layers import Attention, conv_norm_relu, count_of, heads_of, resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from avscli.datatypes import NetworkInput, NetworkOutput, NetworkSpec

NUM_PROMPTS = 16  # ours
NUM_LATE_BLOCKS = 1  # of each of the two late levels; ours
NUM_EARLY_BLOCKS = 1  # of each of the two early levels; ours
FEED_FORWARD_RATIO = 2  # ours
_EARLY_LEVELS = 2  # of the four, strides 4 and 8: they are too fine for attention
_MOST = 256  # prompts and blocks; a damaged number must not fill the memory


class AVESFormer(AudioVisualNetwork):
    """Prompt query generator and early focus decoder on any encoders.

    Args:
        spec: ``spec.architecture`` names ``channels`` and ``heads``, and ``prompts``,
            ``late_blocks`` and ``early_blocks`` where they differ from our defaults;
            ``uncertainty`` as in `ScoreReading`.
        backbone, audio_encoder: as `AudioVisualNetwork`.
    """

    def __init__(
        self, spec: NetworkSpec, backbone: nn.Module, audio_encoder: nn.Module | None
    ) -> None:
        super().__init__(spec, backbone, audio_encoder)
        self.reading = ScoreReading.of(spec)
        settings = spec.architecture
        C = channels_of(settings)
        heads = heads_of(settings, C)
        self.queries = PromptQueryGenerator(
            embedding_size(audio_encoder),
            C,
            heads=heads,
            num_prompts=count_of(settings, "prompts", NUM_PROMPTS, _MOST),
        )
        inputs: tuple[int, ...] = backbone.channels  # type: ignore[assignment]
        self.project = nn.ModuleList(conv_norm_relu(n, C, 1) for n in inputs)
        late = count_of(settings, "late_blocks", NUM_LATE_BLOCKS, _MOST)
        early = count_of(settings, "early_blocks", NUM_EARLY_BLOCKS, _MOST)
        self.late = nn.ModuleList(
            nn.ModuleList(LateBlock(C, heads) for _ in range(late)) for _ in inputs[_EARLY_LEVELS:]
        )
        self.early = nn.ModuleList(
            nn.Sequential(*(EarlyBlock(C) for _ in range(early))) for _ in inputs[:_EARLY_LEVELS]
        )
        self.head = nn.Sequential(EarlyBlock(C), nn.Conv2d(C, self.reading.num_scores, 1))

    def forward(self, inputs: NetworkInput) -> NetworkOutput:
        """Segment a batch of clips, frame by frame; see `NetworkInput` and `NetworkOutput`.

        There is one stage, at stride 4.

        Raises:
            WeightsError: as `encode_sound`.
        """
        B, T = inputs.valid.shape
        sound = own_sounds(self.audio_encoder, inputs)
        maps = self.backbone(inputs.frames.flatten(0, 1))
        scores = self.decode(maps, self.queries(sound.flatten(0, 1)))
        return self.reading.output(
            [scores.reshape(B, T, *scores.shape[1:])],
            scores.new_zeros(B, T, 0),
            heard=tags_heard(self.audio_encoder, sound),
        )

    def decode(self, maps: Sequence[Tensor], queries: Tensor) -> Tensor:
        """Turn four maps, finest first, and sound-conditioned queries [N, Q, C] into scores.

        From coarse to fine, each level gets what the coarser ones found, enlarged and added.

        Returns:
            [N, ·, h, w] scores at the finest map's size.
        """
        levels = [project(m) for project, m in zip(self.project, maps, strict=True)]
        found: Tensor | None = None
        for k in reversed(range(len(levels))):
            level = levels[k] if found is None else levels[k] + resize(found, levels[k].shape[-2:])
            if k < _EARLY_LEVELS:
                found = self.early[k](level)
                continue
            tokens = level.flatten(2).transpose(1, 2)  # [N, h·w, C]
            for block in self.late[k - _EARLY_LEVELS].children():
                tokens = block(tokens, queries)
            found = tokens.transpose(1, 2).unflatten(2, level.shape[-2:])
        scores: Tensor = self.head(found)
        return scores


class PromptQueryGenerator(nn.Module):
    """Several tokens that a sound conditions, in place of one.

    The sound stands before learned prompts, and one block of self-attention lets all of them
    listen to it. Whether the published block is one is unknown.

    Args:
        audio_features: D of the sound.
        channels: C of the tokens.
        heads: of the attention.
        num_prompts: P; without any, pixels have a single token to ask (to see what that does).
    """

    def __init__(self, audio_features: int, channels: int, *, heads: int, num_prompts: int) -> None:
        super().__init__()
        self.sound = nn.Linear(audio_features, channels)
        self.prompts = nn.Parameter(torch.randn(num_prompts, channels))
        self.norm = nn.LayerNorm(channels)
        self.attention = Attention(channels, heads)
        self.transform = FeedForward(channels)

    def forward(self, sound: Tensor) -> Tensor:
        """Map sounds [N, D] to queries [N, 1 + P, C]."""
        prompts = self.prompts.expand(len(sound), -1, -1)
        tokens = torch.cat((self.sound(sound)[:, None], prompts), dim=1)
        normed = self.norm(tokens)
        tokens = tokens + self.attention(normed, normed)
        queries: Tensor = tokens + self.transform(tokens)
        return queries


class LateBlock(nn.Module):
    """Transformer block of a coarse level: among its positions, then with the sound."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.seen_norm = nn.LayerNorm(channels)
        self.seen = Attention(channels, heads)
        self.heard_norm = nn.LayerNorm(channels)
        self.queries_norm = nn.LayerNorm(channels)
        self.heard = Attention(channels, heads)
        self.transform = FeedForward(channels)

    def forward(self, tokens: Tensor, queries: Tensor) -> Tensor:
        """Fuse positions [N, h·w, C] with queries [N, Q, C]; the same shape as the positions."""
        normed = self.seen_norm(tokens)
        tokens = tokens + self.seen(normed, normed)
        tokens = tokens + self.heard(self.heard_norm(tokens), self.queries_norm(queries))
        fused: Tensor = tokens + self.transform(tokens)
        return fused


class FeedForward(nn.Sequential):
    """Norm, and two linear maps around a ReLU."""

    def __init__(self, channels: int) -> None:
        hidden = FEED_FORWARD_RATIO * channels
        super().__init__(
            nn.LayerNorm(channels),
            nn.Linear(channels, hidden),
            nn.ReLU(),
            nn.Linear(hidden, channels),
        )


class EarlyBlock(nn.Module):
    """Convolution block of a fine level: each channel by itself, then the channels (ours)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.local = conv_norm_relu(channels, channels, 3, groups=channels)
        self.mix = conv_norm_relu(channels, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Map [N, C, h, w] to the same shape."""
        mixed: Tensor = self.mix(self.local(maps))
        return maps + mixed


def build(spec: NetworkSpec) -> AVESFormer:
    """Build an AVESFormer with fresh weights.

    Raises:
        WeightsError: a backbone or encoder nobody knows.
        ValueError: a setting that cannot be.
    """
    settings = spec.architecture
    return AVESFormer(spec, picture_encoder(settings), sound_encoder(settings))

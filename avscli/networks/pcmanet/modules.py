"""The four parts of PCMANet, under the paper's names.

Source: Wang, Zhu, Dong, Zhu, "Progressive Confident Masking Attention Network for Audio-Visual
Segmentation", arXiv 2406.02345, figures 2–5. Written from the paper; parameter names are ours
(`avscli.networks.pcmanet.remap` knows the published ones).

Frames of a batch of clips travel flattened: N = B·T, clip by clip.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from avscli.networks.backbones.mobilenet_v2 import SameConv
from avscli.networks.layers import conv_norm_relu, resize

if TYPE_CHECKING:
    from torch import Tensor

    from avscli.networks.pcmanet.sound_naming import SoundNaming

# Pixels whose probability lies strictly outside [1 − this, this] are settled and not queried.
CONFIDENT_PROBABILITY = 0.99
_LEAST_AGREEMENT = 1e-3  # its logit, ±6.9, leaves a stage the power to overrule
_LEAST_LENGTH = 1e-12  # of a vector whose direction is asked for, as in `F.normalize`


class AudioVisualGroupAttention(nn.Module):
    """AVGA: weight groups of visual channels by their likeness to the sound.

    Each group of channels is compared with one audio vector by cosine at every pixel, and is
    multiplied by the resulting map. Both sides have passed a ReLU, so maps lie in [0, 1].

    Args:
        channels: C, visual channels and audio features alike.
        heads: number of groups; must divide C.

    Source: arXiv 2406.02345, figure 3.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.group = conv_norm_relu(channels, channels, 1, groups=heads)
        self.audio = nn.Sequential(
            nn.Linear(channels, channels), nn.Linear(channels, channels // heads), nn.ReLU()
        )
        self.mix = conv_norm_relu(channels, channels, 1)

    def forward(self, visual: Tensor, audio: Tensor) -> Tensor:
        """Fuse visual maps [N, C, h, w] with audio features [N, C] into [N, C, h, w]."""
        groups = self.group(visual)  # [N, C, h, w]
        sound = F.normalize(self.audio(audio), dim=1)  # [N, C/heads]
        # Pixel by pixel, each pixel's channels side by side: no copy of maps that lie so already.
        pixels = groups.flatten(2).transpose(1, 2).unflatten(2, (self.heads, -1))
        # Dividing the products instead of the vectors saves a copy of the maps.
        lengths = torch.linalg.vector_norm(pixels, dim=3).clamp_min(_LEAST_LENGTH)
        likeness = self._products(pixels, sound) / lengths  # [N, h·w, heads]
        weighted = (pixels * likeness[..., None]).flatten(2).transpose(1, 2)
        fused: Tensor = self.mix(weighted.unflatten(2, groups.shape[-2:]))
        return fused

    def _products(self, pixels: Tensor, sound: Tensor) -> Tensor:
        """Return [N, h·w, heads] products of pixels [N, h·w, heads, C/heads] with [N, C/heads].

        As one matrix product with the sound on the diagonal, once for each head.
        """
        heads = torch.eye(self.heads, dtype=sound.dtype, device=sound.device)
        diagonal = heads[:, None, :] * sound[:, None, :, None]  # [N, heads, C/heads, heads]
        return pixels.flatten(2) @ diagonal.flatten(1, 2)


class QuerySelectedCrossAttention(nn.Module):
    """QSCA: tokens of the picture and of the sound attend to each other, clip by clip.

    Visual queries attend to the T audio tokens of their clip, but only where the coarser
    prediction is still uncertain; audio queries attend to all visual tokens of the clip.

    Args:
        channels: C, width of visual and audio tokens.
        heads: attention heads.
        official: reproduce the published layout, which returns tokens to the map without
            transposing them and adds the output bias to unselected tokens; otherwise tokens go
            back to their places and unselected ones pass unchanged.
        null_audio_token: let visual queries also attend to one learned token that stands for
            "no sound belongs here", so that attention can decline.
        returns_audio: compute the audio side, which the next stage consumes.

    Source: arXiv 2406.02345, figure 4.
    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int,
        official: bool,
        null_audio_token: bool,
        returns_audio: bool,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.official = official
        self.audio_in = nn.Linear(channels, channels)
        self.visual_in = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        self.visual_query = nn.Linear(channels, channels, bias=False)
        self.audio_key_value = nn.Linear(channels, 2 * channels, bias=False)
        self.returns_audio = returns_audio
        if returns_audio:
            self.audio_query = nn.Linear(channels, channels, bias=False)
            self.visual_key_value = nn.Linear(channels, 2 * channels, bias=False)
        self.null_token = nn.Parameter(0.1 * torch.randn(channels)) if null_audio_token else None
        self.out = nn.Linear(channels, channels)

    def forward(
        self,
        visual: Tensor,
        audio: Tensor,
        grid: tuple[int, int],
        valid: Tensor,
        selected: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """Let picture and sound attend to each other.

        Args:
            visual: [B·T, C, h, w] maps.
            audio: [B·T, C] one sound token per step.
            grid: (gh, gw), the resolution at which the picture is turned into tokens.
            valid: [B, T] bool; padded steps serve as keys for nobody.
            selected: [B·T, gh·gw] bool, queries worth asking; None asks all.

        Returns:
            [B·T, C, gh, gw] guide maps, and [B·T, C] the updated sound tokens (None when this
            stage does not return them).
        """
        B, T = valid.shape
        pooled = F.adaptive_avg_pool2d(visual, grid)
        tokens = self.visual_in(pooled.flatten(2).transpose(1, 2))  # [B·T, N, C]
        sound = self.audio_in(audio)  # [B·T, C]
        tokens_normed = self.norm(tokens).reshape(B, -1, tokens.shape[-1])  # [B, T·N, C]
        sound_normed = self.norm(sound).reshape(B, T, -1)  # [B, T, C]

        asked = self._ask_audio(tokens_normed, sound_normed, valid).reshape(tokens.shape)
        tokens = tokens + self._project_selected(asked, selected)
        if self.returns_audio:
            sound = sound + self._project(self._ask_visual(sound_normed, tokens_normed, valid))
        return self._to_map(tokens, grid), sound if self.returns_audio else None

    def _project_selected(self, asked: Tensor, selected: Tensor | None) -> Tensor:
        if selected is None:
            return self._project(asked)
        keep = selected.unsqueeze(-1)
        if self.official:  # the bias reaches every token
            return self._project(torch.where(keep, asked, 0.0))
        return torch.where(keep, self._project(asked), 0.0)

    def _project(self, attended: Tensor) -> Tensor:
        projected: Tensor = self.out(attended)
        return projected

    def _ask_audio(self, tokens: Tensor, sound: Tensor, valid: Tensor) -> Tensor:
        keys_valid = valid
        if self.null_token is not None:
            null = self.null_token.to(sound.dtype).expand(sound.shape[0], 1, -1)
            sound = torch.cat((sound, null), dim=1)
            keys_valid = F.pad(valid, (0, 1), value=True)
        return self._attend(self.visual_query(tokens), self.audio_key_value(sound), keys_valid)

    def _ask_visual(self, sound: Tensor, tokens: Tensor, valid: Tensor) -> Tensor:
        keys_valid = valid.repeat_interleave(tokens.shape[1] // valid.shape[1], dim=1)
        attended = self._attend(self.audio_query(sound), self.visual_key_value(tokens), keys_valid)
        return attended.flatten(0, 1)

    def _attend(self, query: Tensor, key_value: Tensor, keys_valid: Tensor) -> Tensor:
        """Multi-head attention of [B, Q, C] over [B, K, 2C] with [B, K] bool validity."""
        queries, keys, values = (
            part.reshape(*part.shape[:2], self.heads, -1).transpose(1, 2)  # [B, heads, ·, C/heads]
            for part in (query, *key_value.chunk(2, dim=-1))
        )
        scores = keys @ queries.transpose(-2, -1) / math.sqrt(queries.shape[-1])
        scores = scores.masked_fill(~keys_valid[:, None, :, None], -torch.inf)  # [B, heads, K, Q]
        # Kernels are quick along the last axis: there lie the queries when keys are few.
        if scores.shape[2] < scores.shape[3]:
            weights = scores.softmax(dim=2).transpose(-2, -1)
        else:
            weights = scores.transpose(-2, -1).softmax(dim=-1)
        attended: Tensor = (weights @ values).transpose(1, 2).flatten(2)
        return attended

    def _to_map(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        N, _, C = tokens.shape
        if self.official:  # published memory order: feature values run along the picture
            return tokens.reshape(N, C, *grid)
        return tokens.transpose(1, 2).reshape(N, C, *grid)


def confidence_induced_mask(
    logits: Tensor, coarser: Tensor | None, *, confident: float = CONFIDENT_PROBABILITY
) -> Tensor:
    """CIM: mark the pixels whose prediction is not settled yet.

    Args:
        logits: [N, C, h, w] of one stage; C = 1 is read through a sigmoid, more through a
            softmax whose largest value is the confidence.
        coarser: [N, h', w'] bool marks of the stage before; only its pixels can stay marked.
        confident: probability above which a pixel is settled.

    Returns:
        [N, h, w] bool, True where 1 − confident ≤ confidence ≤ confident.

    Source: arXiv 2406.02345, figure 5; thresholds as in the published code.
    """
    scores = logits.detach().float()
    confidence = scores.sigmoid() if logits.shape[1] == 1 else scores.softmax(dim=1)
    confidence = confidence.amax(dim=1)
    marks = (confidence <= confident) & (confidence >= 1 - confident)
    if coarser is None:
        return marks
    upsampled = F.interpolate(coarser[:, None].float(), size=marks.shape[-2:], mode="nearest")
    return marks & (upsampled[:, 0] > 0)


class SourceAgreement(nn.Module):
    """Where does the picture show a class that could make this sound?

    Not in the paper. Picture and sound are each classified into K source classes by
    themselves, and agree at a pixel with probability a = Σ_k P(pixel shows k) · P(k may sound).
    What the sound says is taken as given: no gradient of a mask bends it.

    Args:
        channels: C of the projected backbone maps.
        deep_channels: E of the backbone's last map.
        sound: names the K classes that could make a sound.
        num_sources: K.
    """

    def __init__(
        self, channels: int, deep_channels: int, sound: SoundNaming, num_sources: int
    ) -> None:
        super().__init__()
        self.naming = PictureNaming(deep_channels, 1 + num_sources)
        self.refining = nn.Sequential(
            *conv_norm_relu(channels, channels, 3), nn.Conv2d(channels, 1 + num_sources, 1)
        )
        self.sound = sound

    def name(self, maps: list[Tensor], deep: Tensor) -> Tensor:
        """Classify the pixels of pictures.

        Args:
            maps: projected maps of strides 8, 16, 32 [N, C, ·, ·].
            deep: the backbone's last map [N, E, ·, ·].

        Returns:
            [N, 1 + K, h, w] logits at stride 8, the first for "none of them".
        """
        size = maps[0].shape[-2:]
        fine = self.refining(maps[0] + sum(resize(m, size) for m in maps[1:]))
        logits: Tensor = resize(self.naming(deep), size) + fine
        return logits

    def forward(self, picture: Tensor, sound: Tensor) -> Tensor:
        """Compare what `name` says of pictures with what `sound` says of their sounds.

        Args:
            picture: [N, 1 + K, h, w] logits.
            sound: [N, K] logits.

        Returns:
            [N, 1, h, w] the logit of the agreement, bounded.
        """
        # In half precision the largest agreement would round to 1, and its logit to infinity.
        with torch.autocast(sound.device.type, enabled=False):
            shown = picture.float().softmax(dim=1)[:, 1:]
            heard = sound.detach().float().sigmoid()
            agreement = torch.einsum("nkhw,nk->nhw", shown, heard)[:, None]
            bounded = agreement.clamp(_LEAST_AGREEMENT, 1 - _LEAST_AGREEMENT)
            return bounded.logit()


class PictureNaming(nn.Module):
    """Class logits of each pixel, from its surroundings and from the picture as a whole.

    Source: Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation",
    arXiv 1706.05587, section 3.3, with the 1×1 branch and the pooled one alone, as DeepLab's
    MobileNetV2 has it.

    Args:
        channels: E of the map.
        num_classes: with the background, which is the first.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.near = SameConv(channels, 256, 1)
        self.whole = SameConv(channels, 256, 1)
        self.joined = SameConv(512, 256, 1)
        self.names = nn.Conv2d(256, num_classes, 1)

    def forward(self, deep: Tensor) -> Tensor:
        """Map [N, E, h, w] to logits [N, classes, h, w]."""
        whole = F.relu(self.whole(deep.mean(dim=(2, 3), keepdim=True)))
        near = F.relu(self.near(deep))
        both = torch.cat((whole.expand_as(near), near), dim=1)
        logits: Tensor = self.names(F.relu(self.joined(both)))
        return logits


class GuidedFusion(nn.Module):
    """GF: merge a stage's own features with the coarser stage's and with the QSCA guide.

    Args:
        channels: C of all maps.
        deepest: True for stage 4, which has no coarser stage (GF* in figure 2).
        enlarges_last: convolve the guide and the coarser stage on their own grids and enlarge
            the sum, instead of enlarging each first as published: nearly the same maps for a
            quarter of these convolutions' work.

    Source: arXiv 2406.02345, figure 2, bottom right.
    """

    def __init__(self, channels: int, *, deepest: bool, enlarges_last: bool = False) -> None:
        super().__init__()
        self.enlarges_last = enlarges_last
        self.guide = conv_norm_relu(channels, channels, 3)
        self.coarser = None if deepest else conv_norm_relu(channels, channels, 3)
        self.merge = conv_norm_relu(channels, channels, 3)

    def forward(self, local: Tensor, coarser: Tensor | None, guide: Tensor) -> Tensor:
        """Merge local maps [N, C, h, w] with guide and coarser maps [N, C, h/2, w/2]."""
        size = local.shape[-2:]
        guide = self.guide(guide if self.enlarges_last else resize(guide, size))
        if self.coarser is not None and coarser is not None:
            guide = guide + self.coarser(coarser if self.enlarges_last else resize(coarser, size))
        fused: Tensor = self.merge(local + resize(guide, size))
        return fused

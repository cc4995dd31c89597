"""CATR: queries that look for what sounds, in frames that have seen their whole clip.

Source: Li et al., arXiv 2309.09709. The published code's exact forward is the ``official`` variant;
``corrected`` is what we train (docs/networks.md says what it corrects, and why).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from avscli.datatypes import NetworkOutput
from avscli.networks.catr.attention import LayerSizes
from avscli.networks.catr.decoder import Answers, PixelDecoder, QueryDecoder, applied, both
from avscli.networks.catr.encoder import LAYERS, ClipTokens, SpatialEncoder, TemporalEncoder
from avscli.networks.catr.losses import query_losses
from avscli.networks.dilation import DilatedSum
from avscli.networks.encoders import AudioVisualNetwork, own_sounds, tags_heard

if TYPE_CHECKING:
    from torch import Tensor

    from avscli.datatypes import NetworkInput, NetworkSpec
    from avscli.networks.losses import Supervision


class CATR(AudioVisualNetwork):
    """Combinatorial-dependence audio-queried transformer.

    Every step is marked by the query with the highest score, which may be another one in the next
    step. In the ``corrected`` variant the probability of a pixel is that of the mask times that of
    any query being referred to, so a step in which none is stays empty; in the ``official`` one the
    scores only choose.

    Args:
        spec: of a binary network. ``spec.architecture`` names ``variant`` (``official`` or
            ``corrected``), ``channels``, ``heads``, ``feed_forward``, ``queries`` and ``dropout``;
            ``upsampling``, by how much frames are enlarged before they are encoded, where it is not
            1; with ``union_of_queries``, a probability, all queries whose score reaches it mark,
            beside the best one, for several sources.
        backbone, audio_encoder: as `AudioVisualNetwork`.
        audio_features: D.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        backbone: nn.Module,
        audio_encoder: nn.Module | None,
        *,
        audio_features: int,
    ) -> None:
        super().__init__(spec, backbone, audio_encoder)
        settings = spec.architecture
        C, dropout = int(settings["channels"]), float(settings["dropout"])
        sizes = LayerSizes(C, int(settings["heads"]), int(settings["feed_forward"]), dropout)
        self.official = settings["variant"] == "official"
        self.upsampling = int(settings.get("upsampling", 1))
        self.joins_from = float(settings.get("union_of_queries", 0.0))
        inputs: tuple[int, ...] = backbone.channels  # type: ignore[assignment]
        self.levels = nn.ModuleList(DilatedSum(n, C) for n in inputs[1:])  # strides 8, 16, 32
        self.picture_tokens = nn.Conv2d(C, C, 1)
        self.sound_tokens = nn.Sequential(
            nn.Linear(audio_features, C), nn.LayerNorm(C, eps=1e-12), nn.Dropout(dropout)
        )
        self.spatial = SpatialEncoder(sizes)
        self.temporal = TemporalEncoder(sizes, official=self.official)
        self.decoder = QueryDecoder(sizes, int(settings["queries"]))
        self.pixels = PixelDecoder(C, official=self.official)
        self.score = nn.Linear(C, 2)
        self.kernel = nn.Sequential(nn.Linear(C, C), nn.ReLU(), nn.Linear(C, C // 4))

    def forward(self, inputs: NetworkInput) -> NetworkOutput:
        """Segment a batch of clips; see `NetworkInput` and `NetworkOutput` for shapes.

        Logits come after each of the decoder's layers, the last one first.

        Raises:
            WeightsError: as `encode_sound`.
        """
        sound = own_sounds(self.audio_encoder, inputs)
        answers = self.ask(inputs.frames, sound, inputs.valid)
        return NetworkOutput(
            stage_logits=tuple(self.marked(answers, layer) for layer in reversed(range(LAYERS))),
            selected=answers.pixels.new_zeros(*inputs.valid.shape, 0, dtype=torch.float32),
            heard=tags_heard(self.audio_encoder, sound),
        )

    def losses(self, inputs: NetworkInput, truth: Supervision) -> dict[str, Tensor]:
        """Return ``referred``, ``dice``, ``focal`` and ``bce``: `query_losses`.

        With ``union_of_queries``, each connected region of a target has a query of its own.
        """
        sound = own_sounds(self.audio_encoder, inputs)
        return query_losses(
            self.ask(inputs.frames, sound, inputs.valid),
            truth.targets,
            truth.labelled,
            official=self.official,
            apart=self.joins_from > 0.0,
        )

    def ask(self, frames: Tensor, sound: Tensor, valid: Tensor) -> Answers:
        """Return what each query finds in each frame.

        Args:
            frames: [B, T, 3, H, W] float32, normalised; H and W times ``upsampling`` are multiples
                of 32.
            sound: [B, T, D] embeddings.
            valid: [B, T] bool; other steps are attended to by none but themselves. The official
                variant knows no padding and ignores it.
        """
        B, T = valid.shape
        _, *maps = self.backbone(self._enlarged(frames.flatten(0, 1)))
        fine, middle, deep = (level(m) for level, m in zip(self.levels, maps, strict=True))
        tokens = self.picture_tokens(fine).flatten(2).transpose(1, 2).unflatten(0, (B, T))
        may_mask = not self.official and not bool(valid.all())
        clips = ClipTokens(
            picture=tokens,  # [B, T, h·w, C]
            sound=self.sound_tokens(sound),
            grid_hw=(fine.shape[2], fine.shape[3]),
            valid=_with_a_step(valid) if may_mask else None,
        )
        # The published queries begin with nothing, in spite of the paper's audio constraint.
        sought = clips.sound.flatten(0, 1)
        answers = self.decoder(
            self.spatial(clips), torch.zeros_like(sought) if self.official else sought
        )
        pixels = self.pixels(self.temporal(clips), middle, deep)
        return Answers(
            scores=self.score(answers).unflatten(1, (B, T)),
            kernels=self.kernel(answers).unflatten(1, (B, T)),
            pixels=pixels.unflatten(0, (B, T)),
        )

    def _enlarged(self, frames: Tensor) -> Tensor:
        if self.upsampling == 1:
            return frames
        scale = float(self.upsampling)
        return F.interpolate(frames, scale_factor=scale, mode="bilinear", align_corners=False)

    def marked(self, answers: Answers, layer: int) -> Tensor:
        """Return [B, T, 1, h, w] float32 logits of what the queries that are referred to mark.

        Args:
            answers: of `ask`.
            layer: of the decoder, from 0.
        """
        referred, kernels = answers.referred(layer), answers.kernels[layer]
        best = referred.argmax(dim=2, keepdim=True)  # [B, T, 1]
        if self.joins_from:
            marks = (referred.sigmoid() >= self.joins_from).scatter(2, best, value=True)
            logits = applied(kernels, answers.pixels)
            logits = logits.masked_fill(~marks[..., None, None], -torch.inf)
            logits = logits.amax(dim=2, keepdim=True)
        else:
            chosen = kernels.gather(2, best[..., None].expand(-1, -1, -1, kernels.shape[3]))
            logits = applied(chosen, answers.pixels)
        if self.official:
            return logits
        return both(logits, answers.any_referred(layer)[..., None, None, None])


def _with_a_step(valid: Tensor) -> Tensor:
    """Return [B, T] bool; clips of padding alone attend to that, as to nothing gives no numbers."""
    return valid | ~valid.any(dim=1, keepdim=True)

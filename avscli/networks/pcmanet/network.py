"""PCMANet: four stages, coarse to fine, each asking the sound only where it is still unsure.

Source: arXiv 2406.02345, figure 2. The published code's exact forward is the ``official``
variant; ``corrected`` is what we train: tokens laid back in their places, gradients through the
selected queries, any number of steps with a validity mask, any input size divisible by 32.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from avscli.datatypes import LEAST_SOURCE, SourceLogits
from avscli.errors import WeightsError
from avscli.networks.encoders import AudioVisualNetwork, in_float32
from avscli.networks.evidence import ScoreReading
from avscli.networks.layers import conv_norm_relu, resize
from avscli.networks.pcmanet.masking import (
    StageInput,
    doubled,
    enlarged,
    rectangles,
    unsettled,
    window_around,
)
from avscli.networks.pcmanet.modules import (
    AudioVisualGroupAttention,
    GuidedFusion,
    QuerySelectedCrossAttention,
    SourceAgreement,
    confidence_induced_mask,
)
from avscli.networks.pcmanet.sound_naming import SoundNaming

if TYPE_CHECKING:
    from torch import Tensor

    from avscli.datatypes import NetworkInput, NetworkOutput, NetworkSpec

STAGES = (1, 2, 3, 4)  # fine to coarse; strides 4, 8, 16, 32
_SURE_LOGIT = 20.0  # of what was not looked at
_LEAST_SOURCE_LOGIT = math.log(LEAST_SOURCE / (1 - LEAST_SOURCE))


class PictureFeatures(NamedTuple):
    """N frames as no sound has touched them.

    Attributes:
        maps: four, at strides 4, 8, 16, 32, [N, C, ·, ·].
        picture: [N, 1 + K, h / 8, w / 8] logits of the source classes, the first for none of
            them; None in a network without `SourceAgreement`.
    """

    maps: list[Tensor]
    picture: Tensor | None

    def repeated(self, times: int) -> PictureFeatures:
        """Return each frame several times in a row."""
        picture = self.picture
        return PictureFeatures(
            [m.repeat_interleave(times, dim=0) for m in self.maps],
            None if picture is None else picture.repeat_interleave(times, dim=0),
        )

    def taken(self, places: Tensor) -> PictureFeatures:
        """Return the frames at [M] int places, in that order."""
        picture = None if self.picture is None else self.picture[places]
        return PictureFeatures([m[places] for m in self.maps], picture)


class NamedSound(NamedTuple):
    """What N sounds are.

    Attributes:
        sources: [N, K] logits, a sigmoid each: could this class make it?
        tags: [N, 527] logits of AudioSet's names, a sigmoid each; None without a tagger.
    """

    sources: Tensor
    tags: Tensor | None

    def taken(self, chosen: Tensor) -> NamedSound:
        """Return the sounds chosen by [N] bool."""
        return NamedSound(self.sources[chosen], None if self.tags is None else self.tags[chosen])


class PCMANet(AudioVisualNetwork):
    """Progressive Confident Masking Attention Network.

    Args:
        spec: `spec.architecture` names ``variant`` (``official`` or ``corrected``),
            ``channels``, ``avga_heads``, ``qsca_heads`` and ``null_audio_token``; with
            ``source_classes`` (names joined by commas) the stages also hear where picture and
            sound agree on one of these classes; ``enlarges_last`` as in `GuidedFusion`;
            ``skips_settled`` spares stages 2 and 1, at inference, where the stage before is sure;
            ``uncertainty`` as in `ScoreReading`, which is not in the paper.
        backbone, audio_encoder: as `AudioVisualNetwork`.
        audio_features: D, needed when there is no encoder.
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
        C = int(settings["channels"])
        official = settings["variant"] == "official"
        self.strides = (4, 8, 16, int(settings.get("output_stride", 32)))
        self.reading = ScoreReading.of(spec)
        self.gates_padding = spec.padding == "zeros_with_flag"
        self.masks_padded_keys = not official
        self.skips_settled = bool(settings.get("skips_settled", False))
        if official and self.skips_settled:
            raise ValueError("the official variant mixes places, so no place can be skipped")
        self.audio_projection = nn.Linear(audio_features, C)
        inputs: tuple[int, ...] = backbone.channels  # type: ignore[assignment]
        self.project = nn.ModuleList(conv_norm_relu(n, C, 3) for n in inputs)
        self.avga = nn.ModuleList(
            AudioVisualGroupAttention(C, int(settings["avga_heads"])) for _ in STAGES
        )
        self.qsca = nn.ModuleList(
            QuerySelectedCrossAttention(
                C,
                heads=int(settings["qsca_heads"]),
                official=official,
                null_audio_token=bool(settings["null_audio_token"]),
                returns_audio=stage > 1,
            )
            for stage in STAGES
        )
        enlarges_last = bool(settings.get("enlarges_last", False))
        self.fusion = nn.ModuleList(
            GuidedFusion(C, deepest=stage == 4, enlarges_last=enlarges_last) for stage in STAGES
        )
        self.heads = nn.ModuleList(
            nn.Sequential(
                *conv_norm_relu(C, C // 2, 3), nn.Conv2d(C // 2, self.reading.num_scores, 1)
            )
            for _ in STAGES
        )
        self.agreement: SourceAgreement | None = None
        if classes := spec.source_classes:
            naming = SoundNaming(audio_features, classes, hears_tags=hasattr(audio_encoder, "tags"))
            self.agreement = SourceAgreement(C, inputs[-1], naming, len(classes))
            self.agreement_in = nn.ModuleList(nn.Conv2d(1, C, 1) for _ in STAGES)
            self.agreement_weight = nn.Parameter(torch.full((len(STAGES),), 0.5))

    def forward(self, inputs: NetworkInput) -> NetworkOutput:
        """Segment a batch of clips; see `NetworkInput` and `NetworkOutput` for shapes.

        Raises:
            WeightsError: as `encode_sound`.
        """
        moments = inputs.embeddings
        if moments is None:
            patches = inputs.log_mel.flatten(0, 2)[:, None]
            moments = self.encode_sound(patches).reshape(*inputs.log_mel.shape[:3], -1)
        named = None if self.agreement is None else self.name_sound(moments.flatten(0, 1))
        looked = _worth_a_look(named, inputs.valid, inputs.silent)
        if looked.all():
            seen = self._distinct_pictures(inputs.frames.flatten(0, 1))
            return self.listen(seen, moments, inputs.valid, named=named)
        nothing = self._nothing(inputs.frames, named)
        if not looked.any():
            return nothing
        steps = looked.repeat_interleave(inputs.valid.shape[1])
        some = self.listen(
            self._distinct_pictures(inputs.frames[looked].flatten(0, 1)),
            moments[looked],
            inputs.valid[looked],
            named=None if named is None else named.taken(steps),
        )
        return nothing.with_clips(looked, some)

    def _distinct_pictures(self, pictures: Tensor) -> PictureFeatures:
        """Encode [N, 3, h, w], at inference each picture once that comes several times in a row."""
        if self.training:  # each counts in the statistics of batch norms
            return self.encode_picture(pictures)
        is_new = torch.ones(len(pictures), dtype=torch.bool, device=pictures.device)
        is_new[1:] = (pictures[1:] != pictures[:-1]).flatten(1).any(dim=1)
        if is_new.all():
            return self.encode_picture(pictures)
        return self.encode_picture(pictures[is_new]).taken(is_new.cumsum(dim=0) - 1)

    def _nothing(self, frames: Tensor, named: NamedSound | None) -> NetworkOutput:
        """Return what is said of clips that were not looked at: nothing sounds there."""
        B, T, _, height, width = frames.shape
        grids = [(height // stride, width // stride) for stride in self.strides]
        channels = self.reading.num_scores
        scores = [frames.new_full((B, T, channels, *grid), -_SURE_LOGIT) for grid in grids]
        if channels > 1:
            for of_stage in scores:
                of_stage[:, :, 0] = _SURE_LOGIT
        sources = heard = None
        if named is not None:
            said, tags = named
            shown = frames.new_full((B, T, 1 + said.shape[1], *grids[1]), -_SURE_LOGIT)
            shown[:, :, 0] = _SURE_LOGIT
            sources = SourceLogits(shown, said.float().reshape(B, T, -1))
            heard = None if tags is None else tags.float().reshape(B, T, -1)
        return self.reading.output(
            scores, frames.new_zeros(B, T, len(STAGES) - 1), sources=sources, heard=heard
        )

    def forward_embeddings(self, frames: Tensor, audio: Tensor, valid: Tensor) -> NetworkOutput:
        """Segment clips whose sound is already encoded.

        Args:
            frames: [B, T, 3, h, w] float32, normalised.
            audio: [B, T, D] audio embeddings.
            valid: [B, T] bool.

        Returns:
            logits of stages 1 … 4 and the shares of selected queries of stages 4, 3, 2.
        """
        return self.listen(self.encode_picture(frames.flatten(0, 1)), audio[:, :, None], valid)

    def encode_picture(self, frames: Tensor) -> PictureFeatures:
        """Encode frames [N, 3, h, w]: what no sound has touched."""
        maps = self.backbone(frames)
        projected = [project(m) for project, m in zip(self.project, maps, strict=True)]
        if self.agreement is None:
            return PictureFeatures(projected, None)
        return PictureFeatures(projected, self.agreement.name(projected[1:], maps[-1]))

    def name_sound(self, moments: Tensor) -> NamedSound:
        """Say what sounds are, without a picture.

        Args:
            moments: [N, 1 + S, D] embeddings of each moment, and of S others around it.

        Raises:
            WeightsError: the network names no sources.
        """
        if self.agreement is None:
            raise WeightsError("this network names no sources")
        tags: Tensor | None = None
        with in_float32(moments):
            moments = moments.float()
            if self.agreement.sound.evidence is not None:
                tags = self.audio_encoder.tags(moments)  # type: ignore[union-attr, operator]
            named = self.agreement.sound(moments, tags)
        return NamedSound(named, None if tags is None else tags[:, 0])

    def listen(
        self,
        seen: PictureFeatures,
        moments: Tensor,
        valid: Tensor,
        *,
        named: NamedSound | None = None,
        forced: Tensor | None = None,
    ) -> NetworkOutput:
        """Segment clips whose frames are already encoded by `encode_picture`.

        Args:
            seen: of the B·T frames, clip by clip.
            moments: [B, T, 1 + S, D] embeddings of each step's sound, and of the sound before and
                after it, which only the naming of sources hears.
            valid: as in `forward_embeddings`.
            named: of the B·T steps, when `name_sound` was asked already.
            forced: [B, T, K] logits of the source classes that take the place of the sound side's
                (teacher forcing).
        """
        B, T = valid.shape
        moments, features = moments.flatten(0, 1), seen.maps
        sound = moments[:, 0]
        if self.gates_padding:
            steps = valid.flatten().to(sound.dtype)
            sound = sound * steps[:, None]
            features = [f * steps[:, None, None, None] for f in features]
        evidence, sources, heard = None, None, None
        if self.agreement is not None:
            assert seen.picture is not None
            said, tags = named or self.name_sound(moments)
            said = said if forced is None else forced.flatten(0, 1)
            evidence = self.agreement(seen.picture, said)
            both = (seen.picture, said)
            sources = SourceLogits(*(x.float().reshape(B, T, *x.shape[1:]) for x in both))
            heard = None if tags is None else tags.float().reshape(B, T, -1)
        scores, marks = self._decode(features, self.audio_projection(sound), valid, evidence)
        shares = torch.stack([m.flatten(1).float().mean(dim=1) for m in marks], dim=1)
        return self.reading.output(
            [x.reshape(B, T, *x.shape[1:]) for x in scores],
            shares.reshape(B, T, -1),
            sources=sources,
            heard=heard,
        )

    def _decode(
        self, features: list[Tensor], sound: Tensor, valid: Tensor, evidence: Tensor | None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Run stages 4 … 1; return scores of stages 1 … 4 and the marks of stages 4, 3, 2."""
        keys_valid = valid if self.masks_padded_keys else torch.ones_like(valid)
        deepest = StageInput(features[3], sound, sound, keys_valid, evidence=evidence)
        scores4, stage3 = self._stage(3, deepest, features[2])
        scores3, stage2 = self._stage(2, stage3, features[1])
        fine = (
            self._fine_stages
            if self.training or not self.skips_settled
            else self._fine_where_unsettled
        )
        scores2, scores1 = fine(stage2, features[0], scores3)
        assert stage3.marks is not None
        assert stage2.marks is not None
        marks2 = confidence_induced_mask(self.reading.logits(scores2), stage2.marks)
        return [scores1, scores2, scores3, scores4], [stage3.marks, stage2.marks, marks2]

    def _stage(self, i: int, x: StageInput, finer: Tensor) -> tuple[Tensor, StageInput]:
        """Run a stage that is not the finest; return its scores and what the next one is given.

        Args:
            i: the stage less one.
            x: its input.
            finer: projected maps of the next finer stride.
        """
        scores, fused, token = self._scores(i, x)
        assert token is not None
        marks = confidence_induced_mask(self.reading.logits(scores), x.marks)
        return scores, x._replace(features=finer, token=token, coarser=fused, marks=marks)

    def _scores(self, i: int, x: StageInput) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return a stage's scores, its fused maps, and the sound's tokens (the finest has none)."""
        local = self.avga[i](x.features, x.sound)
        # Queries live on the grid of the stage before, where their marks were made.
        grid = local.shape[-2:] if x.marks is None else x.marks.shape[-2:]
        selected = None if x.marks is None else x.marks.flatten(1)
        guide, token = self.qsca[i](local, x.token, tuple(grid), x.valid, selected)
        agreed = None if x.evidence is None else resize(x.evidence, local.shape[-2:])
        if agreed is not None:
            local = local + self.agreement_in[i](agreed)
        fused = self.fusion[i](local, x.coarser, guide)
        scores = self.heads[i](fused)
        if agreed is not None:
            scores = self.reading.toward_foreground(scores, self.agreement_weight[i] * agreed)
        return scores, fused, token

    def _fine_stages(self, x: StageInput, finest: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        """Run stages 2 and 1; return their scores."""
        scores2, stage1 = self._stage(1, x, finest)
        return scores2, self._scores(0, stage1)[0]

    def _fine_where_unsettled(
        self, x: StageInput, finest: Tensor, coarse: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Run stages 2 and 1 where the stage before is not sure; elsewhere enlarge its scores.

        Args:
            x: input of stage 2.
            finest: projected maps of stride 4.
            coarse: scores of stage 3.
        """
        scores2 = resize(coarse, x.features.shape[-2:])
        scores1 = resize(scores2, finest.shape[-2:])
        clips = unsettled(self.reading.logits(scores2)).reshape(len(x.valid), -1).any(dim=1)
        if not clips.any():
            return scores2, scores1
        frames = clips.repeat_interleave(x.valid.shape[1])
        found2, stage1 = self._stage(1, x.of_clips(clips), finest[frames])
        found1 = resize(found2, finest.shape[-2:])
        inside = rectangles(unsettled(self.reading.logits(found2)))
        if inside.any():
            rows, columns = window_around(inside)
            part = (..., doubled(rows), doubled(columns))
            found, _, _ = self._scores(0, stage1.window(rows, columns))
            within = enlarged(inside)[:, None][part]
            # Frames share a window, but each takes its own rectangle, whatever it runs beside.
            found1 = found1.clone()
            found1[part] = torch.where(within, found, found1[part])
        if clips.all():
            return found2, found1
        scores2, scores1 = scores2.clone(), scores1.clone()
        scores2[frames], scores1[frames] = found2, found1
        return scores2, scores1


def _worth_a_look(named: NamedSound | None, valid: Tensor, silent: Tensor | None) -> Tensor:
    """Return [B] bool: clips of which a step could be marked, as far as their sound says."""
    if silent is None:
        return torch.ones_like(valid[:, 0])
    heard = ~silent
    if named is not None:
        heard = heard & (named.sources.amax(dim=1).reshape(valid.shape) >= _LEAST_SOURCE_LOGIT)
    return heard.any(dim=1)

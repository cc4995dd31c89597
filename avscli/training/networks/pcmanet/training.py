"""What training asks of PCMANet: its losses, what may start as published, what is fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from avscli.networks.losses import stage_losses
from avscli.networks.pcmanet.network import PCMANet
from avscli.training.networks.pcmanet.losses import naming_loss, picture_loss
from avscli.training.networks.pcmanet.sound_side import SoundSide, frozen_tagger
from avscli.training.networks.pcmanet.tag_fitting import fit_tags
from avscli.training.networks.plain import NetworkTraining
from avscli.training.tflite_start import start_naming

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor, nn

    from avscli.networks.contract import AVSNetwork
    from avscli.training.couples.batches import CoupleBatch, SoundBatch
    from avscli.training.couples.further_sounds import FurtherSound
    from avscli.training.couples.recipe import CoupleRecipe
    from avscli.training.start import StartWeights

_SURE_LOGIT = 8.0  # of the truth in teacher forcing; hardly any sound is as sure


class PCMANetTraining(NetworkTraining):
    """PCMANet, its sound side, and the tagger that this is not to forget.

    Args:
        network: trained in place.
    """

    network: PCMANet

    def __init__(self, network: PCMANet) -> None:
        super().__init__(network)
        self.names_sources = network.agreement is not None
        naming = None if network.agreement is None else network.agreement.sound
        encoder = network.audio_encoder
        self.sound_side = None if encoder is None else SoundSide(encoder, naming)
        self.tagger = None if encoder is None else frozen_tagger(encoder)
        self.hears_alone = naming is not None or self.tagger is not None

    def start(self, weights: StartWeights, *, freezes_audio: bool) -> None:
        """Start as any network; a graph that names what is seen starts that naming, too."""
        super().start(weights, freezes_audio=freezes_audio)
        path, agreement = weights.backbone, self.network.agreement
        if path is not None and agreement is not None and path.suffix == ".tflite":
            start_naming(agreement.naming, self.network.spec.source_classes, path)
        if self.tagger is not None:
            assert self.sound_side is not None
            self.tagger = frozen_tagger(self.sound_side.encoder)

    def _started_with_pictures(self) -> list[nn.Parameter]:
        parameters = super()._started_with_pictures()
        if self.network.agreement is not None:
            parameters += self.network.agreement.naming.parameters()
        return parameters

    def trains_sound(self, mode: bool) -> None:
        """Let the sound side learn, or freeze it; frozen, it drops nothing out."""
        super().trains_sound(mode)
        if self.sound_side is not None:
            self.sound_side.train(mode)

    def couple_losses(self, batch: CoupleBatch, recipe: CoupleRecipe) -> dict[str, Tensor]:
        """Return the losses of stages, and of what is seen.

        A couple shares its picture, so what no sound has touched is computed once.
        """
        network = self.network
        with torch.no_grad():  # gradients of masks made it forget the names of sounds
            embedding = network.encode_sound(batch.log_mel)
        seen = network.encode_picture(batch.frames)
        forced = None
        if network.agreement is not None:
            forced = self._forced(batch, embedding, recipe.teacher_forcing_share)
        moments, valid = embedding[:, None, None], batch.labelled
        output = network.listen(seen.repeated(2), moments, valid, forced=forced)
        losses = stage_losses(output, self.truth_of(batch, recipe))
        if seen.picture is not None:
            losses["shown"] = picture_loss(seen.picture, batch.shown) * len(batch.target)
        return losses

    @torch.no_grad()
    def _forced(self, batch: CoupleBatch, embedding: Tensor, share: float) -> Tensor:
        """Return [N, 1, K] logits: what the sound side says, or the truth (teacher forcing)."""
        said = self.network.name_sound(embedding[:, None]).sources
        is_forced = (torch.rand(len(said), 1) < share).to(said.device)
        return torch.where(is_forced, _SURE_LOGIT * (2.0 * batch.heard - 1.0), said)[:, None]

    def sound_losses(self, batch: SoundBatch) -> dict[str, Tensor]:
        """Return the losses of naming sources, and of forgetting what the tagger knew."""
        assert self.sound_side is not None
        said, count = self.sound_side(batch.log_mel), len(batch.heard)
        losses = {}
        if said.heard is not None:
            known = said.heard[batch.is_known], batch.heard[batch.is_known]
            losses["heard"] = naming_loss(*known) * count
        if self.tagger is not None:
            with torch.no_grad():
                tags = self.tagger.tags(self.tagger(batch.log_mel)).sigmoid()  # type: ignore[operator]
            losses["tags"] = naming_loss(said.tags, tags) * count
        return losses

    def settle_sound(self, sounds: Sequence[FurtherSound], *, seed: int) -> None:
        """Fit how learned names and tags are joined."""
        fit_tags(self.network, sounds, seed=seed)

    @torch.inference_mode()
    def learn_usual(self, log_mel: Iterable[Tensor]) -> None:
        """Tell the sound side what its hidden features mostly are."""
        agreement = self.network.agreement
        assert agreement is not None
        encode = self.network.encode_sound
        means = [agreement.sound.hidden(encode(patches)).mean(dim=0) for patches in log_mel]
        agreement.sound.usual.copy_(torch.stack(means).mean(dim=0))

    def shift_sound(self, logit: float) -> None:
        """Have all source classes said to be likelier by a logit, in place."""
        assert self.network.agreement is not None
        self.network.agreement.sound.add_shift(logit)

    def is_fitted(self, name: str) -> bool:
        """Say whether calibration changed the weight of this name."""
        return name.startswith("agreement.sound.")

    def state(self) -> Mapping[str, Tensor]:
        """Return the weights of the tagger as the run began with it."""
        return {} if self.tagger is None else self.tagger.state_dict()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` returned."""
        if self.tagger is not None:
            self.tagger.load_state_dict(state)


def training_of(network: AVSNetwork) -> PCMANetTraining:
    """Return how this PCMANet trains."""
    assert isinstance(network, PCMANet)
    return PCMANetTraining(network)

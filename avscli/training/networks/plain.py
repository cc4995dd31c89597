"""How a network trains of which nothing more is known than `avscli.networks.contract` says."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from torch import nn

from avscli.checkpoints import load_network
from avscli.errors import UsageError
from avscli.networks.contract import HasOwnLosses
from avscli.networks.losses import Supervision, stage_losses
from avscli.networks.state_dicts import load_strictly
from avscli.training.start import StartWeights, start_encoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor

    from avscli.datatypes import NetworkInput
    from avscli.networks.contract import AVSNetwork
    from avscli.training.couples.batches import CoupleBatch, SoundBatch
    from avscli.training.couples.further_sounds import FurtherSound
    from avscli.training.couples.recipe import CoupleRecipe


class ParameterGroups(NamedTuple):
    """What is trained, by where it starts from; each parameter stands in one of them.

    Attributes:
        picture: of the picture encoder, and what else may start as published.
        sound: of the sound encoder.
        fresh: all others.
    """

    picture: list[nn.Parameter]
    sound: list[nn.Parameter]
    fresh: list[nn.Parameter]


class NetworkTraining:
    """One network, and all that training asks of it; subclasses are of networks that differ.

    Args:
        network: trained in place.

    Attributes:
        hears_alone: its sound side can be trained by itself, without pictures (`sound_losses`).
        names_sources: it names the sources of sounds, so that calibration may shift what it says
            of them (`learn_usual`, `shift_sound`, `is_fitted`).
        progress: share of the run's steps that are done, for losses that are annealed.
    """

    hears_alone = False
    names_sources = False
    progress = 0.0

    def __init__(self, network: AVSNetwork) -> None:
        self.network = network
        self.module = cast("nn.Module", network)

    @property
    def backbone(self) -> nn.Module | None:
        """The picture encoder."""
        return getattr(self.module, "backbone", None)

    @property
    def sound_encoder(self) -> nn.Module | None:
        """The sound encoder."""
        return getattr(self.module, "audio_encoder", None)

    def start(self, weights: StartWeights, *, freezes_audio: bool) -> None:
        """Fill a fresh network with start weights.

        Args:
            weights: from these.
            freezes_audio: the sound encoder will not be trained, so it has to start as something.

        Raises:
            UsageError: two different starts, none for an encoder that stays frozen, or one for an
                encoder that is not there.
            WeightsError: a file is missing, damaged, or holds anything but weights.
            CheckpointMismatchError: weights of another network.
        """
        if weights.checkpoint is not None:
            if weights.backbone or weights.audio:
                raise UsageError("--start-weights brings both encoders; leave the other starts out")
            state = load_network(weights.checkpoint).state_dict()
            source = f"the start weights {weights.checkpoint}"
            load_strictly(self.module, state, source=source)
            return
        if freezes_audio and self.sound_encoder is not None and weights.audio is None:
            raise UsageError(
                "this recipe keeps the audio encoder as it starts, so it needs --start-audio FILE",
                hint="give the VGGish state dict; docs/training.md says where it comes from",
            )
        if weights.backbone is not None:
            if self.backbone is None:
                raise UsageError("this network has no encoder that --start-backbone could fill")
            start_encoder(self.backbone, weights.backbone)
        if weights.audio is not None:
            if self.sound_encoder is None:
                raise UsageError("this network has no audio encoder that --start-audio could fill")
            start_encoder(self.sound_encoder, weights.audio)

    def groups(self) -> ParameterGroups:
        """Divide the parameters by where they start from."""
        picture = self._started_with_pictures()
        sound = [] if self.sound_encoder is None else list(self.sound_encoder.parameters())
        known = {id(parameter) for parameter in (*picture, *sound)}
        fresh = [p for p in self.module.parameters() if id(p) not in known]
        return ParameterGroups(picture, sound, fresh)

    def _started_with_pictures(self) -> list[nn.Parameter]:
        return [] if self.backbone is None else list(self.backbone.parameters())

    def losses(self, inputs: NetworkInput, truth: Supervision) -> dict[str, Tensor]:
        """Return the losses by name, each summed over the labelled steps of clips."""
        if isinstance(self.network, HasOwnLosses):
            return self.network.losses(inputs, truth)
        return stage_losses(self.network(inputs), truth)

    def couple_losses(self, batch: CoupleBatch, recipe: CoupleRecipe) -> dict[str, Tensor]:
        """Return the losses by name, each summed over the samples of couples."""
        return self.losses(batch.inputs(), self.truth_of(batch, recipe))

    def truth_of(self, batch: CoupleBatch, recipe: CoupleRecipe) -> Supervision:
        """Return what the masks of couples, clips of one step, should be."""
        smoothing = recipe.smoothing_pixels
        return Supervision(batch.target[:, None], batch.labelled, smoothing, self.progress)

    def trains_sound(self, mode: bool) -> None:
        """Let the sound side learn, or freeze it."""
        if self.sound_encoder is not None:
            self.sound_encoder.train(mode).requires_grad_(mode)

    def sound_losses(self, batch: SoundBatch) -> dict[str, Tensor]:
        """Return the losses of windows without pictures by name, each summed over windows."""
        raise NotImplementedError(f"{self.network.spec.network} does not hear alone, {batch!r}")

    def settle_sound(self, sounds: Sequence[FurtherSound], *, seed: int) -> None:
        """Fit, in place, what the sound side needs beside its weights when these are trained.

        Args:
            sounds: recordings that were not trained on.
            seed: of everything random.
        """

    def learn_usual(self, log_mel: Iterable[Tensor]) -> None:
        """Tell the sound side what is usual.

        Args:
            log_mel: patches [N, 1, ·, ·] of all moments that are heard with each frame.
        """

    def shift_sound(self, logit: float) -> None:
        """Have all source classes said to be likelier by a logit, in place."""

    def is_fitted(self, name: str) -> bool:  # noqa: ARG002 – nothing is
        """Say whether calibration changed the weight of this name."""
        return False

    def state(self) -> Mapping[str, Tensor]:
        """Return what has to be saved beside the network's own weights."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` returned."""


def require_known(weights: Mapping[str, float], losses: Mapping[str, Tensor]) -> None:
    """Check that a recipe weighs losses that there are.

    Raises:
        UsageError: it names another.
    """
    if unknown := sorted(weights.keys() - losses.keys()):
        raise UsageError(
            f"loss_weights names {unknown[0]!r}, and the network has no such loss",
            hint=f"it has: {', '.join(losses)}",
        )


def training_of(network: AVSNetwork) -> NetworkTraining:
    """Return how any network trains."""
    return NetworkTraining(network)

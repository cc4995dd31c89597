"""Couples as a task of the engine: what they teach, at which rates, what is frozen when.

sound_steps × windows alone ──▶ a sound side that names the possible sources of sounds, and has not
    forgotten what its tagger knew
steps × couples (one picture, two sounds) ──▶ everything else; the sound side is frozen
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from avscli.errors import UsageError
from avscli.networks.registry import build_network
from avscli.training.couples.batches import CoupleBatches, SoundBatch
from avscli.training.networks.plain import require_known
from avscli.training.networks.registry import training_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from avscli.config import Precision
    from avscli.training.couples.batches import CoupleBatch
    from avscli.training.couples.recipe import CoupleRecipe
    from avscli.training.couples.samples import SampleSource
    from avscli.training.networks.plain import NetworkTraining


class Objective(nn.Module):
    """A network with its losses as one module.

    Args:
        side: of the network to train.
        recipe: what to do.
    """

    def __init__(self, side: NetworkTraining, recipe: CoupleRecipe) -> None:
        super().__init__()
        self.network, self.side, self.recipe = side.module, side, recipe

    def forward(self, batch: SoundBatch | CoupleBatch) -> dict[str, Tensor]:
        """Return the losses of a batch by name, each summed over its samples.

        Raises:
            UsageError: the recipe weighs a loss that is not there.
        """
        if isinstance(batch, SoundBatch):
            return self.side.sound_losses(batch)
        losses = self.side.couple_losses(batch, self.recipe)
        require_known(self.recipe.loss_weights, losses)
        return losses


class CoupleTask:
    """One recipe on one mixture of couples; see `avscli.training.engine.Task`.

    Args:
        recipe: what to do.
        sources: couples are drawn from these …
        shares: … with these probabilities.
        device: where.
        on_sound_end: told when the sound side is trained, to fit what it needs beside its weights.

    Attributes:
        side: how the network trains.

    Raises:
        UsageError: the recipe has sound steps, and its network no sound side to be trained alone.
    """

    def __init__(
        self,
        recipe: CoupleRecipe,
        sources: Sequence[SampleSource],
        shares: Sequence[float],
        *,
        device: str = "cpu",
        on_sound_end: Callable[[NetworkTraining], None] | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, device
        self.num_steps = recipe.num_steps
        self.precision: Precision = recipe.precision
        self.gradient_norm: float | None = recipe.gradient_norm
        self.ema_decay: float | None = recipe.ema_decay
        self.phases = frozenset({recipe.sound_steps} - {0})
        self._sound_names = sorted({name for source in sources for name in source.sound_names})
        self._batches = CoupleBatches(recipe, sources, shares)
        self._on_sound_end = on_sound_end
        self.side = training_of(build_network(recipe.spec))
        if recipe.sound_steps and not self.side.hears_alone:
            raise UsageError(
                f"{recipe.spec.network} has no sound side that could be trained alone",
                hint="set sound_steps = 0",
            )
        self.network = self.side.module.to(device)
        self.objective: nn.Module = Objective(self.side, recipe)
        self.optimizer: torch.optim.Optimizer = self._optimizer()

    def _optimizer(self) -> torch.optim.AdamW:
        recipe, groups = self.recipe, self.side.groups()
        peaks = {
            "backbone": (groups.picture, recipe.backbone_learning_rate),
            "audio": (groups.sound, recipe.audio_learning_rate),
            "fresh": (groups.fresh, recipe.learning_rate),
        }
        return torch.optim.AdamW(
            [
                {"name": name, "params": parameters, "lr": peak, "peak": peak}
                for name, (parameters, peak) in peaks.items()
            ],
            weight_decay=recipe.weight_decay,
        )

    def fingerprint(self) -> Mapping[str, object]:
        """Return recipe and data as plain JSON values."""
        return {**self.recipe.fingerprint(), "sounds": self._sound_names}

    def batches(self, step: int) -> Iterator[SoundBatch | CoupleBatch]:
        """Yield the batches of all steps from this one on."""
        return self._batches.since(step)

    def begin(self) -> None:
        """Let the network learn, in the memory layout that convolutions are fastest in."""
        self.objective.train()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def begin_phase(self, step: int) -> None:  # noqa: ARG002 – there is only one
        """Let the trained sound side be fitted, before couples begin."""
        if self._on_sound_end is not None:
            self._on_sound_end(self.side)

    def prepare(self, step: int) -> None:
        """Set the rates, and freeze what does not learn in a step; tell how far the run is."""
        self.side.progress = step / self.num_steps
        rate = self.recipe.rate_at(step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        self._freeze_early_blocks(self.recipe.is_frozen_at(step))
        self.side.trains_sound(self.recipe.hears_only(step))

    def _freeze_early_blocks(self, frozen: bool) -> None:
        if self.recipe.frozen_blocks:
            backbone = self.side.backbone
            assert backbone is not None
            blocks = list(cast("nn.Sequential", backbone.blocks))[: self.recipe.frozen_blocks]
            for module in (cast("nn.Module", backbone.stem), *blocks):
                module.requires_grad_(not frozen)

    def seed(self, step: int) -> int:
        """Return the seed of dropout and teacher forcing."""
        return self.recipe.seed * self.num_steps + step

    def weight_of(self, loss: str) -> float:
        """Return what a loss counts."""
        return self.recipe.weight_of(loss)

    def after(self, step: int) -> Mapping[str, float]:  # noqa: ARG002 – nothing is measured
        """Return nothing: couples are scored when all steps are done."""
        return {}

    def state(self) -> Mapping[str, object]:
        """Return what the network's side saves."""
        return self.side.state()

    def load_state(self, state: Mapping[str, object]) -> None:
        """Take over what `state` returned."""
        self.side.load_state(cast("Mapping[str, Tensor]", state))

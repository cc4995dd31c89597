"""Labelled clips as a task of the engine: the published losses, and the best epoch kept."""

from __future__ import annotations

from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn

from avscli.checkpoints import save_checkpoint
from avscli.datasets.kinds.scenes import SceneClips
from avscli.datasets.scenes import TEST_SEEDS
from avscli.errors import UsageError
from avscli.media.prefetch import prefetch
from avscli.networks.losses import Supervision
from avscli.networks.registry import build_network
from avscli.training.clips.data import ClipBatches, batch_of
from avscli.training.clips.validation import OverlapSums
from avscli.training.engine import autocast, require_precision
from avscli.training.networks.plain import require_known
from avscli.training.networks.registry import training_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    from avscli.datasets.labelled import LabelledClip
    from avscli.training.clips.data import ClipBatch
    from avscli.training.clips.recipe import ClipRecipe
    from avscli.training.clips.sources import ClipSources
    from avscli.training.networks.plain import NetworkTraining
    from avscli.training.process_group import ProcessGroup

BEST_FILE, LAST_FILE = "best.safetensors", "last.safetensors"


class Objective(nn.Module):
    """A network with its losses as one module, so that processes can share its gradients.

    Args:
        side: of the network to train.
        recipe: says what of it stays as it is.
    """

    def __init__(self, side: NetworkTraining, recipe: ClipRecipe) -> None:
        super().__init__()
        self.network, self.side, self.recipe = side.module, side, recipe
        if recipe.freezes_audio and side.sound_encoder is not None:
            side.sound_encoder.requires_grad_(False)

    def train(self, mode: bool = True) -> Objective:
        """Switch to training, but for the parts that the recipe keeps; or to evaluation."""
        super().train(mode)
        if mode and self.recipe.freezes_audio and self.side.sound_encoder is not None:
            self.side.sound_encoder.eval()
        if mode and self.recipe.batch_norm == "frozen":
            for module in self.network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, batch: ClipBatch) -> dict[str, Tensor]:
        """Return the losses of a batch by name, each summed over its labelled steps.

        Raises:
            UsageError: the recipe weighs a loss that is not there.
        """
        smoothing, progress = self.recipe.smoothing_pixels, self.side.progress
        truth = Supervision(batch.targets, batch.labelled, smoothing, progress)
        losses = self.side.losses(batch.inputs, truth)
        require_known(self.recipe.loss_weights, losses)
        return losses


class ClipTask:
    """One recipe on some sets of clips; see `avscli.training.engine.Task`.

    Args:
        recipe: what to do.
        sources: on which clips.
        folder: where the best network goes.
        device: of this process.
        processes: that train together.

    Attributes:
        side: how the network trains.
        gradient_norm: as in the recipe.
        best: mean IoU on validation of the best network so far; −1 before any was scored.

    Raises:
        UsageError: the batch cannot be divided among the processes, or fp16 is asked of a CPU.
    """

    ema_decay: float | None = None
    phases: frozenset[int] = frozenset()

    def __init__(
        self,
        recipe: ClipRecipe,
        sources: ClipSources,
        *,
        folder: Path,
        device: str,
        processes: ProcessGroup,
    ) -> None:
        if recipe.batch_clips % processes.world_size:
            raise UsageError(
                f"{recipe.batch_clips} clips a step cannot be divided among "
                f"{processes.world_size} processes",
                hint="--batch counts the clips of all processes together",
            )
        require_precision(recipe.precision, device)
        self.gradient_norm = recipe.gradient_norm
        torch.manual_seed(recipe.seed)
        self.recipe, self.sources, self.folder = recipe, sources, folder
        self.device, self.precision, self.processes = device, recipe.precision, processes
        self._batches = ClipBatches(recipe, sources.training, processes)
        planned = recipe.epochs * self._batches.steps_per_epoch
        self.num_steps = min(planned, recipe.steps or planned)
        self.side = training_of(build_network(recipe.spec))
        self.network = self.side.module.to(device)
        self.objective: nn.Module = Objective(self.side, recipe)
        trained = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(trained, lr=recipe.learning_rate)
        self.best = -1.0

    def fingerprint(self) -> Mapping[str, object]:
        """Return recipe and data as plain JSON values."""
        return {**self.recipe.fingerprint(), "data": self.sources.sizes()}

    def batches(self, step: int) -> Iterator[ClipBatch]:
        """Yield this process's part of the batches of all steps from this one on."""
        return self._batches.since(step, self.num_steps)

    def begin(self) -> None:
        """Let the network learn."""
        self.objective.train()

    def begin_phase(self, step: int) -> None:
        """Do nothing: there is one phase."""

    def prepare(self, step: int) -> None:
        """Tell the losses how far the run is; one rate holds throughout."""
        self.side.progress = step / self.num_steps

    def seed(self, step: int) -> int:
        """Return a seed of a step's own, and of this process's."""
        sequence = np.random.SeedSequence([self.recipe.seed, step, self.processes.rank])
        return int(sequence.generate_state(1)[0])

    def weight_of(self, loss: str) -> float:
        """Return what a loss counts."""
        return self.recipe.loss_weights.get(loss, 1.0)

    def after(self, step: int) -> Mapping[str, float]:
        """Score the network on validation when that is due."""
        return {"val_mean_iou": self._validate(step)} if self._validation_is_due(step) else {}

    def state(self) -> Mapping[str, object]:
        """Return the best score."""
        return {"best": self.best}

    def load_state(self, state: Mapping[str, object]) -> None:
        """Take over what `state` returned."""
        self.best = cast("float", state["best"])

    def export(self, name: str, scores: Mapping[str, float], *, step: int) -> Path:
        """Write the network as it is as a checkpoint with golden into the run's folder.

        Args:
            name: of the file.
            scores: of the network.
            step: how many are done.

        Returns:
            The checkpoint.

        Raises:
            OutputError: it cannot be written.
        """
        recipe = self.recipe
        info = {
            "name": recipe.name,
            "spec": recipe.spec,
            "trained_on": sorted(self.sources.sizes()),
            "scores": dict(scores),
            "licence": "as its data and start weights allow",
            "source": f"avs train, recipe {recipe.name}, seed {recipe.seed}, {step} steps",
        }
        scenes = SceneClips(TEST_SEEDS[:1], recipe.spec.clip_length, recipe.spec.frame_size_hw)
        golden_inputs = batch_of([scenes.read(0)], recipe.spec).inputs
        save_checkpoint(
            self.folder / name, self.network.state_dict(), info, golden_inputs=golden_inputs
        )
        return self.folder / name

    def _validation_is_due(self, step: int) -> bool:
        epoch, rest = divmod(step, self._batches.steps_per_epoch)
        since = epoch - self.recipe.validate_from
        regular = rest == 0 and since >= 0 and since % self.recipe.validate_every == 0
        return regular or step == self.num_steps

    def _validate(self, step: int) -> float:
        """Score the network on validation; keep it when it is the best so far."""
        self.processes.share_buffers(self.network)
        self.objective.eval()
        sums = OverlapSums(self.recipe.spec.num_classes)
        with torch.inference_mode(), closing(prefetch(self._validation_clips(), depth=4)) as clips:
            for clip in clips:
                batch = batch_of([clip], self.recipe.spec).to(self.device)
                with autocast(self.precision, self.device):
                    logits = self.side.network(batch.inputs).logits
                sums.add(logits, batch.targets, batch.labelled)
        self.objective.train()
        score = sums.mean_iou(self.processes, self.device)
        if score > self.best:
            self.best = score
            if self.processes.is_first:
                self.export(BEST_FILE, {"val_mean_iou": score}, step=step)
        return score

    def _validation_clips(self) -> Iterator[LabelledClip]:
        places = list(
            chain.from_iterable(
                ((source, index) for index in range(len(source)))
                for source in self.sources.validation
            )
        )
        for source, index in self.processes.own(places):
            yield source.read(index)

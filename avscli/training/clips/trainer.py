"""The training run on labelled clips: one process or several, exactly resumable.

Step k depends on the recipe, the data and k alone: which clips it shows and every random number.
A run that was stopped and resumed is therefore the run that was not.
"""

from __future__ import annotations

import json
import time
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from avscli.checkpoints import save_checkpoint
from avscli.datasets.kinds.scenes import SceneClips
from avscli.datasets.scenes import TEST_SEEDS
from avscli.errors import DeviceError, UsageError
from avscli.media.prefetch import prefetch
from avscli.networks.registry import build_network
from avscli.training.clips.data import ClipBatches, batch_of
from avscli.training.clips.losses import stage_totals
from avscli.training.clips.validation import OverlapSums
from avscli.training.state import MetricsLog, load_state, save_state
from avscli.training.stopping import StopRequest, stop_requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    from avscli.datasets.labelled import LabelledClip
    from avscli.networks.pcmanet.network import PCMANet
    from avscli.training.clips.data import ClipBatch
    from avscli.training.clips.recipe import ClipRecipe
    from avscli.training.clips.sources import ClipSources
    from avscli.training.process_group import ProcessGroup

SAVE_EVERY_SECONDS = 600.0
BEST_FILE, LAST_FILE = "best.safetensors", "last.safetensors"
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Objective(nn.Module):
    """A network with its loss as one module, so that processes can share its gradients.

    Args:
        network: to train.
        recipe: says what of it stays as it is.
    """

    def __init__(self, network: PCMANet, recipe: ClipRecipe) -> None:
        super().__init__()
        self.network, self.recipe = network, recipe
        if recipe.freezes_audio and network.audio_encoder is not None:
            network.audio_encoder.requires_grad_(False)

    def train(self, mode: bool = True) -> Objective:
        """Switch to training, but for the parts that the recipe keeps; or to evaluation."""
        super().train(mode)
        if mode and self.recipe.freezes_audio and self.network.audio_encoder is not None:
            self.network.audio_encoder.eval()
        if mode and self.recipe.batch_norm == "frozen":
            for module in self.network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, batch: ClipBatch) -> Tensor:
        """Return the loss of every stage, [stages], summed over the labelled steps of a batch."""
        return stage_totals(
            self.network(batch.inputs).stage_logits,
            batch.targets,
            batch.labelled,
            smoothing_pixels=self.recipe.smoothing_pixels,
        )


class StepResult(NamedTuple):
    """What one step gave, the same in every process.

    Attributes:
        losses: by name, means over the labelled steps of the whole batch.
        stops: whether any process was asked to stop.
    """

    losses: dict[str, float]
    stops: bool


class ClipTrainer:
    """One run in one folder: ``last.pt``, ``best.safetensors``, ``metrics.jsonl``.

    Args:
        recipe: what to do.
        sources: on which clips.
        folder: exists and can be written to.
        device: of this process.
        processes: that train together.

    Raises:
        UsageError: the batch cannot be divided among the processes, or fp16 is asked of a CPU.
    """

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
        if recipe.precision == "fp16" and "cuda" not in device:
            raise UsageError("fp16 trains on CUDA only", hint="use --precision bf16")
        torch.manual_seed(recipe.seed)
        self.recipe, self.sources, self.folder = recipe, sources, folder
        self.device, self.processes = device, processes
        self.batches = ClipBatches(recipe, sources.training, processes)
        planned = recipe.epochs * self.batches.steps_per_epoch
        self.num_steps = min(planned, recipe.steps or planned)
        self.network: PCMANet = build_network(recipe.spec)  # type: ignore[assignment]
        self.network.to(device)
        self.objective = Objective(self.network, recipe)
        trained = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(trained, lr=recipe.learning_rate)
        self.scaler = torch.amp.GradScaler(device.split(":")[0], enabled=recipe.precision == "fp16")
        self.step, self.best = 0, -1.0

    def resume(self) -> bool:
        """Continue from ``last.pt`` when the folder has one; say whether it did.

        Raises:
            WeightsError: it is damaged.
            UsageError: it belongs to another recipe or other data.
        """
        state = load_state(self.folder, self._fingerprint())
        if state is None:
            return False
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.best = state["step"], state["best"]
        return True

    def run(self, *, quiet: bool) -> None:
        """Train from the current step to the last, saving on the way and at the end.

        Raises:
            KeyboardInterrupt: after Ctrl-C, with the state saved.
            OutputError: state or metrics cannot be written.
            DeviceError: the device has not enough memory.
            DataError: a file changed since it was checked.
        """
        log = MetricsLog(self.folder, self.step) if self.processes.is_first else None
        try:
            with stop_requests() as stop:
                self._run(stop, log, quiet=quiet or log is None)
        except torch.OutOfMemoryError as err:
            raise DeviceError(
                f"{self.device} has not enough memory: {err}",
                hint="use a smaller --batch, --precision bf16, or more processes",
            ) from err
        finally:
            if log is not None:
                log.close()

    def _run(self, stop: StopRequest, log: MetricsLog | None, *, quiet: bool) -> None:
        objective: nn.Module = self.objective.train()
        if self.processes.world_size > 1:
            objective = DistributedDataParallel(objective)
        batches = prefetch(self.batches.since(self.step, self.num_steps), depth=2)
        saved = time.monotonic()
        with (
            closing(batches),
            tqdm(total=self.num_steps, initial=self.step, unit="step", disable=quiet) as bar,
        ):
            for batch in batches:
                result = self._train_step(objective, batch, stop)
                self.step += 1
                measured = dict(result.losses)
                if self._validation_is_due():
                    measured["val_mean_iou"] = self._validate()
                bar.update()
                bar.set_postfix(loss=measured["loss"], best=self.best)
                if log is not None:
                    log.add(self.step, measured)
                due = time.monotonic() - saved > SAVE_EVERY_SECONDS
                if result.stops or due or "val_mean_iou" in measured:
                    self.save()
                    saved = time.monotonic()
                if result.stops:
                    stop.leave()
        self.save()

    def save(self) -> None:
        """Write the whole state to ``last.pt``, whole or not at all; the first process does.

        Raises:
            OutputError: it cannot be written.
        """
        if self.processes.is_first:
            state = {
                "step": self.step,
                "best": self.best,
                "network": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "fingerprint": json.dumps(self._fingerprint()),
            }
            save_state(self.folder, state)

    def export(self, name: str, scores: Mapping[str, float]) -> Path:
        """Write the network as it is as a checkpoint with golden into the run's folder.

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
            "source": f"avs train, recipe {recipe.name}, seed {recipe.seed}, {self.step} steps",
        }
        scenes = SceneClips(TEST_SEEDS[:1], recipe.spec.clip_length, recipe.spec.frame_size_hw)
        golden_inputs = batch_of([scenes.read(0)], recipe.spec).inputs
        save_checkpoint(
            self.folder / name, self.network.state_dict(), info, golden_inputs=golden_inputs
        )
        return self.folder / name

    def _fingerprint(self) -> dict[str, object]:
        return {**self.recipe.fingerprint(), "data": self.sources.sizes()}

    def _train_step(self, objective: nn.Module, batch: ClipBatch, stop: StopRequest) -> StepResult:
        # Own numbers for every step, so that nothing of the generators has to be saved.
        seed = np.random.SeedSequence([self.recipe.seed, self.step, self.processes.rank])
        torch.manual_seed(int(seed.generate_state(1)[0]))
        facts = torch.tensor([float(batch.labelled.sum()), float(stop.is_made)])
        num_labelled, num_stops = self.processes.sum(facts.to(self.device)).tolist()
        with self._autocast():
            totals = objective(batch.to(self.device))
        # Processes average their gradients, so each counts its part of the batch that often.
        share = self.processes.world_size / max(1.0, num_labelled)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(totals.sum() * share).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        means = self.processes.sum(totals.detach().clone()) / max(1.0, num_labelled)
        stages = {f"stage{k}": value for k, value in enumerate(means.tolist(), start=1)}
        return StepResult({"loss": float(means.sum()), **stages}, stops=num_stops > 0)

    def _autocast(self) -> torch.autocast:
        precision = self.recipe.precision
        return torch.autocast(
            self.device.split(":")[0], _DTYPES[precision], enabled=precision != "fp32"
        )

    def _validation_is_due(self) -> bool:
        epoch, rest = divmod(self.step, self.batches.steps_per_epoch)
        since = epoch - self.recipe.validate_from
        regular = rest == 0 and since >= 0 and since % self.recipe.validate_every == 0
        return regular or self.step == self.num_steps

    def _validate(self) -> float:
        """Score the network on validation; keep it when it is the best so far."""
        self.processes.share_buffers(self.network)
        self.objective.eval()
        sums = OverlapSums(self.recipe.spec.num_classes)
        with torch.inference_mode(), closing(prefetch(self._validation_clips(), depth=4)) as clips:
            for clip in clips:
                batch = batch_of([clip], self.recipe.spec).to(self.device)
                with self._autocast():
                    logits = self.network(batch.inputs).logits
                sums.add(logits, batch.targets, batch.labelled)
        self.objective.train()
        score = sums.mean_iou(self.processes, self.device)
        if score > self.best:
            self.best = score
            if self.processes.is_first:
                self.export(BEST_FILE, {"val_mean_iou": score})
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

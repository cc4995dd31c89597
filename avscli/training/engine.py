"""The training engine: steps, averages, saving, resuming; it knows no network and no data.

task ─▶ batches ─▶ prefetch ─▶ losses ─▶ optimizer ─▶ averages ─▶ state, metrics, progress

Step k depends on the task and k alone: which samples it shows and every random number. A run that
was stopped and resumed is therefore the run that was not.
"""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from avscli.errors import DeviceError, UsageError
from avscli.media.prefetch import prefetch
from avscli.training.process_group import ProcessGroup
from avscli.training.state import MetricsLog, load_state, save_state
from avscli.training.stopping import StopRequest, stop_requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from avscli.config import Precision

    Tensors = Sequence[Tensor]

SAVE_EVERY_SECONDS = 300.0
_AHEAD = 4  # batches drawn while the network trains
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Batch(Protocol):
    """What one step shows."""

    @property
    def num_labelled(self) -> int:
        """Over how many labelled steps, or samples, its losses are summed."""
        ...

    def to(self, device: str) -> Batch:
        """Return the same batch on another device."""
        ...


class Task(Protocol):
    """What is trained, on what, towards what: all that the engine leaves open.

    Attributes:
        network: whose weights are the result.
        objective: a module around it, from a batch to its losses by name, each a sum over what
            `Batch.num_labelled` counts.
        optimizer: of what is trained.
        num_steps: of the whole run.
        device: where the network lies.
        precision: of the arithmetic.
        gradient_norm: which gradients are cut down to; None leaves them.
        ema_decay: of the averaged weights, once these have seen many steps; None keeps no averages.
        phases: steps before which the averaged weights become the network's own.
    """

    network: nn.Module
    objective: nn.Module
    optimizer: torch.optim.Optimizer
    num_steps: int
    device: str
    precision: Precision
    gradient_norm: float | None
    ema_decay: float | None
    phases: frozenset[int]

    def fingerprint(self) -> Mapping[str, object]:
        """Return what must be as it was for a run to go on, as plain JSON values."""
        ...

    def batches(self, step: int) -> Iterator[Batch]:
        """Yield the batches of all steps from this one on."""
        ...

    def begin(self) -> None:
        """Make the network ready for steps."""
        ...

    def begin_phase(self, step: int) -> None:
        """Change the network, in place, before a phase begins with this step."""
        ...

    def prepare(self, step: int) -> None:
        """Set rates, and what is frozen, for a step."""
        ...

    def seed(self, step: int) -> int:
        """Return what all random numbers of a step follow from."""
        ...

    def weight_of(self, loss: str) -> float:
        """Return what a loss counts."""
        ...

    def after(self, step: int) -> Mapping[str, float]:
        """Return what is measured when so many steps are done; mostly nothing is."""
        ...

    def state(self) -> Mapping[str, object]:
        """Return what has to be saved beside network and optimizer."""
        ...

    def load_state(self, state: Mapping[str, object]) -> None:
        """Take over what `state` returned."""
        ...


class Progress(NamedTuple):
    """Where a run is.

    Attributes:
        step: how many steps are done.
        measured: in the last one, by name: losses, and what the task measures.
    """

    step: int
    measured: Mapping[str, float]


class StepResult(NamedTuple):
    """What one step gave, the same in every process.

    Attributes:
        losses: by name, means over the whole batch; ``loss`` is their weighted sum.
        stops: whether any process was asked to stop.
    """

    losses: dict[str, float]
    stops: bool


class Engine:
    """One run in one folder: ``last.pt`` (resumable), ``metrics.jsonl``.

    Args:
        task: to train.
        folder: exists and can be written to.
        processes: that train together.

    Attributes:
        step: how many are done.
        average: the averaged network, for tasks that keep one, from the first step on.
    """

    def __init__(self, task: Task, folder: Path, *, processes: ProcessGroup | None = None) -> None:
        self.task, self.folder = task, folder
        self.processes = processes or ProcessGroup()
        self.step = 0
        self.average: AveragedModel | None = None
        self._scaler = torch.amp.GradScaler(
            task.device.split(":")[0], enabled=task.precision == "fp16"
        )

    def weights(self) -> Mapping[str, Tensor]:
        """Return what was learned: the averages where there are any."""
        network = self.task.network if self.average is None else self.average.module
        weights: Mapping[str, Tensor] = network.state_dict()
        return weights

    def resume(self) -> bool:
        """Continue from ``last.pt`` when the folder has one; say whether it did.

        Raises:
            WeightsError: it is damaged.
            UsageError: it belongs to another recipe or other data.
        """
        state = load_state(self.folder, self.task.fingerprint())
        if state is None:
            return False
        self.task.network.load_state_dict(state["network"])
        self.task.optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        self.task.load_state(state["task"])
        if state["average"] is not None:
            self.average = self._new_average()
            # As they were saved, memory layout and all: another one rounds otherwise.
            self.average.load_state_dict(state["average"], assign=True)
        self.step = state["step"]
        return True

    def save(self) -> None:
        """Write the whole state to ``last.pt``, whole or not at all; the first process does.

        Raises:
            OutputError: it cannot be written.
        """
        if self.processes.is_first:
            state = {
                "step": self.step,
                "network": self.task.network.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
                "optimizer": self.task.optimizer.state_dict(),
                "scaler": self._scaler.state_dict(),
                "task": self.task.state(),
                "fingerprint": json.dumps(self.task.fingerprint()),
            }
            save_state(self.folder, state)

    def run(self, on_progress: Callable[[Progress], None]) -> None:
        """Train from the current step to the last, saving on the way and at the end.

        Args:
            on_progress: told after each step.

        Raises:
            KeyboardInterrupt: after Ctrl-C, with the state saved.
            OutputError: state or metrics cannot be written.
            DeviceError: the device has not enough memory.
            DataError: a file changed since it was checked.
        """
        log = MetricsLog(self.folder, self.step) if self.processes.is_first else None
        try:
            with stop_requests() as stop:
                self._run(stop, log, on_progress)
        except torch.OutOfMemoryError as err:
            raise DeviceError(
                f"{self.task.device} has not enough memory: {err}",
                hint="use a smaller --batch, --precision bf16, or more processes",
            ) from err
        finally:
            if log is not None:
                log.close()

    def _run(
        self, stop: StopRequest, log: MetricsLog | None, on_progress: Callable[[Progress], None]
    ) -> None:
        if self.average is None and self.task.ema_decay is not None:
            self.average = self._new_average()
        self.task.begin()
        objective = self.task.objective
        if self.processes.world_size > 1:
            objective = DistributedDataParallel(objective)
        saved = time.monotonic()
        with closing(prefetch(self.task.batches(self.step), depth=_AHEAD)) as batches:
            for batch in batches:
                result = self._train_step(objective, batch, stop)
                self.step += 1
                found = self.task.after(self.step)
                measured = {**result.losses, **found}
                if log is not None:
                    log.add(self.step, measured)
                on_progress(Progress(self.step, measured))
                if result.stops or found or time.monotonic() - saved > SAVE_EVERY_SECONDS:
                    self.save()
                    saved = time.monotonic()
                if result.stops:
                    stop.leave()
        self.save()

    def _train_step(self, objective: nn.Module, batch: Batch, stop: StopRequest) -> StepResult:
        task = self.task
        if self.step in task.phases:
            self._begin_phase()
        task.prepare(self.step)
        # Own numbers for every step, so that nothing of the generators has to be saved.
        torch.manual_seed(task.seed(self.step))
        facts = torch.tensor([float(batch.num_labelled), float(stop.is_made)])
        count, num_stops = self.processes.sum(facts.to(task.device)).tolist()
        with autocast(task.precision, task.device):
            losses: dict[str, Tensor] = objective(batch.to(task.device))
        totals = torch.stack(list(losses.values()))
        weights = totals.new_tensor([task.weight_of(name) for name in losses])
        # Processes average their gradients, so each counts its part of the batch that often.
        self._learn((weights * totals).sum() * (self.processes.world_size / max(1.0, count)))
        means = self.processes.sum(totals.detach().clone()) / max(1.0, count)
        named = dict(zip(losses, means.tolist(), strict=True))
        return StepResult({"loss": float((weights * means).sum()), **named}, stops=num_stops > 0)

    def _learn(self, loss: Tensor) -> None:
        task, optimizer = self.task, self.task.optimizer
        optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if task.gradient_norm is not None:
            self._scaler.unscale_(optimizer)
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, task.gradient_norm)
        self._scaler.step(optimizer)
        self._scaler.update()
        if self.average is not None:
            self.average.update_parameters(task.network)

    def _begin_phase(self) -> None:
        """Keep the averages as the network, and average anew from there."""
        if self.average is not None:
            self.task.network.load_state_dict(self.average.module.state_dict())
        self.task.begin_phase(self.step)
        if self.average is not None:
            self.average = self._new_average()

    def _new_average(self) -> AveragedModel:
        """Return an average that has seen the network as it is, and nothing else."""
        decay = self.task.ema_decay
        assert decay is not None

        def update(averages: Tensors, values: Tensors, num_seen: Tensor | int) -> None:
            # A young average would remember the start: its memory grows with the phase.
            kept = min(decay, int(num_seen) / (9 + int(num_seen)))
            for average, value in zip(averages, values, strict=True):
                if value.dtype.is_floating_point:
                    average.lerp_(value, 1 - kept)
                else:
                    average.copy_(value)

        average = AveragedModel(self.task.network, multi_avg_fn=update, use_buffers=True)
        average.n_averaged.fill_(1)
        return average


def autocast(precision: Precision, device: str) -> torch.autocast:
    """Compute in this arithmetic, as long as the context lasts."""
    kind = device.split(":")[0]
    return torch.autocast(kind, _DTYPES[precision], enabled=precision != "fp32")


def require_precision(precision: Precision, device: str) -> None:
    """Check that a device trains in this arithmetic.

    Raises:
        UsageError: fp16 is asked of anything but CUDA.
    """
    if precision == "fp16" and "cuda" not in device:
        raise UsageError("fp16 trains on CUDA only", hint="use --precision bf16")

"""One training run on labelled clips, from a recipe to a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from avscli.datasets.registry import kinds_for
from avscli.devices import choose_device
from avscli.errors import DataError
from avscli.training.clips.sources import open_sources
from avscli.training.clips.task import BEST_FILE, LAST_FILE, ClipTask
from avscli.training.engine import Engine
from avscli.training.process_group import ProcessGroup, joined_processes, own_device
from avscli.training.runs import progress_bar, require_checked, require_no_run
from avscli.training.start import StartWeights
from avscli.training.state import make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from avscli.training.clips.recipe import ClipRecipe
    from avscli.training.clips.sources import DataRoot


@dataclass(frozen=True, slots=True)
class ClipRun:
    """Where a run reads and writes, and how it runs.

    Attributes:
        folder: of the run's state, metrics and checkpoints.
        data: copies to train on.
        start: weights to start from.
        device: as on the command line.
        resume: go on with the run in the folder.
        quiet: no progress.
    """

    folder: Path
    data: Sequence[DataRoot]
    start: StartWeights = field(default_factory=StartWeights)
    device: str = "auto"
    resume: bool = False
    quiet: bool = False


def train_clips(recipe: ClipRecipe, run: ClipRun, *, warn: Callable[[str], None]) -> Path | None:
    """Check the data, train and keep the best network on validation, with its golden.

    Args:
        recipe: what to do.
        run: where and how.
        warn: told about devices that cannot be used.

    Returns:
        The checkpoint of the best epoch, with its score; None in all processes but the first.

    Raises:
        DataError: a file of the data is not as its format says.
        UsageError: options that do not go together, or another run's folder to resume.
        OutputError: the folder holds another run, cannot be written to, or the disk is full.
        WeightsError: start weights or saved state cannot be used.
        DeviceError: no such device, or it has not enough memory.
        KeyboardInterrupt: after Ctrl-C, with the state saved.
    """
    if not run.resume:
        require_no_run(run.folder)
    device = own_device(choose_device(run.device, warn))
    with joined_processes(device) as processes:
        sources = open_sources(run.data, recipe.spec)
        make_folder(run.folder)
        task = ClipTask(recipe, sources, folder=run.folder, device=device, processes=processes)
        engine = Engine(task, run.folder, processes=processes)
        if not (run.resume and engine.resume()):
            _check_once(run, device, processes)
            task.side.start(run.start, freezes_audio=recipe.freezes_audio)
        quiet = run.quiet or not processes.is_first
        with progress_bar(task.num_steps, done=engine.step, quiet=quiet) as tell:
            engine.run(tell)
        if not processes.is_first:
            return None
        task.export(LAST_FILE, {}, step=engine.step)
        return run.folder / BEST_FILE


def _check_once(run: ClipRun, device: str, processes: ProcessGroup) -> None:
    """Let the first process check the data, and all of them go on or none."""
    refusal: DataError | None = None
    if processes.is_first:
        try:
            for root in run.data:
                if root.kind in kinds_for("check"):
                    require_checked(root.kind, root.root, quiet=run.quiet)
        except DataError as err:
            refusal = err
    refused = processes.sum(torch.tensor([float(refusal is not None)], device=device))
    if refusal is not None:
        raise refusal
    if refused.any():
        raise DataError("the first process refused the data")

"""Workers on a Ray cluster: one actor per GPU or CPU slot, each holding the network.

Ray places the actors, starts them on other nodes and notices when they die; jobs of dead actors
come back as `Lost`, and a new actor is asked for. Inputs, outputs and weights must lie on storage
that all nodes see under the same paths, which is checked before the first job.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from avscli import __version__
from avscli.batch.child import Message
from avscli.batch.executors import Finished, Lost, Started, Update, Warned, error_from, overdue
from avscli.batch.jobs import Job, JobResult, options_from_json, to_json
from avscli.batch.worker import do_job, try_to_open
from avscli.errors import DeviceError, MissingExtraError
from avscli.outputs.disk import output_errors
from avscli.outputs.run_folder import clear_partial

if TYPE_CHECKING:
    from types import ModuleType, TracebackType

    from avscli.batch.executors import Work
    from avscli.config import BatchOptions, SegmentOptions

CONNECT_SECONDS = 10.0
PATIENCE_SECONDS = 300.0  # for the first of the workers; clusters may have to grow
KILL_SECONDS = 10.0  # how long an actor that was told to end may go on


class RayWorker:
    """What runs in an actor.

    Args:
        weights: as for ``avs segment``.
        options: `SegmentOptions` as JSON values.
    """

    def __init__(self, weights: str, options: Message) -> None:
        self._weights, self._options = weights, options_from_json(options)

    def open(self) -> Message:
        """Load the network; say that it is ready, or why it is not."""
        self._runtime, message = try_to_open(self._weights, self._options)
        return message

    def do(self, job: Message) -> Message:
        """Do a job, given and returned as JSON values."""
        assert self._runtime is not None, "it was ready"
        result, is_clean = do_job(Job(**job), self._runtime, self._options, lambda _progress: None)
        return {"event": "result", "result": to_json(result), "is_clean": is_clean}


@dataclass(slots=True)
class _Slot:
    """A place for an actor, and the answer it owes: to `open` until it is ready, then to `do`."""

    index: int
    actor: Any
    answer: Any
    is_ready: bool = False
    job: Job | None = None
    deadline: float | None = None


class RayCluster:
    """Actors on a Ray cluster that is running already, or on one started on this machine.

    Args:
        work: what all jobs have in common.
        batch: address, number of workers and time-out.
        output: the batch's folder, which every node must see.
        inputs: sources that every node must see, one of each disk they lie on.
    """

    def __init__(
        self, work: Work, batch: BatchOptions, *, output: Path, inputs: Sequence[Path]
    ) -> None:
        self._ray = _load_ray()
        self._work, self._batch, self._output, self._inputs = work, batch, output, inputs
        self._slots: list[_Slot] = []
        self._updates: list[Update] = []
        self._deserted_since = time.monotonic()
        self.num_workers = batch.workers or 1

    def __enter__(self) -> Self:
        """Join the cluster, check its nodes, and ask for the workers.

        Raises:
            DeviceError: there is no cluster at the address, or a node of it lacks something.
            OutputError: the output folder cannot be written.
        """
        _require_listener(self._batch.ray_address)
        try:
            self._ray.init(
                address=self._batch.ray_address, log_to_driver=False, logging_level="ERROR"
            )
        except (ConnectionError, ValueError, RuntimeError) as err:  # the last: other versions
            raise DeviceError(
                f"cannot join the Ray cluster at {self._batch.ray_address}: {err}",
                hint="start one with ray start --head, or leave --ray-address out",
            ) from err
        try:
            self._check_nodes()
            self._kind = self._ray.remote(RayWorker).options(**self._slot_resources())
            self._slots = [self._new_slot(i) for i in range(self.num_workers)]
        except BaseException:
            self._ray.shutdown()
            raise
        self._deserted_since = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all actors and leave the cluster."""
        for slot in self._slots:
            self._end(slot)
        self._ray.shutdown()

    @property
    def num_free(self) -> int:
        """How many more jobs can be taken on: only by workers that are there."""
        return sum(slot.is_ready and slot.job is None for slot in self._slots)

    def submit(self, job: Job) -> None:
        """Give a job to a worker that is ready."""
        slot = next(slot for slot in self._slots if slot.is_ready and slot.job is None)
        there = replace(job, source=str(Path(job.source).absolute()))  # nodes stand elsewhere
        there = replace(there, folder=str(Path(job.folder).absolute()))
        slot.job, slot.answer = job, slot.actor.do.remote(to_json(there))
        if self._batch.timeout_seconds is not None:
            slot.deadline = time.monotonic() + self._batch.timeout_seconds
        self._updates.append(Started(slot.index, job))

    def updates(self, seconds: float) -> Sequence[Update]:
        """Return what has happened, after waiting for that long at most.

        Raises:
            AvscliError: the weights do not load, or no worker ever starts.
        """
        found, self._updates = self._updates, []
        waiting = {slot.answer: slot for slot in self._slots if slot.answer is not None}
        answered, _ = self._ray.wait(list(waiting), timeout=0 if found else seconds)
        for answer in answered:
            found += self._understood(waiting[answer])
        self._require_workers()
        return found + overdue(self._slots, self._batch.timeout_seconds, self._replace)

    def _understood(self, slot: _Slot) -> list[Update]:
        try:
            message: Message = self._ray.get(slot.answer)
        except self._ray.exceptions.RayError as err:
            return self._after_death(slot, err)
        slot.answer = None
        if message["event"] == "unusable":
            raise error_from(message)
        if message["event"] == "ready":
            slot.is_ready = True
            return [Warned(warning) for warning in message["warnings"]]
        assert slot.job is not None, "only jobs have results"
        job, slot.job, slot.deadline = slot.job, None, None
        if not message["is_clean"]:
            self._replace(slot)
        return [Finished(slot.index, job, JobResult.from_json(message["result"]))]

    def _after_death(self, slot: _Slot, err: Exception) -> list[Update]:
        job = slot.job
        self._replace(slot)
        # Ray does not tell a decoder that crashes from a node that is switched off.
        why = f"its worker died: {str(err).strip().splitlines()[0]}"
        return [] if job is None else [Lost(slot.index, job, why, had_begun=True)]

    def _require_workers(self) -> None:
        if any(slot.is_ready for slot in self._slots):
            self._deserted_since = time.monotonic()
        elif time.monotonic() - self._deserted_since > PATIENCE_SECONDS:
            raise DeviceError(
                f"no worker could start on the Ray cluster in {PATIENCE_SECONDS:g} s",
                hint="see ray status for what it lacks, or ask for fewer --workers",
            )

    def _new_slot(self, index: int) -> _Slot:
        actor = self._kind.remote(self._weights(), to_json(self._options()))
        return _Slot(index, actor, actor.open.remote())

    def _replace(self, slot: _Slot) -> None:
        self._end(slot)
        self._slots[self._slots.index(slot)] = self._new_slot(slot.index)

    def _end(self, slot: _Slot) -> None:
        self._ray.kill(slot.actor)
        if slot.job is not None:
            name = Path(slot.job.source).name
            clear_partial(Path(slot.job.folder), name, patience_seconds=KILL_SECONDS)

    def _weights(self) -> str:
        path = Path(self._work.weights)
        return str(path.absolute()) if path.is_file() else self._work.weights

    def _options(self) -> SegmentOptions:
        device = self._work.options.device
        return replace(self._work.options, device="cuda" if self._wants_gpu() else device)

    def _wants_gpu(self) -> bool:
        device = self._work.options.device
        has_gpus = self._ray.cluster_resources().get("GPU", 0) >= 1
        return device.startswith("cuda") or (device == "auto" and has_gpus)

    def _slot_resources(self) -> dict[str, Any]:
        """Choose the number of workers, and return what each of them takes."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        kind = "GPU" if self._wants_gpu() else "CPU"
        slots = max(1, int(sum(node.get(kind, 0) for node in nodes)))
        self.num_workers = self._batch.workers or slots
        if kind == "GPU":
            return {"num_gpus": 1, "num_cpus": 1}
        cores = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
        smallest = min(cores, default=1)  # a cluster that grows may have none yet
        return {"num_cpus": max(1, min(slots // self.num_workers, smallest))}

    def _check_nodes(self) -> None:
        """Let every node look for inputs, weights and a file just written to the output folder.

        Raises:
            DeviceError: a node does not find them, or has another version of avscli.
            OutputError: the output folder cannot be written.
        """
        token = self._output.absolute() / f".seen-by-all-{uuid.uuid4().hex}"
        weights = Path(self._weights())
        paths = [token, *self._inputs, *([weights] if weights.is_file() else [])]
        with output_errors(token):
            token.touch()
        try:
            nodes = [node for node in self._ray.nodes() if node["Alive"]]
            looks = [self._look_from(node, paths) for node in nodes]  # all at once
            for node, look in zip(nodes, looks, strict=True):
                self._check_node(node, look)
        finally:
            token.unlink(missing_ok=True)

    def _look_from(self, node: dict[str, Any], paths: Sequence[Path]) -> Any:
        there = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            node["NodeID"], soft=False
        )
        look = self._ray.remote(_look).options(num_cpus=0, scheduling_strategy=there)
        return look.remote([str(path) for path in paths])

    def _check_node(self, node: dict[str, Any], look: Any) -> None:
        name = f"{node['NodeName']} ({node['NodeManagerAddress']})"
        try:
            missing, version = self._ray.get(look)
        except self._ray.exceptions.RayError as err:
            raise DeviceError(
                f"the Ray node {name} cannot run avscli: {str(err).strip().splitlines()[-1]}",
                hint="install the same avscli on every node",
            ) from err
        if version != __version__:
            raise DeviceError(
                f"the Ray node {name} has avscli {version}, this is {__version__}",
                hint="install the same avscli on every node",
            )
        if missing:
            is_output = Path(missing[0]).parent == self._output.absolute()
            raise DeviceError(
                f"the Ray node {name} does not see "
                + (f"the output folder {self._output}" if is_output else missing[0]),
                hint="put inputs, outputs and weights on storage that all nodes share, "
                "under the same paths",
            )


def _look(paths: Sequence[str]) -> tuple[list[str], str]:
    """Say, on some node, which paths are not seen there, and which version looks."""
    return [path for path in paths if not os.path.lexists(path)], __version__


def _require_listener(address: str | None) -> None:
    """Check that somebody listens at an address of the form host:port: Ray itself waits minutes.

    Raises:
        DeviceError: nobody does.
    """
    host, _, port = (address or "").rpartition(":")
    if not (host and port.isdecimal()) or "://" in host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as err:
        raise DeviceError(
            f"cannot join the Ray cluster at {address}: {err.strerror or err}",
            hint="start one with ray start --head, or leave --ray-address out",
        ) from err


def _load_ray() -> ModuleType:
    try:
        ray = import_module("ray")
        import_module("ray.util.scheduling_strategies")
    except ImportError as err:
        raise MissingExtraError(
            "--engine ray needs the package ray", hint='pip install "avscli[ray]"'
        ) from err
    return ray

"""Where and in which arithmetic a network runs, found out before the first frame."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, fields, is_dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import numpy as np
import torch

from avscli.arithmetic import fastest, remembered
from avscli.datatypes import NetworkInput, NetworkOutput
from avscli.errors import DeviceError, WeightsError
from avscli.masks import MaskRule, mask_iou
from avscli.networks.contract import HearsApart
from avscli.networks.folding import fold_batch_norms, fuse_activations
from avscli.passes import Passes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

    from avscli.config import DevicePrecision, Precision
    from avscli.datatypes import CheckpointInfo, NetworkSpec
    from avscli.masks import BoolMask
    from avscli.networks.contract import AVSNetwork
    from avscli.preprocess import SoundEncoder

OutputT = TypeVar("OutputT")  # `NetworkOutput`, or what one of its fields holds
GOLDEN_IOU = 0.99  # a faster arithmetic must give these masks, or it is not used
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_FALLBACKS = ("cuda", "mps", "cpu")
_CLIPS_PER_PASS = {"cuda": 16, "mps": 8, "cpu": 4}


class Runtime(Protocol):
    """A network somewhere that runs it: all that a run knows of the two.

    Attributes:
        warnings: what was told about the device so far.
    """

    warnings: list[str]

    @property
    def clips_at_once(self) -> int:
        """Clips that are best given to it together."""
        ...

    @property
    def warn(self) -> Callable[[str], None]:
        """Where warnings go."""
        ...

    @property
    def spec(self) -> NetworkSpec:
        """What the network expects and promises."""
        ...

    @property
    def checkpoint(self) -> CheckpointInfo | None:
        """Where its weights came from; None before any were loaded."""
        ...

    def forward(self, inputs: NetworkInput) -> NetworkOutput:
        """Run a batch, of any size; outputs are float32 on the CPU.

        Raises:
            DeviceError: the device cannot do it.
            WeightsError: the network gives values that are not numbers.
        """
        ...

    @property
    def sound_encoder(self) -> SoundEncoder | None:
        """Makes embeddings of log-mel patches for `NetworkInput.embeddings`, in any thread.

        None where the network takes patches alone.
        """
        ...

    def facts(self) -> dict[str, str | int]:
        """Return where and how the network runs, for reports."""
        ...


@dataclass(slots=True)
class TorchRuntime:
    """A PyTorch network on its device, and how many clips it takes at once.

    Attributes:
        batch_clips: of a pass, at most; halved whenever the device runs out of memory.
        warn, warnings: as in `Runtime`.
        passes: how batches are divided.
    """

    network: AVSNetwork
    device: str
    precision: Precision
    batch_clips: int
    warn: Callable[[str], None]
    warnings: list[str] = field(default_factory=list)
    passes: Passes = field(default_factory=Passes)

    @property
    def clips_at_once(self) -> int:
        """Clips of all passes that run side by side."""
        return self.batch_clips * self.passes.at_once

    @property
    def spec(self) -> NetworkSpec:
        """What the network expects and promises."""
        return self.network.spec

    @property
    def checkpoint(self) -> CheckpointInfo | None:
        """Where its weights came from; None before any were loaded."""
        return self.network.checkpoint

    def forward(self, inputs: NetworkInput) -> NetworkOutput:
        """Run a batch; outputs are float32 on the CPU.

        A batch that does not fit is split, and later batches stay that small.

        Raises:
            DeviceError: not even one clip fits, or half precision is too coarse.
            WeightsError: the network gives values that are not numbers.
        """
        size = min(self._share_of(len(inputs.valid)), self.batch_clips)
        return _joined(self.passes.run(self._pass, _in_parts(inputs, size)))

    def _share_of(self, count: int) -> int:
        """Return how many each of the passes takes that run side by side."""
        return -(-count // self.passes.at_once)

    def _pass(self, inputs: NetworkInput) -> NetworkOutput:
        num_clips = len(inputs.valid)
        if num_clips > self.batch_clips:
            return _joined([self._pass(part) for part in _in_parts(inputs, self.batch_clips)])
        try:
            return self._checked(_run(self.network, inputs, self.device, self.precision), inputs)
        except RuntimeError as err:
            if not _is_out_of_memory(err):
                raise
            if num_clips == 1:
                raise DeviceError(
                    f"{self.device} has not enough memory for one clip: {err}",
                    hint="try --precision bf16, or --device cpu",
                ) from err
        self.batch_clips = max(1, num_clips // 2)
        torch.cuda.empty_cache()
        self.tell(f"{self.device} ran out of memory; going on with fewer clips a pass")
        return self._pass(inputs)

    @property
    def sound_encoder(self) -> SoundEncoder | None:
        """The network's own `HearsApart.encode_sound`, here."""
        return self._encode_sound if isinstance(self.network, HearsApart) else None

    def _encode_sound(self, log_mel: Tensor) -> Tensor:
        size = self._share_of(len(log_mel))
        parts = [log_mel[i : i + size] for i in range(0, len(log_mel), size)]
        return _joined(self.passes.run(self._encode_part, parts))

    def _encode_part(self, log_mel: Tensor) -> Tensor:
        assert isinstance(self.network, HearsApart)
        with _arithmetic(self.device, self.precision):
            return _on_cpu(self.network.encode_sound(log_mel.to(self.device)))

    def tell(self, message: str) -> None:
        """Keep a warning about the device and pass it on, once however often it comes."""
        if message not in self.warnings:
            self.warnings.append(message)
            self.warn(message)

    def facts(self) -> dict[str, str | int]:
        """Return where and how the network runs, for reports."""
        name = torch.cuda.get_device_name(self.device) if "cuda" in self.device else self.device
        return {
            "device": self.device,
            "name": name,
            "precision": self.precision,
            "batch_clips": self.batch_clips,
            "passes": self.passes.at_once,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }

    def _checked(self, output: NetworkOutput, inputs: NetworkInput) -> NetworkOutput:
        """Return the output when the finest logits of all valid steps are numbers.

        Infinities may be meant. Padded steps have nothing to attend to, and any value will do.
        """
        if not torch.isnan(output.logits[inputs.valid]).any():
            return output
        told = f"the network gives values that are not numbers in {self.precision}"
        if self.precision == "fp32":
            raise WeightsError(told, hint="its weights are damaged or not trained for this input")
        raise DeviceError(told, hint="try --precision fp32")


def choose_device(wanted: str, warn: Callable[[str], None]) -> str:
    """Return the device to use, after a small computation succeeded on it.

    Args:
        wanted: ``auto`` takes the first of cuda, mps, cpu that works; anything else is meant.
        warn: told once when an accelerator is present and does not work.

    Raises:
        DeviceError: an explicitly named device is unknown, absent or failing.
    """
    if wanted != "auto":
        if wanted.split(":")[0] not in _FALLBACKS:
            raise DeviceError(
                f"unknown device {wanted!r}", hint="use auto, cpu, cuda, cuda:N or mps"
            )
        problem = _problem_with(wanted)
        if problem:
            raise DeviceError(
                f"device {wanted} cannot be used: {problem}", hint="try --device auto"
            )
        return wanted
    for device in _FALLBACKS[:-1]:
        if not _is_present(device):
            continue
        problem = _problem_with(device)
        if problem is None:
            return device
        warn(f"{device} is present but cannot be used ({problem}); running on the CPU")
    return "cpu"


def choose_precision(
    wanted: DevicePrecision, device: str, has_golden_masks: Callable[[Precision], bool] | None
) -> Precision:
    """Resolve ``auto``: the fastest arithmetic of the device whose golden masks agree.

    Args:
        wanted: as asked for on the command line.
        device: a device that works.
        has_golden_masks: computes the golden in some precision, and returns whether that marks what
            the stored logits do; without one, CUDA takes bf16 and everything else fp32.
    """
    if wanted != "auto":
        return wanted
    is_cuda = device.startswith("cuda")
    if device.startswith("mps") or (is_cuda and not torch.cuda.is_bf16_supported()):
        return "fp32"
    if has_golden_masks is None:
        return "bf16" if is_cuda else "fp32"
    return fastest("fp32", ["bf16"], has_golden_masks)


def start(
    network: AVSNetwork,
    device: str,
    *,
    precision: DevicePrecision = "auto",
    batch_clips: int | None = None,
    golden: tuple[NetworkInput, Tensor] | None = None,
    warn: Callable[[str], None],
) -> TorchRuntime:
    """Put together a runtime for a network that already lies on its device.

    Args:
        network: loaded, in evaluation mode; its batch norms, and on a CPU its activations, become
            part of its convolutions, in place.
        device: where it lies; it works (`choose_device`).
        precision: ``auto`` measures on the golden, once per machine and checkpoint.
        batch_clips: clips per pass; None chooses by device.
        golden: the checkpoint's stored input and logits, when it has them.
        warn: told once when memory runs out.
    """

    fold_batch_norms(cast("nn.Module", network))
    if device == "cpu":
        fuse_activations(cast("nn.Module", network))

    def has_golden_masks(candidate: Precision) -> bool:
        assert golden is not None
        inputs, stored = golden
        logits = _run(network, inputs, device, candidate).logits
        found, expected = (_marked(each, network.spec) for each in (logits, stored))
        return mask_iou(found, expected) >= GOLDEN_IOU

    def chosen() -> Precision:
        return choose_precision(precision, device, has_golden_masks if golden else None)

    if precision == "auto" and golden is not None and network.checkpoint is not None:
        used = remembered(device, network.checkpoint.sha256, chosen)
    else:
        used = chosen()
    clips = batch_clips or max(1, _CLIPS_PER_PASS[device.split(":")[0]] // network.spec.clip_length)
    passes = Passes(torch.get_num_threads() if device == "cpu" else 1)
    return TorchRuntime(network, device, used, clips, warn, passes=passes)


def _marked(logits: Tensor, spec: NetworkSpec) -> BoolMask:
    """Return what the logits [B, T, C, h, w] of a golden mark, as one [B·T, h·w] mask."""
    rule = MaskRule.of(spec)
    steps = logits.flatten(0, 1).numpy()
    labels = [rule.label_map(step, step.shape[1:]) for step in steps]
    return np.stack(labels).reshape(len(steps), -1) > 0


def _is_present(device: str) -> bool:
    if device == "cuda":
        return torch.cuda.is_available()
    return torch.backends.mps.is_available()


def _problem_with(device: str) -> str | None:
    """Multiply two small matrices there; return why that failed, None when it did not."""
    try:
        ones = torch.ones(8, 8, device=device)
        return None if float((ones @ ones).sum()) == 512.0 else "it computes wrong numbers"
    except (RuntimeError, AssertionError) as err:  # torch says "not compiled with CUDA" so
        return str(err).splitlines()[0]


def _is_out_of_memory(err: RuntimeError) -> bool:
    # Only CUDA has a type for it; CPU and MPS say it in words.
    words = str(err).lower()
    return isinstance(err, torch.OutOfMemoryError) or (
        "out of memory" in words or "can't allocate memory" in words
    )


def _run(network: AVSNetwork, inputs: NetworkInput, device: str, precision: str) -> NetworkOutput:
    with _arithmetic(device, precision):
        output = network(inputs.to(device))
    return _on_cpu(output)


@contextmanager
def _arithmetic(device: str, precision: str) -> Iterator[None]:
    kind = device.split(":")[0]
    # fp32 means exact. It is said to the whole process, so not where passes run side by side.
    exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    with (
        torch.inference_mode(),
        torch.autocast(kind, _DTYPES[precision], enabled=precision != "fp32"),
        exact if kind == "cuda" else nullcontext(),
    ):
        yield


def _in_parts(inputs: NetworkInput, size: int) -> list[NetworkInput]:
    """Cut a batch into batches of as many clips."""
    return [
        inputs.of_each(itemgetter(slice(i, i + size))) for i in range(0, len(inputs.valid), size)
    ]


def _on_cpu(value: OutputT) -> OutputT:
    """Return an output, or a part of it, with its tensors in float32 on the CPU."""
    if isinstance(value, torch.Tensor):
        return value.float().cpu()  # type: ignore[return-value]
    if isinstance(value, tuple):
        return tuple(map(_on_cpu, value))  # type: ignore[return-value]
    if is_dataclass(value):
        parts = {each.name: _on_cpu(getattr(value, each.name)) for each in fields(value)}
        return replace(value, **parts)  # type: ignore[type-var]
    return value


def _joined(parts: Sequence[OutputT]) -> OutputT:
    """Return outputs of several batches, or the same part of each, as that of one batch."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, torch.Tensor):
        return torch.cat(parts)  # type: ignore[arg-type,return-value]
    if isinstance(first, tuple):
        return tuple(map(_joined, zip(*parts, strict=True)))  # type: ignore[return-value]
    if is_dataclass(first):
        names = [each.name for each in fields(first)]
        joined = {name: _joined([getattr(part, name) for part in parts]) for name in names}
        return replace(first, **joined)  # type: ignore[type-var]
    return first

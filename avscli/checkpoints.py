"""Networks from and to files: safetensors with their spec inside, hashes, goldens, the index.

A checkpoint is ``<name>.safetensors``; its metadata key ``avscli`` holds JSON with everything
needed to rebuild the network. Beside a shipped one lies ``<name>.golden.safetensors``: an input
and the logits it must give, so that any machine can check itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from avscli.datatypes import CheckpointInfo, NetworkInput, NetworkSpec
from avscli.errors import CheckpointMismatchError, OutputError, WeightsError
from avscli.json_values import decoded, parsed
from avscli.networks.registry import build_network
from avscli.networks.state_dicts import load_strictly
from avscli.shipped import find_checkpoint, list_shipped, sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from avscli.networks.contract import AVSNetwork

# 2: named sources have a hidden layer, and specs the sound around; 3: specs have operating points
FORMAT_VERSION = 3
GOLDEN_TOLERANCE = 2e-3  # largest logit difference between machines in float32
_METADATA_KEY = "avscli"
_TOLD = ("name", "spec", "trained_on", "scores", "licence", "source")  # by the metadata


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found out about one checkpoint on this machine."""

    name: str
    sha256_matches: bool
    max_logit_difference: float
    passed: bool


def read_info(path: Path) -> CheckpointInfo:
    """Read a checkpoint's metadata and hash without building its network.

    Raises:
        WeightsError: unreadable, not safetensors, or without our metadata.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = (file.metadata() or {}).get(_METADATA_KEY)
            count = sum(
                torch.Size(file.get_slice(key).get_shape()).numel()
                for key in file.keys()  # noqa: SIM118
            )
        if metadata is None:
            raise WeightsError(
                f"{path} is a safetensors file, but not an avscli checkpoint",
                hint="published .pth files enter through: avs models convert",
            )
        return _parse_info(parsed(metadata), sha256_of(path), count)
    except (OSError, SafetensorError) as err:
        raise WeightsError(
            f"{path} cannot be read as safetensors: {err}",
            hint="published .pth files enter through: avs models convert",
        ) from err
    except ValueError as err:
        raise WeightsError(
            f"{path}: the metadata is malformed: {err}", hint="fetch or convert the file again"
        ) from err


def load_network(name_or_path: str = "pcmanet-mini", device: str = "cpu") -> AVSNetwork:
    """Load a network in evaluation mode.

    Args:
        name_or_path: a shipped name (``avs models list``) or a .safetensors path.
        device: where to put it: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Returns:
        The network, float32, with its ``checkpoint`` filled in.

    Raises:
        UnknownNetworkError: no such name or file.
        WeightsError: damaged file, or a shipped file whose hash differs from the index.
        CheckpointMismatchError: the tensors do not fit the network the metadata names.
    """
    path = find_checkpoint(name_or_path)
    info = read_info(path)
    expected = _shipped_sha256(name_or_path)
    if expected is not None and expected != info.sha256:
        raise WeightsError(
            f"{path} is damaged: sha256 {info.sha256[:12]}…, expected {expected[:12]}…",
            hint="reinstall avscli",
        )
    network = _built(path, info.spec)
    with safe_open(str(path), framework="pt") as file:
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    module = cast("nn.Module", network)
    load_strictly(module, state, source=str(path))
    network.checkpoint = info
    module.eval().requires_grad_(False).to(device)
    if not device.startswith("mps"):  # untried there
        # A quarter less CPU time per frame; a test pins that the logits stay the same.
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def save_checkpoint(
    path: Path,
    state: Mapping[str, Tensor],
    info: Mapping[str, Any],
    *,
    dtype: torch.dtype = torch.float32,
    golden_inputs: NetworkInput | None = None,
) -> None:
    """Write weights and metadata, and the golden that belongs to them, whole or not at all.

    Args:
        path: the .safetensors file to write.
        state: a network's state dict.
        info: ``name``, ``spec`` (NetworkSpec), ``trained_on``, ``scores``, ``licence``, ``source``.
        dtype: in which floating tensors are stored; float16 halves the file, and loading makes
            float32 of it again.
        golden_inputs: stored beside the checkpoint with the logits that it gives for them on this
            machine's CPU; None leaves it without a golden.

    Raises:
        OutputError: it cannot be written; nothing is left behind.
    """
    spec: NetworkSpec = info["spec"]
    metadata = {"format_version": FORMAT_VERSION, **info, "spec": spec.to_json()}
    tensors = {
        k: (v.to(dtype) if v.is_floating_point() else v).contiguous() for k, v in state.items()
    }
    golden = golden_path(path)
    partial, partial_golden = (p.with_name(p.name + ".partial") for p in (path, golden))
    try:
        save_file(tensors, str(partial), metadata={_METADATA_KEY: json.dumps(metadata)})
        if golden_inputs is None:
            golden.unlink(missing_ok=True)  # it was of the checkpoint that is replaced
        else:
            save_file(_golden_of(partial, golden_inputs), str(partial_golden))
            partial_golden.replace(golden)  # first: a checkpoint under its name has its golden
        partial.replace(path)
    except (OSError, SafetensorError) as err:
        raise OutputError(
            f"cannot write {path}: {err}", hint="check the folder, its permissions and free space"
        ) from err
    finally:
        partial.unlink(missing_ok=True)
        partial_golden.unlink(missing_ok=True)


def golden_path(checkpoint: Path) -> Path:
    """Return where a checkpoint's golden lies."""
    return checkpoint.with_name(checkpoint.stem + ".golden.safetensors")


def _golden_of(checkpoint: Path, inputs: NetworkInput) -> dict[str, Tensor]:
    frames, log_mel = inputs.frames.half(), inputs.log_mel.half()
    # Loaded before: weights made in inference mode let no network ask for gradients of its own.
    network = load_network(str(checkpoint))
    with torch.inference_mode():
        logits = network(NetworkInput(frames.float(), log_mel.float(), inputs.valid)).logits
    tensors = {"frames": frames, "log_mel": log_mel, "valid": inputs.valid, "logits": logits}
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def read_golden(checkpoint: Path) -> tuple[NetworkInput, Tensor]:
    """Return the stored input and logits [B, T, C, h, w].

    Raises:
        WeightsError: there is no golden beside the checkpoint, or a damaged one.
    """
    path = golden_path(checkpoint)
    try:
        with safe_open(str(path), framework="pt") as file:
            frames, log_mel = (file.get_tensor(k).float() for k in ("frames", "log_mel"))
            valid, logits = file.get_tensor("valid"), file.get_tensor("logits")
    except (OSError, SafetensorError) as err:
        raise WeightsError(f"no golden to verify with at {path}: {err}") from err
    if not frames.ndim == log_mel.ndim == logits.ndim == 5 or valid.ndim != 2:
        raise WeightsError(f"{path} is damaged: its tensors are not of an input and its logits")
    if {each.shape[:2] for each in (log_mel, logits, valid)} != {frames.shape[:2]}:
        raise WeightsError(f"{path} is damaged: its tensors are of different clips")
    return NetworkInput(frames, log_mel, valid.bool()), logits


def verify(name_or_path: str, device: str = "cpu") -> Verification:
    """Check a shipped checkpoint's hash against the index, and any one's logits against its golden.

    Raises:
        WeightsError: unreadable file, or no golden beside it.
    """
    path = find_checkpoint(name_or_path)
    info = read_info(path)
    expected = _shipped_sha256(name_or_path)
    inputs, logits = read_golden(path)
    network = load_network(str(path), device)
    with torch.inference_mode():
        difference = float((network(inputs.to(device)).logits.cpu() - logits).abs().max())
    matches = expected in (None, info.sha256)
    return Verification(
        info.name, matches, difference, passed=matches and difference <= GOLDEN_TOLERANCE
    )


def require_verified(name_or_path: str, device: str = "cpu") -> Verification:
    """Return the verification of a checkpoint that passes it.

    Raises:
        WeightsError: it does not pass, is unreadable, or has no golden.
    """
    verification = verify(name_or_path, device)
    if not verification.sha256_matches:
        raise WeightsError(f"{name_or_path} is damaged: its sha256 is not the index's")
    if not verification.passed:
        raise WeightsError(
            f"{name_or_path} computes other logits on {device} than when it was made: they "
            f"differ by {verification.max_logit_difference:.1e}, allowed {GOLDEN_TOLERANCE:.0e}"
        )
    return verification


def _shipped_sha256(name_or_path: str) -> str | None:
    """Return what the index says of a shipped name; None for a path, which may be called alike."""
    if Path(name_or_path) == find_checkpoint(name_or_path):
        return None
    return next(entry.sha256 for entry in list_shipped() if entry.name == name_or_path)


def _built(path: Path, spec: NetworkSpec) -> AVSNetwork:
    try:
        return build_network(spec)
    except (KeyError, TypeError, ValueError) as err:
        raise CheckpointMismatchError(
            f"{path}: its spec describes no {spec.network} network ({type(err).__name__}: {err})",
            hint="check where the file comes from",
        ) from err


def _parse_info(metadata: object, sha256: str, num_parameters: int) -> CheckpointInfo:
    if not isinstance(metadata, dict) or not isinstance(metadata.get("format_version"), int):
        raise ValueError("it names no format_version")  # noqa: TRY004 – of the file, not of ours
    version = metadata["format_version"]
    if version > FORMAT_VERSION:
        raise WeightsError(
            f"checkpoint format {version} is newer than this avscli reads ({FORMAT_VERSION})",
            hint="upgrade avscli",
        )
    told = {name: metadata[name] for name in _TOLD if name in metadata}
    found = {"sha256": sha256, "num_parameters": num_parameters}
    return decoded(CheckpointInfo, told | found)

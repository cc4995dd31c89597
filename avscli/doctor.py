"""Is this machine ready? Versions, device, FFmpeg, weights, and one clip through the network."""

from __future__ import annotations

import platform
import time
from importlib import metadata
from typing import TYPE_CHECKING

import torch

from avscli import __version__
from avscli.checkpoints import find_checkpoint, list_shipped, load_network, read_golden, verify
from avscli.config import DEFAULT_WEIGHTS
from avscli.devices import choose_device, start
from avscli.errors import AvscliError, DeviceError
from avscli.media.capabilities import available_encoders, library_versions, program

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PACKAGES = ("torch", "numpy", "av", "opencv-python-headless", "pycocotools", "safetensors")


def examine(device: str, warn: Callable[[str], None]) -> dict[str, object]:
    """Look at everything ``avs segment`` needs.

    Args:
        device: as for ``avs segment``.
        warn: told about an accelerator that is present and fails.

    Returns:
        JSON-able facts; ``problems`` lists what stands in the way, empty when nothing does.
    """
    problems: list[str] = []
    facts: dict[str, object] = {
        "avs": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
        "packages": {name: _version(name, problems) for name in _PACKAGES},
        "ffmpeg_libraries": dict(library_versions()),
        "encoders": available_encoders(),
    }
    if "libx264" not in available_encoders():
        problems.append("the FFmpeg libraries lack libx264: overlays cannot be written")
    try:
        facts["ffmpeg_program"] = " ".join(program())
    except RuntimeError as err:
        problems.append(f"no ffmpeg program: {err}")
    facts["weights"] = [_weights_line(entry.name, problems) for entry in list_shipped()]
    facts["self_test"] = _self_test(device, warn, problems)
    facts["problems"] = problems
    return facts


def require_healthy(facts: Mapping[str, object]) -> None:
    """Raise when `examine` found problems.

    Raises:
        DeviceError: something that ``avs segment`` needs is missing or fails.
    """
    problems = facts["problems"]
    assert isinstance(problems, list)
    if problems:
        raise DeviceError(f"{len(problems)} problem(s): {'; '.join(problems)}")


def _version(package: str, problems: list[str]) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        problems.append(f"{package} is not installed")
        return "missing"


def _weights_line(name: str, problems: list[str]) -> str:
    try:
        verification = verify(name)
    except AvscliError as err:
        problems.append(str(err))
        return f"{name}: {err}"
    if not verification.passed:
        problems.append(f"{name} does not pass: run avs models verify {name}")
    difference = verification.max_logit_difference
    return f"{name}: {'ok' if verification.passed else 'FAILS'}, logits within {difference:.1e}"


def _self_test(wanted: str, warn: Callable[[str], None], problems: list[str]) -> str:
    try:
        device = choose_device(wanted, warn)
        path = find_checkpoint(DEFAULT_WEIGHTS)
        golden = read_golden(path)
        runtime = start(load_network(str(path), device), device, golden=golden, warn=warn)
        runtime.forward(golden[0])
        started = time.perf_counter()
        runtime.forward(golden[0])
        frames = golden[0].valid.numel() / (time.perf_counter() - started)
    except AvscliError as err:
        problems.append(str(err))
        return str(err)
    return f"{device} {runtime.precision}: {frames:.1f} frames a second through the network"

"""Is this machine ready? Versions, device, FFmpeg, weights, and one clip through the network."""

from __future__ import annotations

import platform
import time
from importlib import metadata
from typing import TYPE_CHECKING

import torch

from avscli import __version__
from avscli.checkpoints import load_network, read_golden, require_verified
from avscli.config import DEFAULT_WEIGHTS
from avscli.devices import choose_device, start
from avscli.errors import AvscliError, MissingExtraError, OutputError
from avscli.media.capabilities import available_encoders, library_versions, program
from avscli.shipped import find_checkpoint, list_shipped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PACKAGES = ("torch", "numpy", "av", "opencv-python-headless", "pycocotools", "safetensors")


def examine(
    device: str, warn: Callable[[str], None]
) -> tuple[dict[str, object], list[AvscliError]]:
    """Look at everything ``avs segment`` needs.

    Args:
        device: as for ``avs segment``.
        warn: told about an accelerator that is present and fails.

    Returns:
        JSON-able facts, and what stands in the way.
    """
    problems: list[AvscliError] = []
    encoders = available_encoders()
    facts: dict[str, object] = {
        "avs": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
        "packages": {name: _version(name, problems) for name in _PACKAGES},
        "ffmpeg_libraries": dict(library_versions()),
        "encoders": encoders,
    }
    if "libx264" not in encoders:
        problems.append(OutputError("the FFmpeg libraries lack libx264, which writes overlays"))
    try:
        facts["ffmpeg_program"] = " ".join(program())
    except RuntimeError as err:
        problems.append(MissingExtraError(f"no ffmpeg program: {err}"))
    facts["weights"] = _weights_lines(problems)
    facts["self_test"] = _self_test(device, warn, problems)
    facts["problems"] = [str(problem) for problem in problems]
    return facts, problems


def require_healthy(problems: Sequence[AvscliError]) -> None:
    """Raise when `examine` found problems.

    Raises:
        AvscliError: all problems in one, of the first one's kind.
    """
    if problems:
        first = problems[0]
        told = "; ".join(dict.fromkeys(str(problem) for problem in problems))
        raise type(first)(told, hint=first.hint or "reinstall avscli")


def _version(package: str, problems: list[AvscliError]) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        problems.append(MissingExtraError(f"{package} is not installed"))
        return "missing"


def _weights_lines(problems: list[AvscliError]) -> list[str]:
    try:
        return [_weights_line(entry.name, problems) for entry in list_shipped()]
    except AvscliError as err:
        problems.append(err)
        return [str(err)]


def _weights_line(name: str, problems: list[AvscliError]) -> str:
    try:
        verification = require_verified(name)
    except AvscliError as err:
        problems.append(err)
        return f"{name}: {err}"
    return f"{name}: ok, logits within {verification.max_logit_difference:.1e}"


def _self_test(wanted: str, warn: Callable[[str], None], problems: list[AvscliError]) -> str:
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
        problems.append(err)
        return str(err)
    return f"{device} {runtime.precision}: {frames:.1f} frames a second through the network"

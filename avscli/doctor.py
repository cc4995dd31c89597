"""Is this machine ready? Versions, device, FFmpeg, weights, and one clip through the network."""

from __future__ import annotations

import platform
import time
from importlib import import_module, metadata
from typing import TYPE_CHECKING

from avscli import __version__
from avscli.config import DEFAULT_WEIGHTS
from avscli.errors import AvscliError, MissingExtraError, OutputError

# Nothing above needs a package that could be missing: the doctor has to be able to say so.
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Facts = dict[str, str | list[str] | dict[str, str]]

PACKAGES = {  # as pip knows them, and as Python imports them
    "torch": "torch",
    "numpy": "numpy",
    "av": "av",
    "ffmpeg-python": "ffmpeg",
    "imageio-ffmpeg": "imageio_ffmpeg",
    "opencv-python-headless": "cv2",
    "pycocotools": "pycocotools.mask",
    "safetensors": "safetensors.torch",
    "scipy": "scipy.optimize",
    "filelock": "filelock",
    "platformdirs": "platformdirs",
    "tqdm": "tqdm",
    "jinja2": "jinja2",
}


def examine(device: str, warn: Callable[[str], None]) -> tuple[Facts, list[AvscliError]]:
    """Look at everything ``avs segment`` needs; where packages are missing, only at these.

    Args:
        device: as for ``avs segment``.
        warn: told about an accelerator that is present and fails.

    Returns:
        JSON-able facts, and what stands in the way.
    """
    problems: list[AvscliError] = []
    facts: Facts = {
        "avs": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name, problems) for name in PACKAGES},
    }
    if not problems:
        facts |= _media_facts(problems)
        facts["weights"] = _weights_lines(problems)
        facts["self_test"] = _self_test(device, warn, problems)
    facts["problems"] = [str(problem) for problem in problems]
    return facts, problems


def facts_as_rows(facts: Mapping[str, str | list[str] | dict[str, str]]) -> list[tuple[str, str]]:
    """Return facts as the rows of a table for people.

    >>> facts_as_rows({"avs": "1", "packages": {"av": "18", "torch": "2"}, "problems": []})
    [('avs', '1'), ('packages', 'av 18\\ntorch 2'), ('problems', 'none')]
    """
    rows = []
    for name, value in facts.items():
        if isinstance(value, dict):
            value = [f"{part} {found}" for part, found in value.items()]
        shown = value if isinstance(value, str) else "\n".join(value) or "none"
        rows.append((name.replace("_", " "), shown))
    return rows


def require_healthy(problems: Sequence[AvscliError]) -> None:
    """Raise when `examine` found problems.

    Raises:
        AvscliError: all problems in one, of the first one's kind.
    """
    if problems:
        first = problems[0]
        message = "; ".join(dict.fromkeys(str(problem) for problem in problems))
        raise type(first)(message, hint=first.hint or "reinstall avscli")


def _version(package: str, problems: list[AvscliError]) -> str:
    try:
        import_module(PACKAGES[package])
    except (ImportError, OSError) as err:  # the latter: a shared library it needs
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            found = "missing"
            problem = MissingExtraError(
                f"{package} is not installed", hint=f"pip install {package}"
            )
        else:
            found = "broken"
            problem = MissingExtraError(
                f"{package} is installed and cannot be imported: {err}",
                hint=f"pip install --force-reinstall {package}",
            )
        problems.append(problem)
        return found
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "of another package"  # opencv-python is as good as its headless kind


def _media_facts(problems: list[AvscliError]) -> Facts:
    from avscli.media.capabilities import available_encoders, library_versions, program

    encoders = available_encoders()
    facts: Facts = {"ffmpeg_libraries": dict(library_versions()), "encoders": encoders}
    if "libx264" not in encoders:
        problems.append(OutputError("the FFmpeg libraries lack libx264, which writes overlays"))
    try:
        facts["ffmpeg_program"] = " ".join(program())
    except RuntimeError as err:
        problems.append(MissingExtraError(f"no ffmpeg program: {err}"))
    return facts


def _weights_lines(problems: list[AvscliError]) -> list[str]:
    from avscli.shipped import list_shipped

    try:
        return [_weights_line(entry.name, problems) for entry in list_shipped()]
    except AvscliError as err:
        problems.append(err)
        return [str(err)]


def _weights_line(name: str, problems: list[AvscliError]) -> str:
    from avscli.checkpoints import require_verified

    try:
        verification = require_verified(name)
    except AvscliError as err:
        problems.append(err)
        return f"{name}: {err}"
    return f"{name}: ok, logits within {verification.max_logit_difference:.1e}"


def _self_test(wanted: str, warn: Callable[[str], None], problems: list[AvscliError]) -> str:
    from avscli.checkpoints import load_network, read_golden
    from avscli.devices import choose_device, start
    from avscli.shipped import find_checkpoint

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

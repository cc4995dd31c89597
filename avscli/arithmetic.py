"""The arithmetic in which a device computes a network fastest: measured once, then remembered."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import torch
from filelock import FileLock, Timeout

from avscli import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from avscli.config import Precision

CACHE_VARIABLE = "AVS_CACHE_DIR"
_ROUNDS = 3
_WORTH = 0.9  # of the exact arithmetic's time: what a less exact one may take at most
_HOPELESS = 3.0  # times the exact one's: software that imitates missing instructions
_PATIENCE_SECONDS = 60.0  # for another process that measures the same


def fastest(
    exact: Precision, others: Sequence[Precision], run: Callable[[Precision], bool]
) -> Precision:
    """Return the arithmetic that is clearly faster than the exact one and gives its masks.

    Args:
        exact: what is taken when no other pays.
        others: candidates.
        run: computes the golden in one of them, and returns whether the masks are right.
    """

    def seconds_of(candidate: Precision) -> float:
        started = time.perf_counter()
        run(candidate)
        return time.perf_counter() - started

    run(exact)  # first passes plan kernels
    limit = _HOPELESS * seconds_of(exact)
    candidates = []
    for other in others:
        started = time.perf_counter()
        if run(other) and time.perf_counter() - started <= limit:
            candidates.append(other)
    best = {candidate: float("inf") for candidate in (exact, *candidates)}
    for _ in range(_ROUNDS):  # in turn, so that other work on the machine slows all of them
        for candidate in best:
            best[candidate] = min(best[candidate], seconds_of(candidate))
    chosen = min(best, key=lambda candidate: best[candidate])
    return chosen if best[chosen] <= _WORTH * best[exact] else exact


def remembered(device: str, checkpoint_sha256: str, measure: Callable[[], Precision]) -> Precision:
    """Return what was measured for a checkpoint on this machine before, or measure it now.

    Processes that start together measure once: the others wait for it. A cache that cannot be read
    or written costs the measuring, no more.

    Args:
        device: a torch device, by name.
        checkpoint_sha256: of the weights.
        measure: asked when nothing fitting is remembered.
    """
    path = cache_folder() / "arithmetic.json"
    key = " · ".join((_machine(device), torch.__version__, __version__, checkpoint_sha256[:16]))
    if found := _read(path).get(key):
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=_PATIENCE_SECONDS):
            if found := _read(path).get(key):
                return found
            chosen = measure()
            _write(path, _read(path) | {key: chosen})
            return chosen
    except (OSError, Timeout):
        return measure()


def cache_folder() -> Path:
    """Return where this user's `avs` keeps what it can find out again."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_path("avs"))


def _read(path: Path) -> dict[str, Precision]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    known = ("fp32", "bf16", "fp16")
    return {k: v for k, v in values.items() if v in known} if isinstance(values, dict) else {}


def _write(path: Path, values: dict[str, Precision]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(values, indent=1), encoding="utf-8")
    partial.replace(path)


def _machine(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    name = platform.machine()  # platform.processor() would start a program
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    kind = torch.backends.cpu.get_cpu_capability()
    return f"{names[0] if names else name}, {kind}, {torch.get_num_threads()} threads"

"""What a run leaves in its folder so that it can go on: state, whole or not at all; metrics."""

from __future__ import annotations

import json
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import torch

from avscli.errors import OutputError, UsageError, WeightsError
from avscli.networks.state_dicts import DAMAGE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

STATE_FILE = "last.pt"
METRICS_FILE = "metrics.jsonl"
_CANNOT_WRITE_HINT = "check the folder, its permissions and free space"


def make_folder(folder: Path) -> None:
    """Create the folder of a run and try that it can be written to.

    Raises:
        OutputError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return
    except OSError as err:
        raise OutputError(
            f"cannot write to {folder}: {err.strerror}", hint=_CANNOT_WRITE_HINT
        ) from err


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write the state of a run to ``last.pt``, whole or not at all.

    Raises:
        OutputError: it cannot be written; the last one stays, and nothing else.
    """
    path = folder / STATE_FILE
    partial = folder / f"{STATE_FILE}.partial"
    try:
        with partial.open("wb") as file:
            torch.save(dict(state), file)
        partial.replace(path)
    except (OSError, RuntimeError) as err:  # a full disk is either, by where torch meets it
        reason = str(err).splitlines()[0]
        raise OutputError(f"cannot write {path}: {reason}", hint=_CANNOT_WRITE_HINT) from err
    finally:
        partial.unlink(missing_ok=True)


def load_state(folder: Path, fingerprint: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read the state of a run; None when the folder has none.

    Args:
        folder: of the run.
        fingerprint: what must be as it was; ``state["fingerprint"]`` holds it.

    Raises:
        WeightsError: the state is damaged.
        UsageError: it belongs to a run with another fingerprint.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found: dict[str, Any] = json.loads(state["fingerprint"])
    except DAMAGE as err:
        reason = (str(err) or type(err).__name__).splitlines()[0]
        raise WeightsError(
            f"{path} is damaged: {reason}", hint="remove it to start again from the beginning"
        ) from err
    expected = json.loads(json.dumps(fingerprint))
    for key in sorted({*found, *expected}):
        if found.get(key) != expected.get(key):
            raise UsageError(
                f"{folder} holds a run with another {key}: {_short(found.get(key))}, "
                f"not {_short(expected.get(key))}",
                hint="resume with the recipe, options and data it began with",
            )
    return dict(state)


class MetricsLog:
    """``metrics.jsonl``, one JSON object a line; also TensorBoard's files when it is installed.

    Args:
        folder: of the run.
        step: lines beyond it are of a run that was killed and are dropped.

    Raises:
        OutputError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / METRICS_FILE
        try:
            self._path.touch()
            lines = self._path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if line and json.loads(line)["step"] <= step]
            self._path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        except OSError as err:
            raise OutputError(f"cannot write {self._path}: {err.strerror}") from err
        except (ValueError, KeyError, TypeError) as err:
            raise OutputError(f"{self._path} is not a log of metrics: {err}") from err
        self._board = _tensorboard(folder, step)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add one line.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")
        except OSError as err:
            raise OutputError(
                f"cannot write {self._path}: {err.strerror}", hint=_CANNOT_WRITE_HINT
            ) from err
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Finish TensorBoard's files."""
        if self._board is not None:
            self._board.close()


def _tensorboard(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}…"

"""The files of checkpoints: which ones come with avscli, where they lie, and their hashes.

Apart from `avscli.checkpoints` because none of it needs PyTorch, which takes seconds to import.
"""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from avscli.errors import UnknownNetworkError, WeightsError


@dataclass(frozen=True, slots=True)
class ShippedCheckpoint:
    """One entry of ``weights/index.toml``."""

    name: str
    file: str
    sha256: str
    num_bytes: int
    licence: str
    summary: str


def weights_folder() -> Path:
    """Return the folder of shipped weights: inside the wheel, or beside the package."""
    packaged = Path(str(resources.files("avscli") / "_weights"))
    return packaged if packaged.is_dir() else packaged.parent.parent / "weights"


def list_shipped() -> list[ShippedCheckpoint]:
    """Return the shipped checkpoints in index order.

    Raises:
        WeightsError: the index is missing or malformed.
    """
    path = weights_folder() / "index.toml"
    try:
        index = tomllib.loads(path.read_text(encoding="utf-8"))
        return [ShippedCheckpoint(name=name, **entry) for name, entry in index.items()]
    except (OSError, tomllib.TOMLDecodeError, TypeError) as err:
        raise WeightsError(
            f"cannot read the index of shipped weights {path}: {err}",
            hint="reinstall avscli",
        ) from err


def find_checkpoint(name_or_path: str) -> Path:
    """Return the file of a shipped name or of a path.

    Raises:
        UnknownNetworkError: neither a shipped name nor an existing file.
        WeightsError: a shipped name whose file, or the index, is gone.
    """
    path = Path(name_or_path)
    if path.suffix == ".safetensors" or path.is_file():
        if path.is_file():
            return path
        raise UnknownNetworkError(f"no checkpoint file {path}", hint="see: avs models list")
    shipped = {entry.name: entry for entry in list_shipped()}
    if name_or_path not in shipped:
        close = difflib.get_close_matches(name_or_path, shipped) or sorted(shipped)
        raise UnknownNetworkError(
            f"no weights named {name_or_path!r}",
            hint=f"known: {', '.join(close)}; or give the path of a .safetensors file",
        )
    file = weights_folder() / shipped[name_or_path].file
    if not file.is_file():
        raise WeightsError(
            f"the shipped weights {name_or_path} are not at {file}", hint="reinstall avscli"
        )
    return file


def sha256_of(path: Path) -> str:
    """Return a file's sha256 as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

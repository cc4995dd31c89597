"""What a result depends on, so that a later run knows whether it is still good."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from avscli.outputs.run_record import SCHEMA_VERSION
from avscli.report_builder import shaping_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

    from avscli.config import Hashing, SegmentOptions

END_BYTES = 64 * 1024  # read from the head and from the tail of a source


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Everything that shapes the result of one file, by hashes.

    Attributes:
        source: of the file, as `source_identity` gives it.
        weights: sha256 of the checkpoint.
        options: sha256 of the options that shape masks.
        schema: version of what is written.
    """

    source: str
    weights: str
    options: str
    schema: int = SCHEMA_VERSION

    def changes_since(self, earlier: Mapping[str, object]) -> tuple[str, ...]:
        """Return which parts differ from a fingerprint read back from JSON.

        Results of an earlier version stay good: every command reads them.
        """
        schema = earlier.get("schema")
        is_readable = isinstance(schema, int) and 1 <= schema <= self.schema
        now = asdict(self) | ({"schema": schema} if is_readable else {})
        return tuple(part for part, value in now.items() if earlier.get(part) != value)

    @classmethod
    def of(cls, source: str, weights_sha256: str, options: SegmentOptions) -> Fingerprint:
        """Join the identity of a source with the weights and options that meet it."""
        return cls(source, weights_sha256, shaping_sha256(options))


def source_identity(path: Path, hashing: Hashing) -> str:
    """Tell a source from its later versions.

    Args:
        path: the file.
        hashing: ``quick`` hashes size, time of change and both ends, which any editor or
            recorder changes; ``full`` every byte, and the time does not matter.

    Returns:
        The kind of hash and its value; ``unreadable`` when the file cannot be read, which
        equals no identity of a finished result.
    """
    if not os.path.isfile(path):  # noqa: PTH113 – Path's raises for names that are too long
        return "unreadable"  # to open a named pipe would be to wait for its other end
    try:
        with path.open("rb") as file:
            if hashing == "full":
                return f"full:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            status = os.fstat(file.fileno())
            digest = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns} ".encode())
            digest.update(file.read(END_BYTES))
            file.seek(max(0, status.st_size - END_BYTES))
            digest.update(file.read(END_BYTES))
            return f"quick:{digest.hexdigest()}"
    except OSError:
        return "unreadable"

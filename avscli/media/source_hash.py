"""The SHA-256 of a source, taken beside the work on it: `SourceHash`."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event
from typing import TYPE_CHECKING, Self

from avscli.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

_CHUNK_BYTES = 1 << 20
_TELL_SECONDS = 0.5


class SourceHash:
    """Hashes a file in a thread of its own from the moment the ``with`` block is entered.

    Leaving the block ends the thread after the piece that it is reading, hashed or not::

        with SourceHash(path) as source_hash:
            work()
            digest = source_hash.hexdigest(on_wait=show)

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._share = 0.0
        self._is_abandoned = Event()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="avs-hash")

    def __enter__(self) -> Self:
        """Begin."""
        self._digest = self._worker.submit(self._read)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self._is_abandoned.set()
        self._worker.shutdown(wait=True)

    def check(self) -> None:
        """Do nothing, unless the file turned out to be unreadable.

        Raises:
            MediaError: it did.
        """
        if self._digest.done():
            self._result()

    def hexdigest(self, on_wait: Callable[[float], None]) -> str:
        """Wait for the hash and return it as 64 hex digits.

        Args:
            on_wait: told every half second which share of the file, 0…1, has been hashed.

        Raises:
            MediaError: the file cannot be read.
        """
        while wait([self._digest], timeout=_TELL_SECONDS).not_done:
            on_wait(self._share)
        return self._result()

    def _result(self) -> str:
        try:
            return self._digest.result()
        except OSError as err:
            raise MediaError(
                f"cannot read {self._path}: {err.strerror or err}",
                hint="check the disk or the network it lies on, then run again",
            ) from err

    def _read(self) -> str:
        """Run in the thread; hashing large pieces lets others run meanwhile."""
        digest, piece = hashlib.sha256(), memoryview(bytearray(_CHUNK_BYTES))
        with self._path.open("rb", buffering=0) as file:
            size = max(1, os.fstat(file.fileno()).st_size)
            num_hashed = 0
            while (num_read := file.readinto(piece)) and not self._is_abandoned.is_set():
                digest.update(piece[:num_read])
                num_hashed += num_read
                self._share = min(1.0, num_hashed / size)
        return digest.hexdigest()

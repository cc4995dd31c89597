"""Writing to a disk that may be full, read-only or gone."""

from __future__ import annotations

import errno
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Self

from avscli.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

FLUSH_EVERY_LINES = 64

_HINTS = {
    errno.ENOSPC: "free some space, or choose another folder with -o",
    errno.EDQUOT: "free some of your quota, or choose another folder with -o",
    errno.EACCES: "choose a folder you may write to with -o",
    errno.EPERM: "choose a folder you may write to with -o",
    errno.EROFS: "the file system is read-only; choose another folder with -o",
    errno.ENOTDIR: "a part of the path is a file; choose another folder with -o",
    errno.ENAMETOOLONG: "the name is too long for the file system; rename the source",
}


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn every OSError inside the ``with`` block into an `OutputError` about `path`.

    Raises:
        OutputError: with the system's reason and, where there is one, a way out.
    """
    try:
        yield
    except OSError as err:
        reason = err.strerror or str(err)
        hint = _HINTS.get(err.errno or 0, "choose another folder with -o")
        raise OutputError(f"cannot write {path}: {reason}", hint=hint) from err


class LineFile:
    """A UTF-8 text file that grows line by line and reaches the disk every few lines.

    Args:
        path: created or emptied on entering the ``with`` block.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._num_lines = 0

    def __enter__(self) -> Self:
        """Open the file.

        Raises:
            OutputError: it cannot be created.
        """
        with output_errors(self._path):
            self._file = self._path.open("w", encoding="utf-8", newline="\n")
        return self

    def write(self, line: str) -> None:
        """Append `line` and a line feed.

        Raises:
            OutputError: the disk is full or gone.
        """
        assert self._file is not None, "write() belongs inside the with block"
        self._num_lines += 1
        with output_errors(self._path):
            self._file.write(line + "\n")
            if self._num_lines % FLUSH_EVERY_LINES == 0:
                self._file.flush()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; an earlier error is not hidden by one from closing.

        Raises:
            OutputError: what was still in memory did not fit on the disk.
        """
        if self._file is None:
            return
        if kind is not None:
            with suppress(OSError):
                self._file.close()
            return
        with output_errors(self._path):
            self._file.close()


@contextmanager
def folder_for_results(folder: Path) -> Iterator[None]:
    """Make a folder for what is written inside the ``with`` block; after an error it goes again.

    Folders above it are made and go likewise; what was there before stays.

    Raises:
        OutputError: it cannot be made.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for each in made:
            with suppress(OSError):  # it is not empty: somebody else writes there
                each.rmdir()
        raise


def write_atomically(path: Path, text: str) -> None:
    """Write a whole UTF-8 text file, so that a reader sees the old one, none, or the new one.

    Raises:
        OutputError: it cannot be written; nothing is left behind.
    """
    write_together({path: text})


def write_together(texts: Mapping[Path, str]) -> None:
    """Write UTF-8 text files that belong together: none takes its name before all are on the disk.

    Raises:
        OutputError: one of them cannot be written; nothing is left behind.
    """
    temporary = {path: path.with_name(f".{path.name}.new") for path in texts}
    try:
        for path, text in texts.items():
            with output_errors(path):
                temporary[path].write_text(text, encoding="utf-8")
        for path, finished in temporary.items():
            with output_errors(path):
                finished.replace(path)
    finally:
        for left in temporary.values():
            with suppress(OSError):
                left.unlink(missing_ok=True)

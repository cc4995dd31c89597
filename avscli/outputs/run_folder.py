"""The folder of one run, or of one export: invisible until it is whole.

<out>/clip.mp4.partial/   while the run lasts (locked, so that two runs cannot mix)
<out>/clip.mp4/           from the moment it is done
<out>/clip.mp4.replaced/  an older run, for the instant of being replaced

Those beside it hold the file `UNFINISHED_NAME`, so that a folder of others is never taken for one.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from hashlib import sha256
from itertools import product
from typing import TYPE_CHECKING

from avscli.errors import OutputError
from avscli.outputs.disk import output_errors
from avscli.outputs.locks import hold
from avscli.outputs.run_record import RUN_RECORD_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

MAX_NAME_BYTES = 255  # of every file system in wide use; where less fits, making the folder fails
UNFINISHED_NAME = ".avs-unfinished"
_TRIES_TO_MAKE = 10


class WholeFolder:
    """Write files into ``<name>.partial/``, rename it to ``<name>/`` at the end.

    Whether the output may be written is checked on entering, before any work. Leaving the
    ``with`` block normally puts the folder in place; leaving it by any exception, Ctrl-C
    included, removes everything, also an output root that was not there before. What a killed
    run left behind is cleared by the next one.

    Args:
        final: where the results will be; folders above it are created when missing.
        inputs: files and folders that must stay.
        marker: file that every such folder has; one without it is not replaced.
        overwrite: replace an earlier folder of the kind.

    Attributes:
        final: where the results will be.
        partial: where they are while the block lasts.

    Raises:
        OutputError: ``final`` is the current folder, one above it, or the root of a disk.
    """

    def __init__(
        self, final: Path, *, inputs: Sequence[Path], marker: str, overwrite: bool
    ) -> None:
        if final.name in ("", ".."):
            raise OutputError(
                f"{final} is no name for a new folder", hint="name the folder to make with -o"
            )
        self._inputs, self._marker, self._overwrite = inputs, marker, overwrite
        self.final = final
        self.partial = final.with_name(name_beside(final.name, ".partial"))
        self._replaced = final.with_name(name_beside(final.name, ".replaced"))
        self._made: list[Path] = []
        self._lock: int | None = None
        self._holds_partial = False

    def __enter__(self) -> Path:
        """Check, then return the empty partial folder.

        Raises:
            OutputError: the output exists, would damage the input, is in use by another run,
                or cannot be written.
        """
        self._spare_the_inputs()
        self._check_existing()
        try:
            with output_errors(self.partial):
                _require_unfinished(self._replaced)
                self._made = [folder for folder in self.partial.parents if not folder.exists()]
                _make(self.partial)
                self._lock = _locked(self.partial)
                _require_unfinished(self.partial)
                self._holds_partial = True
                _clear(self.partial)
                (self.partial / UNFINISHED_NAME).touch()
        except BaseException:
            self._remove()
            self._unlock()
            raise
        return self.partial

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the folder in its place, or remove it after an error.

        Raises:
            OutputError: the folder could not be put in place; it is then removed, and what it
                was to replace is back.
        """
        try:
            if kind is None:
                with output_errors(self.final):
                    self._put_in_place()
        except BaseException:
            self._remove()
            raise
        else:
            if kind is not None:
                self._remove()
        finally:
            self._unlock()

    def _spare_the_inputs(self) -> None:
        for folder, source in product((self.final, self.partial, self._replaced), self._inputs):
            if source.resolve().is_relative_to(folder.resolve()):
                raise OutputError(
                    f"the output {folder} would replace the input {source}",
                    hint="choose another folder with -o",
                )

    def _check_existing(self) -> None:
        with output_errors(self.final):
            if not os.path.lexists(self.final):
                return
            is_marked = (self.final / self._marker).is_file()
        if not is_marked or self.final.is_symlink():
            raise OutputError(
                f"{self.final} exists and is not the folder of an earlier run "
                f"(no {self._marker} in it), so it is not replaced",
                hint="move it away, or choose another folder with -o",
            )
        if not self._overwrite:
            raise OutputError(
                f"{self.final} exists already",
                hint="replace it with --overwrite, or choose another folder with -o",
            )

    def _put_in_place(self) -> None:
        self._check_existing()  # another run may have finished meanwhile
        _sync(self.partial)
        if os.path.lexists(self.final):
            self._replace()
        else:
            self.partial.rename(self.final)
        (self.final / UNFINISHED_NAME).unlink()
        # A run that was killed while it replaced may have left an older one beside, too.
        shutil.rmtree(self._replaced, ignore_errors=True)

    def _replace(self) -> None:
        shutil.rmtree(self._replaced, ignore_errors=True)
        (self.final / UNFINISHED_NAME).touch()
        try:
            self.final.rename(self._replaced)
            self.partial.rename(self.final)
        except BaseException:
            if not os.path.lexists(self.final):
                self._replaced.rename(self.final)
            (self.final / UNFINISHED_NAME).unlink(missing_ok=True)
            raise

    def _remove(self) -> None:
        if self._holds_partial:
            shutil.rmtree(self.partial, ignore_errors=True)
        for folder in self._made:
            with suppress(OSError):  # another run writes there by now
                folder.rmdir()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class RunFolder(WholeFolder):
    """The folder of one run.

    Args:
        output_root: holds one folder per source; created when missing.
        source: the input; its file name names the folder, so ``a.mp4`` and ``a.mov`` differ.
        overwrite: replace the folder of an earlier run.
    """

    def __init__(self, output_root: Path, source: Path, *, overwrite: bool) -> None:
        super().__init__(
            output_root / source.name,
            inputs=(source,),
            marker=RUN_RECORD_NAME,
            overwrite=overwrite,
        )


def clear_partial(output_root: Path, name: str, *, patience_seconds: float = 0.0) -> None:
    """Remove what a killed run has half written, and its output root if that is empty then.

    What another run is writing stays.

    Args:
        output_root: of the killed run.
        name: of its source.
        patience_seconds: how long the killed run may take to end.
    """
    partial = output_root / name_beside(name, ".partial")
    with suppress(FileNotFoundError, OutputError):
        lock = _locked(partial, patience_seconds)
        try:
            _require_unfinished(partial)
            shutil.rmtree(partial, ignore_errors=True)
        finally:
            os.close(lock)
    with suppress(OSError):  # it is not empty
        output_root.rmdir()


def file_names(folder: Path) -> set[str]:
    """Return what lies in the folder of a run that is not finished yet."""
    return {path.name for path in folder.iterdir()} - {UNFINISHED_NAME}


def name_beside(name: str, ending: str) -> str:
    """Return a name with an ending; one too long for that is cut short, and unlike all others.

    >>> name_beside("clip.mp4", ".partial")
    'clip.mp4.partial'
    """
    if len(os.fsencode(name + ending)) <= MAX_NAME_BYTES:
        return name + ending
    unique = sha256(os.fsencode(name)).hexdigest()[:16]
    room = MAX_NAME_BYTES - len(f"~{unique}{ending}")
    start = os.fsencode(name)[:room].decode(errors="ignore")  # the cut may go through a letter
    return f"{start}~{unique}{ending}"


def _locked(folder: Path, patience_seconds: float = 0.0) -> int:
    """Hold the folder until the descriptor is closed or the process ends, however it ends.

    Raises:
        OutputError: another run holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    if not hold(descriptor, patience_seconds=patience_seconds):
        os.close(descriptor)
        raise OutputError(
            f"another run is writing {folder}",
            hint="wait for it to end, or choose another folder with -o",
        )
    return descriptor


def _require_unfinished(folder: Path) -> None:
    """Check that nothing is there, or what a run has left that was killed.

    Raises:
        OutputError: it is somebody else's.
    """
    if not os.path.lexists(folder):
        return
    is_marked = (folder / UNFINISHED_NAME).exists()
    if folder.is_symlink() or not (is_marked or (folder.is_dir() and not any(folder.iterdir()))):
        raise OutputError(
            f"{folder} is in the way, and not what a killed run has left (no {UNFINISHED_NAME} "
            "in it), so it is not removed",
            hint="move it away, or choose another folder with -o",
        )


def _make(folder: Path) -> None:
    """Make a folder and those above it, though other runs remove theirs when nothing is in them."""
    for _ in range(_TRIES_TO_MAKE - 1):
        with suppress(FileNotFoundError):
            return folder.mkdir(parents=True, exist_ok=True)
    return folder.mkdir(parents=True, exist_ok=True)


def _sync(folder: Path) -> None:
    """Bring files to the disk: after a power cut, no folder may be there without what it holds.

    What a disk reports late, a quota on a network for instance, is reported here as well.
    """
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())


def _clear(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()

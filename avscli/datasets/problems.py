"""What is wrong with a copy of a data set, one file at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from avscli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

_PICTURES = (".png", ".jpg")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as the format says.

    Attributes:
        file: the file or folder it is about.
        message: what is wrong with it; names it again.
    """

    file: Path
    message: str


Check = Callable[[], list[Problem]]


def missing_files(paths: Iterable[Path], *, of: str) -> list[Problem]:
    """Return a problem for every file that is not there.

    Args:
        paths: what should be there.
        of: what they belong to, for the message.
    """
    return [Problem(path, f"{of}: {path} is missing") for path in paths if not path.is_file()]


def extra_pictures(expected: Collection[Path], *, of: str) -> list[Problem]:
    """Return a problem for every picture that lies beside the expected ones and is none of them.

    Args:
        expected: all pictures of their folders.
        of: what they belong to, for the message.
    """
    folders = sorted({path.parent for path in expected})
    found = sorted(path for folder in folders if folder.is_dir() for path in folder.iterdir())
    return [
        Problem(path, f"{of}: {path} is an extra frame")
        for path in found
        if path.suffix in _PICTURES and path not in expected
    ]


class ReadFiles:
    """Reads the files of one item and collects what is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def size_of(
        self,
        path: Path,
        read: Callable[[Path], tuple[int, ...]],
        expected: tuple[int, ...] | None = None,
        as_in: Path | None = None,
    ) -> tuple[int, ...] | None:
        """Read a file; note what is wrong with it or with its size; return the size to go by.

        Args:
            path: a file that is there; one that is missing is told by `missing_files`.
            read: returns its size.
            expected: the size it should have; None takes any.
            as_in: the file that has that size.
        """
        if not path.is_file():
            return expected
        try:
            size = read(path)
            if expected is not None and as_in is not None:
                require_size(path, size, expected, as_in)
        except DataError as err:
            self.problems.append(Problem(path, str(err)))
            return expected
        return size


def require_size(path: Path, size: tuple[int, ...], expected: tuple[int, ...], as_in: Path) -> None:
    """Check that a picture has the size of another.

    Raises:
        DataError: it has not.
    """
    if tuple(size) != tuple(expected):
        raise DataError(
            f"{path} is {size[0]}×{size[1]}, expected {expected[0]}×{expected[1]} as {as_in.name}"
        )

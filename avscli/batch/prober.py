"""Looking into files from a safe distance: `Prober`, and the process it looks through."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from avscli.batch.child import Child, Parent
from avscli.errors import MediaError

if TYPE_CHECKING:
    from avscli.media.identify import Kind

PATIENCE_SECONDS = 60.0  # for one file; network file systems wake up slowly


@dataclass(frozen=True, slots=True)
class FileHeaders:
    """What the headers of a file say.

    Attributes:
        kind: as `media.identify` has it; None for music, with or without a cover, and no media.
        seconds: declared length; None when unknown.
    """

    kind: Kind | None
    seconds: float | None = None


class Prober:
    """Looks into files one after the other; a file that kills a decoder kills only the look."""

    def __init__(self) -> None:
        self._child: Child | None = None

    def __enter__(self) -> Self:
        """Start nothing yet: often there is nothing to look into."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        if self._child is not None:
            self._child.end()

    def headers(self, path: Path) -> FileHeaders | None:
        """Return what the headers of a file say; None when reading them ended the process."""
        if self._child is None:
            self._child = Child("avscli.batch.prober")
        answer = self._child.ask({"path": str(path)}, PATIENCE_SECONDS)
        if answer is None:
            self._child.end()
            self._child = None
            return None
        return FileHeaders(**answer)


def main() -> None:
    """Answer for one path after the other what `identify` says of it."""
    from avscli.media.identify import identify  # FFmpeg's libraries stay out of the parent

    parent = Parent()
    for message in parent.messages():
        try:
            parent.answer(asdict(identify(Path(message["path"]))))
        except MediaError:
            parent.answer(asdict(FileHeaders(None)))


if __name__ == "__main__":
    main()

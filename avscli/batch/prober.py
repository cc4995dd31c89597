"""Looking into files from a safe distance: `Prober`, and the process it looks through."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from avscli.batch.child import Child, Parent
from avscli.errors import MediaError

PATIENCE_SECONDS = 60.0  # for one file; network file systems wake up slowly


@dataclass(frozen=True, slots=True)
class Glance:
    """What the headers of a file say.

    Attributes:
        is_video: None when looking at it ended the process that looked.
        seconds: declared length; None when unknown.
    """

    is_video: bool | None
    seconds: float | None


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

    def look(self, path: Path) -> Glance:
        """Return what the headers of a file say."""
        if self._child is None:
            self._child = Child("avscli.batch.prober")
        answer = self._child.ask({"path": str(path)}, PATIENCE_SECONDS)
        if answer is None:
            self._child.end()
            self._child = None
            return Glance(None, None)
        return Glance(answer["is_video"], answer["seconds"])


def main() -> None:
    """Answer for one path after the other what `identify` says of it."""
    from avscli.media.identify import identify  # FFmpeg's libraries stay out of the parent

    parent = Parent()
    for message in parent.messages():
        try:
            identity = identify(Path(message["path"]))
        except MediaError:
            parent.answer({"is_video": False, "seconds": None})
        else:
            is_video = identity.kind != "still"
            parent.answer({"is_video": is_video, "seconds": identity.seconds})


if __name__ == "__main__":
    main()

"""What every writer of results promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

    from avscli.results import FramePrediction


class FrameSink(Protocol):
    """Takes one prediction per source frame, in time order, inside its ``with`` block.

    Leaving the block finishes the file; after an error it only lets go of it, since the file, or
    the run folder around it, is thrown away. Every failure of the disk is an `OutputError`, and
    nothing else is: that is what tells a full disk, which ends a run, from an output that cannot
    be made, which does not (`avscli.outputs.extra`).
    """

    def __enter__(self) -> Self:
        """Open the output."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the output."""
        ...

    def write(self, prediction: FramePrediction) -> None:
        """Add one frame."""
        ...

"""Outputs that a run can do without: one that cannot be made does not cost the masks."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from avscli.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from avscli.outputs.sink import FrameSink
    from avscli.results import FramePrediction


@contextmanager
def extra_output(path: Path, on_failure: Callable[[str], None]) -> Iterator[None]:
    """Make one output; if that fails, remove what there is of it and go on without.

    Args:
        path: of the output.
        on_failure: told why there is none.

    Raises:
        OutputError: the disk is full or cannot be written, which the masks would not survive
            either.
    """
    try:
        yield
    except OutputError:
        raise
    except Exception as err:  # noqa: BLE001 – hours of masks outweigh a bug in what shows them
        # What cannot be removed now goes with the run's folder, or is listed by nobody.
        with suppress(OSError):
            path.unlink(missing_ok=True)
        on_failure(str(err) or type(err).__name__)


class ExtraSink:
    """A sink whose failure costs its own file and nothing else.

    Args:
        sink: to be written to, until it fails.
        path: of what it writes.
        on_failure: told why it failed, once.
    """

    def __init__(self, sink: FrameSink, path: Path, on_failure: Callable[[str], None]) -> None:
        self._sink, self._path, self._on_failure = sink, path, on_failure
        self._is_open = False

    def __enter__(self) -> Self:
        """Open the output."""
        with extra_output(self._path, self._on_failure):
            self._sink.__enter__()
            self._is_open = True
        return self

    def write(self, prediction: FramePrediction) -> None:
        """Add one frame, unless an earlier one could not be added.

        Raises:
            OutputError: the disk is full or cannot be written.
        """
        if not self._is_open:
            return
        with extra_output(self._path, self._on_failure):
            try:
                self._sink.write(prediction)
            except Exception as err:
                self.__exit__(type(err), err, err.__traceback__)
                raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the output.

        Raises:
            OutputError: the disk is full or cannot be written.
        """
        if not self._is_open:
            return
        self._is_open = False
        with extra_output(self._path, self._on_failure):
            self._sink.__exit__(kind, error, trace)

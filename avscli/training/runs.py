"""What runs of any kind begin with: a folder, data that were read once, and progress."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tqdm import tqdm

from avscli.datasets.checking import check_data, require_sound_data
from avscli.errors import OutputError
from avscli.training.state import STATE_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from avscli.training.engine import Progress


def require_no_run(folder: Path) -> None:
    """Check that a folder holds no training run yet.

    Raises:
        OutputError: it does.
    """
    if (folder / STATE_FILE).exists():
        raise OutputError(
            f"{folder} holds a training run", hint="add --resume, or choose another folder"
        )


def require_checked(kind: str, root: Path, *, quiet: bool) -> None:
    """Read every file that training will read, with progress.

    Args:
        kind: of data.
        root: of the copy.
        quiet: no progress.

    Raises:
        DataError: naming the first file that is not as its format says.
    """
    with tqdm(desc=f"checking {kind}", unit="item", disable=quiet) as bar:

        def tell(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        found = check_data(kind, root, splits=("train", "val"), on_progress=tell)
    require_sound_data(found, kind, root)


@contextmanager
def progress_bar(num_steps: int, *, done: int, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Show the steps of a run with what is measured in them.

    Args:
        num_steps: of the whole run.
        done: steps of an earlier call.
        quiet: show nothing.
    """
    with tqdm(total=num_steps, initial=done, unit="step", disable=quiet) as bar:

        def tell(progress: Progress) -> None:
            bar.update(progress.step - bar.n)
            bar.set_postfix(progress.measured)

        yield tell

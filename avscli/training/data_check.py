"""The check of data before the first step, with progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tqdm import tqdm

from avscli.datasets.checking import check_data, require_sound_data

if TYPE_CHECKING:
    from pathlib import Path


def require_checked(kind: str, root: Path, *, quiet: bool) -> None:
    """Read every file that training will read.

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

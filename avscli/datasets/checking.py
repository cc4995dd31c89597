"""What is wrong with a copy of a data set, file by file, before anything is trained on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from avscli.datasets.registry import kind_of, splits_of
from avscli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from avscli.config import Split
    from avscli.datasets.problems import Problem


@dataclass(frozen=True, slots=True)
class DataCheck:
    """What a check found.

    Attributes:
        num_items: clips (of avsmix: pictures, recordings and pairs) by split.
        problems: in table order; empty when all is well.
    """

    num_items: dict[str, int]
    problems: tuple[Problem, ...]


def check_data(
    kind: str,
    root: Path,
    *,
    splits: Sequence[Split] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> DataCheck:
    """Read every file that training or evaluation would read.

    Args:
        kind: which layout, see `avscli.datasets.registry`.
        root: of the copy.
        splits: the splits to look at; None takes all that the kind has.
        on_progress: told how many items of how many are done; None tells nobody.

    Raises:
        DataError: a table itself cannot be used.
        UsageError: no such kind, or it has no such split.
    """
    module = kind_of(kind, "check")
    checks = {split: module.checks(kind, root, split) for split in splits or splits_of(kind)}
    everything = [check for of_split in checks.values() for check in of_split]
    problems: list[Problem] = []
    # Decoding leaves the interpreter's lock, so threads share the work.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, found in enumerate(pool.map(lambda check: check(), everything), start=1):
            problems += found
            if on_progress is not None:
                on_progress(done, len(everything))
    return DataCheck({split: len(of_split) for split, of_split in checks.items()}, tuple(problems))


def require_sound_data(check: DataCheck, kind: str, root: Path) -> None:
    """Refuse a copy with problems.

    Raises:
        DataError: naming the first problem and how many there are.
    """
    if check.problems:
        count = len(check.problems)
        raise DataError(
            f"{kind} at {root}: {count} problem{'s' if count > 1 else ''}, the first: "
            f"{check.problems[0].message}",
            hint=f"all of them: avs data check {kind} {root}",
        )

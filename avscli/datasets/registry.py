"""Kinds of data sets and where they live: strings, so that listing needs neither torch nor files.

A new kind is one module with `open_set` and `checks` (see `avscli.datasets.contract.DataKind`), and
one line here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Literal, NamedTuple, cast, overload

from avscli.errors import UsageError

if TYPE_CHECKING:
    from avscli.config import Split
    from avscli.datasets.contract import DataKind, LabelledKind

Use = Literal["check", "eval", "train"]


class _Entry(NamedTuple):
    """Where a kind lives, what can be done with it, and its parts."""

    module: str
    uses: frozenset[Use]
    splits: tuple[Split, ...] = ("train", "val", "test")


_ALL: frozenset[Use] = frozenset(("check", "eval", "train"))
_HOME = "avscli.datasets.kinds"
_KINDS = {
    "avsbench-s4": _Entry(f"{_HOME}.avsbench", _ALL),
    "avsbench-ms3": _Entry(f"{_HOME}.avsbench", _ALL),
    "avsbench-avss": _Entry(f"{_HOME}.avsbench", _ALL),
    "avsmix": _Entry(f"{_HOME}.avsmix", _ALL),
    "scenes": _Entry(f"{_HOME}.scenes", frozenset(("eval", "train"))),
    "clips": _Entry(f"{_HOME}.clips", frozenset(("check", "eval")), ("test",)),
}


def kinds_for(use: Use) -> list[str]:
    """Return the kinds that can be checked, evaluated on or trained with."""
    return [name for name, entry in _KINDS.items() if use in entry.uses]


def splits_of(name: str) -> tuple[Split, ...]:
    """Return the splits that copies of a known kind have."""
    return _KINDS[name].splits


@overload
def kind_of(name: str, use: Literal["train"]) -> LabelledKind: ...


@overload
def kind_of(name: str, use: Literal["check", "eval"]) -> DataKind: ...


def kind_of(name: str, use: Use) -> DataKind:
    """Return the module of a kind.

    Raises:
        UsageError: there is no such kind, or it has not that use.
    """
    if name not in kinds_for(use):
        told = f"no kind of data {name!r}" if name not in _KINDS else f"{name} cannot {use}"
        raise UsageError(told, hint=f"known: {', '.join(kinds_for(use))}")
    return cast("DataKind", importlib.import_module(_KINDS[name].module))

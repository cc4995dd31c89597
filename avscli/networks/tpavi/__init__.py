"""TPAVI (arXiv 2207.05042): `build` makes one from a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.networks.tpavi.adapter import build

if TYPE_CHECKING:
    from avscli.networks.tpavi.remap import load_published

__all__ = ["build", "load_published"]


def __getattr__(name: str) -> object:
    if name == "load_published":
        from avscli.networks.tpavi.remap import load_published

        return load_published
    raise AttributeError(name)

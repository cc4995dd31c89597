"""C3N (ZhaofengSHI/AVS-C3N): `build` makes one from a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.networks.c3n.adapter import build

if TYPE_CHECKING:
    from avscli.networks.c3n.remap import load_published

__all__ = ["build", "load_published"]


def __getattr__(name: str) -> object:
    if name == "load_published":
        from avscli.networks.c3n.remap import load_published

        return load_published
    raise AttributeError(name)

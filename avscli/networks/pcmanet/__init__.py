"""PCMANet (arXiv 2406.02345): `build` makes one from a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.networks.pcmanet.adapter import build

if TYPE_CHECKING:
    from avscli.networks.pcmanet.official import load_official, load_published

__all__ = ["build", "load_official", "load_published"]


def __getattr__(name: str) -> object:
    if name in ("load_official", "load_published"):
        from avscli.networks.pcmanet import official

        return getattr(official, name)
    raise AttributeError(name)

"""PCMANet (arXiv 2406.02345): `build` makes one from a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.networks.pcmanet.adapter import build

if TYPE_CHECKING:
    from avscli.networks.pcmanet.official import load_official

__all__ = ["build", "load_official"]


def __getattr__(name: str) -> object:
    if name == "load_official":
        from avscli.networks.pcmanet.official import load_official

        return load_official
    raise AttributeError(name)

"""CATR (arXiv 2309.09709): `build` makes one from a spec, `load_published` from published keys."""

from __future__ import annotations

from avscli.networks.catr.adapter import build
from avscli.networks.catr.remap import load_published

__all__ = ["build", "load_published"]

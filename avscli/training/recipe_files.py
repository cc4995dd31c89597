"""Training recipes as files: one TOML document, validated once."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avscli.errors import UsageError
from avscli.json_values import decoded
from avscli.training.clips.recipe import ClipRecipe
from avscli.training.couples.recipe import CoupleRecipe

if TYPE_CHECKING:
    from collections.abc import Callable

Recipe = CoupleRecipe | ClipRecipe
_KINDS: dict[str, type[Recipe]] = {"couples": CoupleRecipe, "clips": ClipRecipe}


def find_recipe(name_or_path: str, *, warn: Callable[[str], None] | None = None) -> Recipe:
    """Read a shipped recipe by name, or any by path.

    Args:
        name_or_path: ``mini``, ``compare/pcmanet``, ``my.toml`` …
        warn: told when a recipe does not say its ``kind``, as none did once; those with epochs are
            of clips.

    Raises:
        UsageError: unknown name, unreadable file, or wrong fields.
    """
    path, values = _read(name_or_path)
    if "kind" not in values:
        values["kind"] = "clips" if "epochs" in values else "couples"
        if warn is not None:
            warn(f"{path} is taken for a recipe of {values['kind']}; say so: {_line_of(values)}")
    kind = values["kind"]
    if not isinstance(kind, str) or kind not in _KINDS:
        raise UsageError(
            f"recipe {path} cannot be used: there is no kind {kind!r}",
            hint=f"known: {', '.join(_KINDS)}",
        )
    try:
        return decoded(_KINDS[kind], values)
    except ValueError as err:
        raise UsageError(f"recipe {path} cannot be used: {err}") from err


def _line_of(values: dict[str, Any]) -> str:
    return f'kind = "{values["kind"]}"'


def _read(name_or_path: str) -> tuple[Path, dict[str, Any]]:
    """Return a recipe's path and what it holds."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        shipped = Path(str(resources.files("avscli.training") / "recipes"))
        path = shipped / f"{name_or_path}.toml"
        if not path.is_file():
            found = sorted(p.relative_to(shipped).with_suffix("") for p in shipped.rglob("*.toml"))
            known = ", ".join(each.as_posix() for each in found)
            raise UsageError(f"no recipe {name_or_path!r}", hint=f"shipped: {known}")
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise UsageError(f"recipe {path} cannot be used: {err}") from err

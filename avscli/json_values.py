"""JSON that others wrote, as the frozen dataclasses it should be: `parsed`, `decoded`.

Files come back edited, torn, or from elsewhere. What is read here is of the declared types all the
way down, so that nothing later on meets a list where it counts on a number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache, lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_LONGEST_SHOWN = 60
_PLAIN = (int, float, str, bool, NoneType)


def parsed(text: str | bytes) -> object:
    """Parse one JSON document.

    Raises:
        ValueError: it is not JSON: NaN and infinities are not, nor what is nested as deeply or is
            a number as long as no program writes it.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError as err:
        raise ValueError("it is nested too deeply") from err


def decoded(kind: type[T], value: object, *, ignore_unknown: bool = False) -> T:
    """Rebuild a dataclass from what `dataclasses.asdict` gave, whether JSON carried it or not.

    Lists become tuples; everything is checked against the annotations, inner dataclasses too.

    Args:
        kind: a dataclass whose annotations can be resolved at run time.
        value: what `parsed` returned, or a part of it.
        ignore_unknown: leave out fields that ``kind`` has not got, which a later version may have
            added.

    Raises:
        ValueError: a field is missing, unknown, of another type or out of range; it is named.

    >>> from avscli.datatypes import FrameStamp
    >>> decoded(FrameStamp, {"index": 3, "pts": 900, "pts_seconds": 0.1})
    FrameStamp(index=3, pts=900, pts_seconds=0.1)
    >>> decoded(FrameStamp, {"index": 3, "pts": [900], "pts_seconds": 0.1})
    Traceback (most recent call last):
    ValueError: pts is [900], expected int
    >>> from dataclasses import asdict
    >>> from avscli.config import SegmentOptions
    >>> decoded(SegmentOptions, asdict(SegmentOptions(write=("coco",)))).write
    ('coco',)
    """
    rebuilt: T = _decoded(kind, value, "", ignore_unknown)
    return rebuilt


def _decoded(kind: Any, value: object, where: str, ignore_unknown: bool) -> Any:
    """Decode one value; `where` is its place in the document."""
    if kind in _PLAIN:
        return _plain(kind, value, where)
    if is_dataclass(kind):
        return _object(kind, value, where, ignore_unknown)
    origin, inner = _parts_of(kind)
    if origin in (Union, UnionType):
        return _one_of(inner, value, where, ignore_unknown)
    if origin is tuple and isinstance(value, list | tuple):  # Ray hands tuples on as they are
        kinds = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        if len(kinds) == len(value):
            return tuple(
                _decoded(each, item, f"{where}[{index}]", ignore_unknown)
                for index, (each, item) in enumerate(zip(kinds, value, strict=True))
            )
    if origin is Mapping and isinstance(value, dict):
        return {
            key: _decoded(inner[1], item, f"{where}.{key}", ignore_unknown)
            for key, item in value.items()
        }
    return _plain(kind, value, where)


def _plain(kind: Any, value: object, where: str) -> object:
    if not _is_plain(kind, value):
        name = kind.__name__ if isinstance(kind, type) else str(kind)
        raise ValueError(f"{where or 'it'} is {_shown(value)}, expected {name}")
    return value


def _is_plain(kind: Any, value: object) -> bool:
    """Say whether a value is of a type without parts."""
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is float:
        return _is_number(value)
    if kind in _PLAIN:
        return isinstance(value, kind)
    if kind is Any or kind is object:
        return True
    origin, allowed = _parts_of(kind)
    return origin is Literal and isinstance(value, str) and value in allowed


def _object(kind: Any, value: object, where: str, ignore_unknown: bool) -> Any:
    if not isinstance(value, dict):
        message = f"{where or 'it'} is {_shown(value)}, expected an object"
        raise ValueError(message)  # noqa: TRY004 – one error for whatever a document may be
    hints, inside = _hints(kind), f"{where}." if where else ""
    unknown = [] if ignore_unknown else sorted(value.keys() - hints.keys())
    if unknown:
        raise ValueError(f"{inside}{_shown(unknown[0])} is unknown")
    fields = {
        name: _decoded(hint, value[name], inside + name, ignore_unknown)
        for name, hint in hints.items()
        if name in value
    }
    try:
        return kind(**fields)
    except TypeError as err:  # the constructor says what is missing
        told = str(err).partition("argument")[2].lstrip("s: ") or str(err)
        raise ValueError(f"{where or 'it'} lacks {told}") from err


def _one_of(kinds: tuple[Any, ...], value: object, where: str, ignore_unknown: bool) -> Any:
    if value is None and NoneType in kinds:
        return None
    *others, last = (kind for kind in kinds if kind is not NoneType)
    for kind in others:
        if _is_plain(kind, value):
            return value
    return _decoded(last, value, where, ignore_unknown)


@cache  # of annotations, of which there are as many as in the code
def _parts_of(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(kind), get_args(kind)


@lru_cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)  # 1e999 is JSON, and reads as infinity
    except OverflowError:  # a whole number that no float holds
        return False


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")

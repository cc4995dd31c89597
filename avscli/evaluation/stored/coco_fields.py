"""The fields of COCO files, checked as they are read: such files come from anywhere."""

from __future__ import annotations

import ast
import math
import re
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from avscli.errors import DataError
from avscli.evaluation.stored.shapes import StoredMask, filled
from avscli.masks import decode_mask, decode_runs

if TYPE_CHECKING:
    from avscli.masks import BoolMask, SizeHW

Fields = dict[str, object]
LONGEST_SIDE = 1 << 15  # a mask of that size is a gibibyte
_DIGITS = re.compile(r"[0-9]{1,18}")  # of a number that fits 64 bits


def objects(data: Fields, name: str, where: str) -> list[Fields]:
    """Return a field that is a list of objects; an absent one is empty."""
    values = data.get(name) or []
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise DataError(f"{where} is not as its format says: {name!r} is not a list of objects")
    return values


def whole(values: Fields, name: str, where: str, *, least: int = 0) -> int:
    """Return a field that is a whole number; 48.0 and "48" are 48, as some programs write it."""
    value = values.get(name)
    number = _whole(value)
    if number is None or number < least:
        raise DataError(f"{where}: {name} is {value!r}, expected a whole number from {least} up")
    return number


def identity(values: Fields, name: str, where: str) -> int | str:
    """Return a field that names something: a whole number, or text that is not empty."""
    value = values.get(name)
    number = _whole(value)
    if number is not None:
        return number
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise DataError(f"{where}: {name} is {value!r}, expected a number or a text")


def side(values: Fields, name: str, where: str) -> int:
    """Return a field that is the height or the width of a frame."""
    value = whole(values, name, where, least=1)
    if value > LONGEST_SIDE:
        raise DataError(f"{where}: {name} is {value}, expected at most {LONGEST_SIDE} pixels")
    return value


def score(annotation: Fields, where: str) -> float:
    """Return how sure an annotation is, 1 when it does not say."""
    value = annotation.get("score", 1.0)
    if not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise DataError(f"{where}: score is {value!r}, expected 0 … 1")
    return float(value)


def is_crowd(annotation: Fields, where: str) -> bool:
    """Return whether an annotation marks a crowd."""
    value = annotation.get("iscrowd")
    if value is not None and _whole(value) not in (0, 1) and not isinstance(value, bool):
        raise DataError(f"{where}: iscrowd is {value!r}, expected 0 or 1")
    return bool(value is True or _whole(value))


def track(annotation: Fields) -> int | None:
    """Return the number of an object, where ours, CVAT's or Datumaro's files have it, or None."""
    attributes = annotation.get("attributes")
    inner = attributes if isinstance(attributes, dict) else {}
    told = (annotation.get("track_id"), inner.get("track_id"), inner.get("object"))
    return next((number for each in told if (number := _whole(each)) is not None), None)


def shape(annotation: Fields, segmentation: object, label: int | None, where: str) -> StoredMask:
    """Return what a segmentation holds: polygons, plain or compressed run lengths.

    Args:
        annotation: whose segmentation it is.
        segmentation: the field itself.
        label: of the mask.
        where: file and annotation, for messages.

    Raises:
        DataError: naming the field that is not as the format says.
    """
    if isinstance(segmentation, dict):
        return _runs(segmentation, label, where)
    if segmentation in (None, []):
        if annotation.get("area") == 0:  # how some programs write that a thing is out of sight
            return StoredMask(label, None, _nothing)
        raise DataError(
            f"{where}: segmentation is {segmentation!r}: a box at most, but no mask",
            hint="export masks or polygons, or leave such annotations out",
        )
    return StoredMask(label, None, partial(filled, outlines=_outlines(segmentation, where)))


def _nothing(size_hw: SizeHW) -> BoolMask:
    return np.zeros(size_hw, np.bool_)


def _runs(segmentation: Fields, label: int | None, where: str) -> StoredMask:
    size = segmentation.get("size")
    if not isinstance(size, list) or len(size) != 2:
        raise DataError(f"{where}: segmentation size is {size!r}, expected [height, width]")
    height, width = (side({"size": value}, "size", where) for value in size)
    counts = segmentation.get("counts")
    if isinstance(counts, str):
        decode = partial(decode_mask, counts=_unquoted(counts))
    elif isinstance(counts, list) and counts:
        runs = [_whole(run) for run in counts]
        known = [run for run in runs if run is not None]
        if len(known) < len(runs):
            raise DataError(f"{where}: segmentation counts are no run lengths: not all are whole")
        decode = partial(decode_runs, runs=np.array(known, np.int64))
    else:
        raise DataError(f"{where}: segmentation counts are no run lengths: {_short(counts)}")
    return StoredMask(label, (height, width), decode)


def _unquoted(counts: str) -> str:
    """Undo ``str(bytes)``, which programs write by mistake; run lengths never hold a quote."""
    if not counts.startswith(("b'", 'b"')):
        return counts
    try:
        literal = ast.literal_eval(counts)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return counts
    return literal.decode("latin-1") if isinstance(literal, bytes) else counts


def _outlines(segmentation: object, where: str) -> list[list[float]]:
    """Return polygons of at least three points."""
    listed = segmentation if isinstance(segmentation, list) else [segmentation]
    if all(isinstance(part, int | float) for part in listed):
        listed = [listed]  # one polygon without the list around it
    outlines = []
    for part in listed:
        numbers = part if isinstance(part, list) else []
        if not numbers or len(numbers) % 2 or not all(_is_finite(value) for value in numbers):
            raise DataError(
                f"{where}: segmentation holds {_short(part)}, expected run lengths or polygons "
                "[[x1, y1, x2, y2, …], …]"
            )
        if len(numbers) >= 6:  # points and lines cover nothing
            outlines.append([float(value) for value in numbers])
    if not outlines:
        raise DataError(f"{where}: segmentation has no polygon of three points")
    return outlines


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) and abs(value) < 1 << 62 else None


def _is_finite(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) < LONGEST_SIDE * 2 and math.isfinite(value)  # type: ignore[arg-type]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"

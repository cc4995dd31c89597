"""Two evaluations of the same clips: is one really better?"""

from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import TYPE_CHECKING, NamedTuple

from avscli.errors import DataError
from avscli.evaluation.report.report import SCHEMA
from avscli.evaluation.rows import MEASURES, ROW_NAMES, ClipRow, measures_of, ratio
from avscli.metrics.bootstrap import difference_interval

if TYPE_CHECKING:
    from pathlib import Path

    from avscli.evaluation.protocols import Json
    from avscli.metrics.bootstrap import Ratio


def compare(first: Path, second: Path) -> Json:
    """Return paired differences ``second − first`` of the scores of the avs protocol.

    Files of other versions compare in the scores whose sums both hold.

    Args:
        first, second: two eval.json of the same clips, in any order.

    Returns:
        Per score: both values, their difference, and its 95 % interval over clips; and the
        names of the scores that one file cannot tell.

    Raises:
        DataError: a file is no eval.json, or they are about different clips.
    """
    before, after = _evaluated(first), _evaluated(second)
    if before.rows.keys() != after.rows.keys():
        only = sorted(before.rows.keys() ^ after.rows.keys())
        where = first if only[0] in before.rows else second
        raise DataError(
            f"only {where} has the clip {only[0]!r} ({len(only)} clips are in one file alone)",
            hint="compare evaluations of the same data",
        )
    measures = measures_of(before.sums & after.sums)
    if not measures:
        raise DataError(
            f"{first} is of {before.tool}, {second} of {after.tool}: no score is in both",
            hint="score both again with one version",
        )
    names = sorted(before.rows)
    sides = [[side.rows[name] for name in names] for side in (before, after)]
    return {
        "first": str(first),
        "second": str(second),
        "num_clips": len(names),
        "scores": {name: _difference(*(ratio(rows, name) for rows in sides)) for name in measures},
        "not_compared": [name for name in MEASURES if name not in measures],
    }


def _difference(first: Ratio, second: Ratio) -> Json:
    known = first.value is not None and second.value is not None
    return {
        "first": first.value,
        "second": second.value,
        "difference": (second.value or 0.0) - (first.value or 0.0) if known else None,
        "interval": difference_interval(first, second),
    }


class _Evaluated(NamedTuple):
    """The rows of an eval.json by clip, the sums that all of them hold, and who wrote it."""

    rows: dict[str, ClipRow]
    sums: set[str]
    tool: str


def _evaluated(path: Path) -> _Evaluated:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        raise DataError(f"cannot read {path}: {err}") from err
    if not isinstance(report, dict) or "schema" not in report:
        raise DataError(f"{path} is no eval.json: it has no schema")
    tool = str(report.get("tool"))
    if report["schema"] != SCHEMA:
        raise DataError(
            f"{path} has the schema {report['schema']!r} of {tool}, expected {SCHEMA!r}",
            hint="score again with this version",
        )
    clips = report.get("clips")
    if not isinstance(clips, list) or not all(isinstance(clip, dict) for clip in clips):
        raise DataError(f"{path} is no eval.json: clips is not a list of rows")
    known = {field.name for field in fields(ClipRow)}
    rows: dict[str, ClipRow] = {}
    for number, clip in enumerate(clips):
        row = _row({name: value for name, value in clip.items() if name in known}, path, number)
        if rows.setdefault(row.clip_id, row) is not row:
            raise DataError(f"{path} has two rows of the clip {row.clip_id!r}")
    return _Evaluated(rows, set.intersection(known, *map(set, clips)), tool)


def _row(values: Json, path: Path, number: int) -> ClipRow:
    for name, value in values.items():
        told = isinstance(value, str) or (name == "category" and value is None)
        number_like = isinstance(value, int | float) and math.isfinite(value)
        if not (told if name in ROW_NAMES else number_like):
            raise DataError(f"{path}: clips[{number}].{name} is {value!r}")
    if missing := [name for name in ROW_NAMES if name not in values]:
        raise DataError(f"{path}: clips[{number}] has no {missing[0]}")
    return ClipRow(**values)  # type: ignore[arg-type]

"""Two evaluations of the same clips: is one really better?"""

from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import TYPE_CHECKING, NamedTuple, get_args

from avscli.errors import DataError
from avscli.evaluation.report.report import SCHEMA, Scored
from avscli.evaluation.rows import ROW_NAMES, ClipRow, measures_of, ratio
from avscli.evaluation.video.rows import VideoRow
from avscli.metrics.bootstrap import difference_interval

if TYPE_CHECKING:
    from pathlib import Path

    from avscli.evaluation.protocols import Json
    from avscli.metrics.bootstrap import Ratio

_ROWS: dict[Scored, type[ClipRow] | type[VideoRow]] = {"frames": ClipRow, "seconds": VideoRow}


def compare(first: Path, second: Path) -> Json:
    """Return paired differences ``second − first`` of the scores of the avs or clips protocol.

    Files of other versions compare in the scores whose sums both hold.

    Args:
        first, second: two eval.json of the same clips, in any order.

    Returns:
        Per score: both values, their difference, and its 95 % interval over clips; and the
        names of the scores that one file cannot tell.

    Raises:
        DataError: a file is no eval.json, or they are about different clips, or count different
            things about them.
    """
    before, after = _evaluated(first), _evaluated(second)
    _require_the_same_way(before, after, first, second)
    if before.rows.keys() != after.rows.keys():
        only = sorted(before.rows.keys() ^ after.rows.keys())
        where = first if only[0] in before.rows else second
        raise DataError(
            f"only {where} has the clip {only[0]!r} ({len(only)} clips are in one file alone)",
            hint="compare evaluations of the same data",
        )
    kind = _ROWS[before.scored]
    _require_the_same_truth(before, after, kind.TRUTH, first, second)
    measures = measures_of(kind, before.sums & after.sums)
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
        "scored": before.scored,
        "num_clips": len(names),
        "scores": {name: _difference(*(ratio(rows, name) for rows in sides)) for name in measures},
        "not_compared": [name for name in kind.MEASURES if name not in measures],
    }


def _require_the_same_way(before: _Evaluated, after: _Evaluated, *paths: Path) -> None:
    if before.scored != after.scored:
        raise DataError(
            f"{paths[0]} counts {before.scored}, {paths[1]} {after.scored}",
            hint="compare evaluations by the same protocol",
        )


def _require_the_same_truth(
    before: _Evaluated, after: _Evaluated, names: tuple[str, ...], *paths: Path
) -> None:
    """Refuse clips whose truth has changed between two evaluations."""
    for clip_id, row in before.rows.items():
        other = after.rows[clip_id]
        for name in names:
            known = name in before.sums & after.sums
            values = getattr(row, name), getattr(other, name)
            if known and values[0] != values[1]:
                raise DataError(
                    f"the truth of {clip_id!r} differs: {name} is {values[0]} in {paths[0]}, "
                    f"{values[1]} in {paths[1]}",
                    hint="score both against the same labels",
                )


def _difference(first: Ratio, second: Ratio) -> Json:
    known = first.value is not None and second.value is not None
    return {
        "first": first.value,
        "second": second.value,
        "difference": (second.value or 0.0) - (first.value or 0.0) if known else None,
        "interval": difference_interval(first, second),
    }


class _Evaluated(NamedTuple):
    """What is compared of an eval.json.

    Attributes:
        rows: by clip.
        sums: that all of them hold.
        tool: who wrote it.
        scored: what the rows count.
    """

    rows: dict[str, ClipRow | VideoRow]
    sums: set[str]
    tool: str
    scored: Scored


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
    scored = report.get("scored", "frames")  # the only ones, before versions that say so
    if scored not in get_args(Scored):
        raise DataError(f"{path}: scored is {scored!r}, expected one of {get_args(Scored)}")
    kind = _ROWS[scored]
    known = {field.name for field in fields(kind)}
    rows: dict[str, ClipRow | VideoRow] = {}
    for number, clip in enumerate(clips):
        row = _row(
            {name: value for name, value in clip.items() if name in known}, kind, path, number
        )
        if rows.setdefault(row.clip_id, row) is not row:
            raise DataError(f"{path} has two rows of the clip {row.clip_id!r}")
    return _Evaluated(rows, set.intersection(known, *map(set, clips)), tool, scored)


def _row(
    values: Json, kind: type[ClipRow] | type[VideoRow], path: Path, number: int
) -> ClipRow | VideoRow:
    for name, value in values.items():
        told = isinstance(value, str) or (name == "category" and value is None)
        number_like = isinstance(value, int | float) and math.isfinite(value)
        if not (told if name in ROW_NAMES else number_like):
            raise DataError(f"{path}: clips[{number}].{name} is {value!r}")
    if missing := [name for name in ROW_NAMES if name not in values]:
        raise DataError(f"{path}: clips[{number}] has no {missing[0]}")
    return kind(**values)  # type: ignore[arg-type]

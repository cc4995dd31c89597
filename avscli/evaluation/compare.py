"""Two evaluations of the same clips: is one really better?"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING

from avscli.errors import DataError
from avscli.evaluation.report import SCHEMA
from avscli.evaluation.rows import MEASURES, ClipRow, ratio
from avscli.metrics.bootstrap import difference_interval

if TYPE_CHECKING:
    from pathlib import Path

    from avscli.evaluation.protocols import Json


def compare(first: Path, second: Path) -> Json:
    """Return paired differences ``second − first`` of every score of the avs protocol.

    Args:
        first, second: two eval.json of the same clips, in any order.

    Returns:
        Per score: both values, their difference, and its 95 % interval over clips.

    Raises:
        DataError: a file is no eval.json, or they are about different clips.
    """
    before, after = _rows(first), _rows(second)
    if before.keys() != after.keys():
        only = sorted(before.keys() ^ after.keys())
        where = first if only[0] in before else second
        raise DataError(
            f"only {where} has the clip {only[0]!r} ({len(only)} clips are in one file alone)",
            hint="compare evaluations of the same data",
        )
    names = sorted(before)
    told: Json = {}
    for measure in MEASURES:
        a = ratio([before[name] for name in names], measure)
        b = ratio([after[name] for name in names], measure)
        known = a.value is not None and b.value is not None
        told[measure] = {
            "first": a.value,
            "second": b.value,
            "difference": (b.value or 0.0) - (a.value or 0.0) if known else None,
            "interval": difference_interval(a, b),
        }
    return {"first": str(first), "second": str(second), "num_clips": len(names), "scores": told}


def _rows(path: Path) -> dict[str, ClipRow]:
    names = [field.name for field in fields(ClipRow)]
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        if report["schema"] != SCHEMA:
            raise DataError(f"{path} has schema {report['schema']!r}, expected {SCHEMA!r}")
        rows = [ClipRow(**{name: row[name] for name in names}) for row in report["clips"]]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as err:
        raise DataError(f"cannot read {path}: {err}") from err
    except (KeyError, TypeError) as err:
        raise DataError(f"{path} is no eval.json: {type(err).__name__} {err}") from err
    return {row.clip_id: row for row in rows}

"""Everything about one evaluation: `EvaluationReport`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from avscli.evaluation.protocols import Json
    from avscli.evaluation.report.gallery import WorstClip

SCHEMA = "avs-eval-1"


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Everything about one evaluation.

    Attributes:
        date_created: ISO 8601, UTC.
        tool: program and version.
        way: ``network`` over a data set, or stored ``masks``.
        data: what was scored: kind, split, source of the truth, sizes.
        checkpoint: name, hash and input of the weights; None for stored masks.
        options: as given, the threshold resolved.
        device: where the network ran.
        protocols: results of the protocols asked for, by name.
        scores: result of our own protocol, asked for or not.
        counterfactual: scores with other sounds, when asked for.
        clips: one row of sums per clip.
        worst: the clips with the least IoU, with pictures; in eval.html only.
        seconds: wall time in all, in the network and in scoring; the latter two overlap.
    """

    date_created: str
    tool: str
    way: str
    data: Mapping[str, object]
    checkpoint: Mapping[str, object] | None
    options: Mapping[str, object]
    device: Mapping[str, object] | None
    protocols: Mapping[str, Json]
    scores: Json
    counterfactual: Json | None
    clips: Sequence[Mapping[str, object]]
    worst: Sequence[WorstClip]
    seconds: Mapping[str, float]

    def to_json(self) -> Json:
        """Return what eval.json holds."""
        left_out = {"worst", "scores"}
        fields = [f.name for f in dataclasses.fields(self) if f.name not in left_out]
        return {"schema": SCHEMA} | {name: getattr(self, name) for name in fields}


def report_time() -> str:
    """Return the time of a report, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")

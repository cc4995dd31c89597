"""Everything about one evaluation: `EvaluationReport`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from avscli.devices import Runtime
    from avscli.evaluation.protocols import Json
    from avscli.evaluation.report.gallery import Strip
    from avscli.evaluation.rows import Row

SCHEMA = "avs-eval-1"
Scored = Literal["frames", "seconds"]


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Everything about one evaluation.

    Attributes:
        date_created: ISO 8601, UTC.
        tool: program and version.
        way: ``network`` over a data set, or stored ``masks``.
        scored: what rows count: ``frames``, or ``seconds`` of real video.
        data: what was scored: kind, split, source of the truth, sizes.
        checkpoint: name, hash and input of the weights; None for stored masks.
        options: as given, the threshold resolved.
        device: where the network ran.
        protocols: results of the protocols asked for, by name.
        scores: result of our own protocol, asked for or not.
        counterfactual: scores with other sounds, when asked for.
        clips: one row of sums per clip.
        worst: the clips or seconds that went worst, with pictures; in eval.html only.
        seconds: wall time in all, in the network and in scoring; the latter two overlap.
    """

    date_created: str
    tool: str
    way: str
    scored: Scored
    data: Mapping[str, object]
    checkpoint: Mapping[str, object] | None
    options: Mapping[str, object]
    device: Mapping[str, object] | None
    protocols: Mapping[str, Json]
    scores: Json
    counterfactual: Json | None
    clips: Sequence[Row]
    worst: Sequence[Strip]
    seconds: Mapping[str, float]

    def to_json(self) -> Json:
        """Return what eval.json holds."""
        left_out = {"worst", "scores"}
        fields = [f.name for f in dataclasses.fields(self) if f.name not in left_out]
        told = {"schema": SCHEMA} | {name: getattr(self, name) for name in fields}
        return told | {"clips": [dataclasses.asdict(row) for row in self.clips]}


def checkpoint_facts(runtime: Runtime) -> Json:
    """Return what a report tells of the weights."""
    spec, checkpoint = runtime.spec, runtime.checkpoint
    assert checkpoint is not None, "load_network fills it in"
    return {
        "name": checkpoint.name,
        "sha256": checkpoint.sha256,
        "clip_length": spec.clip_length,
        "frame_size_hw": spec.frame_size_hw,
    }


def report_time() -> str:
    """Return the time of a report, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")

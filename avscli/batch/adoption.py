"""Results that lie in the output folder though no manifest knows them.

A run that is killed between putting a folder in its place and noting it leaves one behind. It is
not done again: what its run.json says is compared with what would be done now.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avscli.batch.jobs import Job, JobResult, options_from_json
from avscli.errors import UsageError
from avscli.json_values import parsed
from avscli.outputs.run_record import RUN_RECORD_NAME
from avscli.report_builder import SCHEMA_VERSION, shaping_sha256
from avscli.shipped import sha256_of

if TYPE_CHECKING:
    from avscli.config import SegmentOptions


def existing_result(
    job: Job, options: SegmentOptions, *, whatever_shaped_it: bool = False
) -> JobResult | None:
    """Return the result of a job if its output folder holds just that, None otherwise.

    Args:
        job: what would be done.
        options: with which it would be done.
        whatever_shaped_it: accept other sources, weights and options as well.
    """
    try:
        record: Any = parsed((job.output / RUN_RECORD_NAME).read_bytes())
        if not (whatever_shaped_it or _is_same(record, job, options)):
            return None
        return _result(record, job)
    except (OSError, ValueError, KeyError, TypeError, UsageError):
        return None  # no folder, no run's folder, or one of another version


def _is_same(record: dict[str, Any], job: Job, options: SegmentOptions) -> bool:
    return (
        record["schema_version"] == SCHEMA_VERSION
        and record["checkpoint"]["sha256"] == job.fingerprint["weights"]
        and shaping_sha256(options_from_json(record["options"])) == shaping_sha256(options)
        and record["source"]["sha256"] == sha256_of(Path(job.source))
    )


def _result(record: dict[str, Any], job: Job) -> JobResult:
    result = JobResult.from_json(
        {
            "status": record["status"],
            "frames": record["num_frames"],
            "media_seconds": job.seconds or 0.0,
            "wall_seconds": record["timings_seconds"]["total"],
            "mean_score": record["mean_score"],
            "sounding_share": record["sounding_share"],
            "files": record["files"],
            "source_sha256": record["source"]["sha256"],
            "warnings": record["warnings"],
            "failed_outputs": record.get("failed_outputs", {}),  # runs of 0.1.0 knew none
        }
    )
    if not result.is_finished:
        raise ValueError(f"{result.status} is no status of a finished run")
    return replace(
        result, num_bytes=sum((job.output / name).stat().st_size for name in result.files)
    )

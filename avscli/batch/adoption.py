"""Results that lie in the output folder though no manifest knows them.

A run that is killed between putting a folder in its place and noting it leaves one behind. It is
not done again: what its run.json says is compared with what would be done now.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from avscli.batch.jobs import Job, JobResult, options_from_json, success
from avscli.errors import DataError, UsageError
from avscli.outputs.run import Run
from avscli.report_builder import shaping_sha256
from avscli.shipped import sha256_of

if TYPE_CHECKING:
    from avscli.config import SegmentOptions
    from avscli.results import SegmentationReport


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
        record = Run.open(job.output).record
        if not (whatever_shaped_it or _is_same(record, job, options)):
            return None
        return success(job, record, 0.0, record.timings_seconds["total"])
    except (OSError, ValueError, KeyError, DataError, UsageError):
        return None  # no folder, no run's folder, or one of a newer version


def _is_same(record: SegmentationReport, job: Job, options: SegmentOptions) -> bool:
    return (
        record.checkpoint.sha256 == job.fingerprint["weights"]
        and shaping_sha256(options_from_json(record.options)) == shaping_sha256(options)
        and record.source.sha256 == sha256_of(Path(job.source))
    )

"""run.json: what was done to what, with which weights and options, and how it went."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from avscli.outputs.disk import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from avscli.results import SegmentationReport

RUN_RECORD_NAME = "run.json"
SCHEMA_VERSION = 2  # 1: frames.jsonl and COCO without objects
REVIEWED_SCHEMA_VERSION = 3  # of corrected runs: classes that the checkpoint does not know


def write_run_record(folder: Path, report: SegmentationReport) -> Path:
    """Write a run's report as run.json into `folder` and return the file.

    Raises:
        OutputError: it cannot be written.
        ValueError: the report holds an infinite or undefined number, which JSON has no word for.
    """
    path = folder / RUN_RECORD_NAME
    values = dataclasses.asdict(report)
    # ASCII only: a file name need not be valid Unicode, and an escape brings any name back.
    write_atomically(path, json.dumps(values, indent=2, allow_nan=False) + "\n")
    return path

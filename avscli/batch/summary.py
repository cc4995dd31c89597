"""What a batch leaves for people and programs: failures.txt, summary.csv, one COCO file of all."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from avscli.batch.manifest import latest_records, shard_name
from avscli.batch.names import write_name
from avscli.batch.plan import in_shard
from avscli.outputs.combined_coco import Part, write_combined_coco
from avscli.outputs.disk import output_errors, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator

    from avscli.batch.manifest import Record
    from avscli.config import Shard

COMBINED_NAME = "combined.coco.json"
COLUMNS = (
    *("file", "status", "frames", "media_seconds", "wall_seconds", "times_real_time"),
    *("mean_score", "sounding_share", "sounding", "bytes", "attempts", "note", "source"),
)


def write_summaries(output: Path, shard: Shard) -> tuple[Path, ...]:
    """Write both files, of everything the manifests know of this shard, and return them.

    failures.txt is there only when something failed: one line per file, for ``@failures.txt``.

    Raises:
        OutputError: the disk is full or gone.
        DataError: a manifest is damaged.
    """
    failures = output / shard_name("failures.txt", shard)
    failed = [r.source for r in _records(output, shard) if not r.result.is_finished]
    if failed:
        write_atomically(failures, "".join(f"{write_name(name)}\n" for name in failed))
    else:
        with output_errors(failures):
            failures.unlink(missing_ok=True)
    summary = output / shard_name("summary.csv", shard)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows(_row(record) for record in _records(output, shard))
    write_atomically(summary, text.getvalue())
    return (summary, failures) if failed else (summary,)


def write_combined(output: Path) -> Path:
    """Write combined.coco.json of all results that are there, of every shard, and return it.

    Raises:
        OutputError: the disk is full or gone.
        DataError: a manifest or a result is damaged, or classes differ.
    """

    def parts() -> Iterator[Part]:
        for record in latest_records(output):
            folder = output / record.key
            if record.result.is_finished and folder.is_dir():  # a person may have removed it
                yield Part(record.key, folder)

    return write_combined_coco(output / COMBINED_NAME, parts)


def _records(output: Path, shard: Shard) -> Iterator[Record]:
    return (record for record in latest_records(output) if in_shard(record.key, shard))


def _row(record: Record) -> list[object]:
    result = record.result
    return [
        write_name(record.key),
        result.status,
        result.frames,
        result.media_seconds,
        result.wall_seconds,
        "" if result.speed is None else round(result.speed, 2),
        "" if result.mean_score is None else result.mean_score,
        "" if result.sounding_share is None else result.sounding_share,
        write_name(result.sounding),
        result.num_bytes,
        record.attempt,
        write_name(result.note),
        write_name(record.source),
    ]

"""Collects what happened during a run, and turns it into its report."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

from avscli import __version__
from avscli.datatypes import BALANCED
from avscli.outputs.run_record import SCHEMA_VERSION
from avscli.results import Progress, RecordedSource, SegmentationReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from avscli.config import SegmentOptions
    from avscli.datatypes import CheckpointInfo, MediaInfo
    from avscli.results import FramePrediction, ObjectSummary


def shaping_sha256(options: SegmentOptions) -> str:
    """Return a fingerprint of the options that shape results, not of where they are computed."""
    shaping = asdict(options)
    for elsewhere in ("device", "batch_clips", "overwrite"):
        del shaping[elsewhere]
    # What was done before there was a choice stays up to date.
    if options.labels:
        del shaping["labels"]
    if options.overlay_height is None:
        del shaping["overlay_height"]
    if options.prefer == BALANCED:
        del shaping["prefer"]
    return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()


@dataclass(slots=True)
class ReportBuilder:
    """Counters of one run; nothing in it grows with the length of the source but warnings.

    Attributes:
        media: the source.
        checkpoint: of the network that ran.
        options: as they were resolved.
        tell: where warnings go besides the report.
        source_sha256: of the source's bytes; hashing them takes as long as reading them, so it is
            set once that is done.
        failed_outputs: why outputs that were asked for are not there, by name.
        overlay_offset_seconds: source time at the overlay's zero; None without an overlay.
    """

    media: MediaInfo
    checkpoint: CheckpointInfo
    options: SegmentOptions
    tell: Callable[[str], None]
    source_sha256: str = ""
    warnings: list[str] = field(default_factory=list)
    timings_seconds: dict[str, float] = field(default_factory=dict)
    failed_outputs: dict[str, str] = field(default_factory=dict)
    overlay_offset_seconds: float | None = None
    num_frames: int = 0
    _num_analysed: int = 0
    _num_sounding: int = 0
    _score_sum: float = 0.0
    _first_seconds: float = 0.0
    _last_seconds: float = 0.0
    _lock: Lock = field(default_factory=Lock)
    _started: float = field(default_factory=time.monotonic)
    _date: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def date_created(self) -> str:
        """When the run began, ISO 8601, UTC."""
        return self._date.isoformat(timespec="seconds")

    @property
    def options_sha256(self) -> str:
        """Fingerprint of the options that shape the results, not of where they were computed."""
        return shaping_sha256(self.options)

    @property
    def run_id(self) -> str:
        """Names a run: the same source, weights and options give the same id."""
        parts = (self.source_sha256, self.checkpoint.sha256, self.options_sha256, __version__)
        return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]

    def warn(self, message: str) -> None:
        """Keep a warning and pass it on, once however often it comes."""
        with self._lock:  # the reader and the overlay warn from their own threads
            if message in self.warnings:
                return
            self.warnings.append(message)
        self.tell(message)

    def fail_output(self, name: str, reason: str) -> None:
        """Note that an output could not be made, and say so."""
        self.failed_outputs[name] = reason
        self.warn(f"{self.media.path.name}: no {name}, the rest is whole: {reason}")

    def note_overlay_offset(self, seconds: float) -> None:
        """Keep the source time at which the overlay's own time line starts."""
        self.overlay_offset_seconds = seconds

    def count(self, prediction: FramePrediction) -> None:
        """Count one source frame."""
        seconds = prediction.stamp.pts_seconds
        if self.num_frames == 0:
            self._first_seconds = seconds
        self._last_seconds = seconds
        self.num_frames += 1
        self._num_analysed += prediction.is_looked_at
        self._num_sounding += prediction.state == "sounding"
        self._score_sum += prediction.confidence.score

    def mark(self, phase: str) -> None:
        """Note how long the time since the last mark took."""
        passed = time.monotonic() - self._started - sum(self.timings_seconds.values())
        self.timings_seconds[phase] = max(0.0, round(passed, 3))

    def progress(self) -> Progress:
        """Return how far the run has come."""
        length = self.options.read.expected_seconds(self.media.duration_seconds)
        rate = self.media.frame_rate
        total = None if length is None or rate is None else max(1, round(length * rate))
        done = self._last_seconds - self._first_seconds
        return Progress(self.num_frames, total, done, length)

    def report(
        self,
        output: Path,
        *,
        files: tuple[str, ...],
        objects: tuple[ObjectSummary, ...],
        device: Mapping[str, Any],
        device_warnings: tuple[str, ...],
        is_truncated: bool,
    ) -> SegmentationReport:
        """Return the finished report.

        Args:
            output: where the run's folder will be.
            files: names of what is in it.
            objects: what sounds, and when.
            device: facts about where the network ran.
            device_warnings: what was told about the device.
            is_truncated: the source ended well before its declared length.
        """
        shared = max(1, self.num_frames)
        total = round(time.monotonic() - self._started, 3)
        return SegmentationReport(
            schema_version=SCHEMA_VERSION,
            status="truncated" if is_truncated else "done",
            run_id=self.run_id,
            date_created=self.date_created,
            tool={"name": "avs", "version": __version__},
            source=RecordedSource.of(self.media, self.source_sha256),
            checkpoint=self.checkpoint,
            options=asdict(self.options),
            device=device,
            num_frames=self.num_frames,
            num_analysed_frames=self._num_analysed,
            sounding_share=round(self._num_sounding / shared, 6),
            mean_score=round(self._score_sum / shared, 6),
            timings_seconds=self.timings_seconds | {"total": total},
            warnings=(*device_warnings, *self.warnings),
            output=str(output),
            files=files,
            failed_outputs=self.failed_outputs,
            overlay_offset_seconds=self.overlay_offset_seconds,
            objects=objects,
        )

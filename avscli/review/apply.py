"""``avs review --apply``: a run and what a reviewer decided about it → a corrected run beside it.

review.json ─▶ fits the run? ─▶ replay ─▶ journal, frame by frame ─▶ artifacts, from the journal
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

from avscli.config import CHOSEN_ARTIFACTS, SegmentOptions
from avscli.errors import DataError, OutputError, UsageError
from avscli.json_values import decoded
from avscli.outputs.artifacts import ARTIFACTS, Finished, write_artifacts
from avscli.outputs.coco import Provenance
from avscli.outputs.confidence import CONFIDENCE_NAME
from avscli.outputs.disk import LineFile
from avscli.outputs.extra import extra_output
from avscli.outputs.journal import JOURNAL_NAME, read_journal
from avscli.outputs.overlay import OVERLAY_NAME, OverlaySink
from avscli.outputs.run import Run
from avscli.outputs.run_folder import WholeFolder, file_names, name_beside
from avscli.outputs.run_record import (
    REVIEWED_SCHEMA_VERSION,
    RUN_RECORD_NAME,
    write_run_record,
)
from avscli.outputs.run_source import opened_source
from avscli.outputs.tracks import summed_objects
from avscli.report_builder import shaping_sha256
from avscli.review.confidence_csv import write_confidence
from avscli.review.corrected import corrected_frames
from avscli.review.decisions import read_review
from avscli.review.found import found_objects, identity_of
from avscli.review.overlay import predictions
from avscli.review.record import decided_categories, review_record
from avscli.review.replay import replay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from avscli.datatypes import MediaInfo
    from avscli.outputs.artifacts import Artifact
    from avscli.results import SegmentationReport
    from avscli.review.decisions import Review
    from avscli.review.replay import Reviewed

_ENDING = "-reviewed"


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """How a review is carried out.

    Attributes:
        overlay: also make overlay.mp4, from the video.
        overwrite: replace the folder of an earlier run.
    """

    overlay: bool = False
    overwrite: bool = False


def apply_review(
    review_path: Path,
    folder: Path,
    output: Path | None,
    options: ApplyOptions,
    on_warning: Callable[[str], None],
    on_progress: Callable[[int, int], None],
) -> SegmentationReport:
    """Make a corrected run beside the one that was reviewed, whole or not at all.

    The same file and run give the same bytes: what stands in the record is of the run, not of now.

    Args:
        review_path: review.json.
        folder: of the run.
        output: of the corrected run; None is ``<run>-reviewed`` beside it.
        options: of the corrected run.
        on_warning: told what the user should know.
        on_progress: told how many frames are corrected, of how many.

    Raises:
        DataError: the run or the review is missing or damaged, the review is of another run, or
            has a decision that cannot be made.
        OutputError: the folder exists, would replace an input, or cannot be written.
        MediaError: the video, which the overlay needs, is unreadable.
    """
    folder = folder if folder.name.strip(".") else folder.resolve()
    review, run = read_review(review_path), Run.open(folder)
    _require_fitting(review_path, review, run)
    found = found_objects(run)
    try:
        result = replay(found.objects, found.frames, review.decisions)
    except DataError as err:
        raise DataError(f"{review_path}: {err}", hint="make the review again") from err
    final = output or folder.with_name(name_beside(folder.name, _ENDING))
    if final.resolve().is_relative_to(folder.resolve()):
        raise OutputError(
            f"the output {final} lies in the run that was reviewed",
            hint="choose a folder beside it with -o",
        )
    correcting = _Correcting(run, review, result, on_warning)
    with ExitStack() as stack:
        media = None
        if options.overlay:
            track = correcting.options.read.audio_track
            source = opened_source(run.source, run.record.source.sha256, audio_track=track)
            media = stack.enter_context(source)
        whole = WholeFolder(
            final,
            inputs=(folder, review_path, run.source),
            marker=RUN_RECORD_NAME,
            overwrite=options.overwrite,
        )
        partial_folder = stack.enter_context(whole)
        correcting.write_journal(partial_folder, lambda done: on_progress(done, found.num_frames))
        return correcting.write_rest(partial_folder, final, media)


def _require_fitting(path: Path, review: Review, run: Run) -> None:
    """Make sure that a review is of this run, as it lies there now."""
    here = identity_of(run)
    if review.run.journal_sha256 == here.journal_sha256:
        if review.run.source_sha256 == here.source_sha256:
            return
        raise DataError(
            f"{path} is of this run, and names another video: {RUN_RECORD_NAME} changed"
        )
    if run.record.review is not None and run.record.review.review_sha256 == review.sha256:
        raise DataError(
            f"{run.folder} is what {path} has made already",
            hint="nothing is left to do; or apply it to the run that was reviewed",
        )
    what = (
        "another run of the same video, or the run has changed since"
        if review.run.source_sha256 == here.source_sha256
        else f"another video, {review.run.source!r:.80}"
    )
    raise DataError(
        f"{path} is a review of {what}: it names another {JOURNAL_NAME} than that of {run.folder}",
        hint="give the run that was reviewed",
    )


class _Correcting:
    """Writes a corrected run."""

    def __init__(
        self, run: Run, review: Review, result: Reviewed, on_warning: Callable[[str], None]
    ) -> None:
        self._run, self._review, self._result = run, review, result
        self._on_warning = on_warning
        self.options = _options_of(run)
        self._categories, self._category_of = decided_categories(run, result)
        self._changed: set[int] = set()
        self._failed: dict[str, str] = {}
        self._offset: float | None = None
        self._num_frames = 0
        self._num_analysed = 0
        self._num_sounding = 0
        self._score_sum = 0.0

    def write_journal(self, folder: Path, on_progress: Callable[[int], None]) -> None:
        """Write frames.jsonl, and count what is in it."""
        frames = corrected_frames(self._run, self._result, self._category_of)
        with LineFile(folder / JOURNAL_NAME) as out:
            for entry, is_changed in frames:
                out.write(entry.to_line())
                if is_changed:
                    self._changed.add(entry.frame)
                self._num_frames += 1
                self._num_analysed += not entry.interpolated
                self._num_sounding += entry.state == "sounding"
                self._score_sum += entry.score
                on_progress(self._num_frames)

    def write_rest(self, folder: Path, final: Path, media: MediaInfo | None) -> SegmentationReport:
        """Write what is made from the journal, and the record."""
        run, provenance = self._run, self._provenance()
        objects = summed_objects(
            read_journal(folder / JOURNAL_NAME), self._categories, self._category_of
        )
        done = Finished(folder, run.record.source, self._categories, objects, provenance)
        rebuilt = _rebuilt(run)
        write_artifacts(rebuilt, done, self._fail)
        if "csv" in rebuilt:
            with extra_output(folder / CONFIDENCE_NAME, partial(self._fail, "csv")):
                write_confidence(folder, run, self._changed)
        if media is not None:
            self._write_overlay(folder, media)
        counted = max(1, self._num_frames)
        report = replace(
            run.record,
            schema_version=REVIEWED_SCHEMA_VERSION,
            run_id=provenance.run_id,
            num_frames=self._num_frames,
            num_analysed_frames=self._num_analysed,
            sounding_share=round(self._num_sounding / counted, 6),
            mean_score=round(self._score_sum / counted, 6),
            output=str(final),
            files=tuple(sorted(file_names(folder) | {RUN_RECORD_NAME})),
            failed_outputs=self._failed,
            overlay_offset_seconds=self._offset,
            objects=objects,
            review=review_record(run, self._review, self._result, self._categories),
        )
        write_run_record(folder, report)
        return report

    def _provenance(self) -> Provenance:
        record, review_sha256 = self._run.record, self._review.sha256
        return Provenance(
            run_id=sha256(f"{record.run_id}{review_sha256}".encode()).hexdigest()[:16],
            tool=" ".join(record.tool.values()),
            date_created=record.date_created,
            checkpoint_sha256=record.checkpoint.sha256,
            options_sha256=shaping_sha256(self.options),
            review_sha256=review_sha256,
        )

    def _write_overlay(self, folder: Path, media: MediaInfo) -> None:
        with extra_output(folder / OVERLAY_NAME, partial(self._fail, "overlay")):
            sink = OverlaySink(
                folder,
                media,
                self.options.read,
                most_rows=self.options.overlay_height,
                categories=self._categories if self.options.labels else None,
                on_warning=self._on_warning,
                on_offset=self._note_offset,
            )
            with sink:
                for prediction in predictions(folder, self._run, self._category_of):
                    sink.write(prediction)

    def _note_offset(self, seconds: float) -> None:
        self._offset = seconds

    def _fail(self, name: str, reason: str) -> None:
        self._failed[name] = reason
        self._on_warning(f"{self._run.folder.name}: no {name}, the rest is whole: {reason}")


def _options_of(run: Run) -> SegmentOptions:
    try:
        return decoded(SegmentOptions, run.record.options, ignore_unknown=True)
    except (ValueError, UsageError) as err:
        raise DataError(
            f"{run.folder / RUN_RECORD_NAME} is not the record of a run: options: {err}",
            hint="segment the file again",
        ) from err


def _rebuilt(run: Run) -> Mapping[str, Artifact]:
    """Return what the run has, or always should have."""
    return {
        name: artifact
        for name, artifact in ARTIFACTS.items()
        if name not in CHOSEN_ARTIFACTS or (run.folder / artifact.file_name).is_file()
    }

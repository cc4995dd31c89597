"""Stored masks, whoever wrote them: run folders, COCO files, and folders of PNGs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.errors import DataError, UsageError
from avscli.evaluation.stored.coco import CocoReading, coco_clips
from avscli.evaluation.stored.pictures import picture_clips
from avscli.evaluation.stored.runs import run_clips
from avscli.outputs.coco import COCO_NAME
from avscli.outputs.journal import JOURNAL_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from avscli.config import Marked, StoredOptions
    from avscli.evaluation.stored.clips import StoredClip


def open_masks(
    path: Path, num_classes: int, options: StoredOptions, *, images_of: Path | None = None
) -> list[StoredClip]:
    """Find the clips of a folder or file of masks.

    Args:
        path: a run folder or a folder of runs, a COCO file, or a folder of PNGs.
        num_classes: of the labels, including the background; 2 takes everything above 0 as one.
        options: what the files do not say.
        images_of: for predictions, the truth, whose images a list of COCO results means; None for
            the truth itself, the scores of which do not matter.

    Raises:
        DataError: nothing of that kind is there.
        UsageError: the options are about another kind of files.
    """
    coco = path if path.is_file() else path / COCO_NAME
    if path.is_dir() and (runs := run_clips(path, num_classes)):
        _require_marked(options, "auto", told=f"the run folders of {path}")
        clips = runs
    elif coco.is_file():
        _require_marked(options, "auto", "crowds", told=f"the COCO file {coco}")
        named_by = images_of if images_of is not None and images_of.is_file() else None
        reading = CocoReading(
            num_classes, options.marked == "crowds", images_of is not None, named_by
        )
        clips = coco_clips(coco, reading)
    else:
        allowed: tuple[Marked, ...] = ("auto", "white", "black", "labels", "alpha")
        _require_marked(
            options, *allowed[: None if num_classes == 2 else 1], told=f"PNGs of {path}"
        )
        clips = picture_clips(path, num_classes, options.marked)
    if not clips:
        raise DataError(
            f"no masks in {path}",
            hint=f"expected a run folder ({JOURNAL_NAME}), a COCO .json, or a folder of PNGs",
        )
    return clips


def _require_marked(options: StoredOptions, *allowed: Marked, told: str) -> None:
    if options.marked not in allowed:
        raise UsageError(
            f"--pred-marked and --gt-marked for {told} may be {', '.join(allowed)}, "
            f"not {options.marked}"
        )

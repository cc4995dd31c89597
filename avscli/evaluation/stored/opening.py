"""Stored masks, whoever wrote them: run folders, files of annotation tools, and folders of PNGs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.errors import DataError, UsageError
from avscli.evaluation.stored.coco import CocoReading, coco_clips, json_document
from avscli.evaluation.stored.cvat import cvat_clips
from avscli.evaluation.stored.label_studio import is_label_studio, label_studio_clips
from avscli.evaluation.stored.pictures import picture_clips
from avscli.evaluation.stored.runs import run_clips
from avscli.outputs.coco import COCO_NAME
from avscli.outputs.journal import JOURNAL_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from avscli.config import Marked, StoredOptions
    from avscli.evaluation.stored.clips import StoredClip

CVAT_NAME = "annotations.xml"  # in what CVAT packs


def open_masks(
    path: Path, num_classes: int, options: StoredOptions, *, images_of: Path | None = None
) -> list[StoredClip]:
    """Find the clips of a folder or file of masks.

    Args:
        path: a run folder or a folder of runs, a file of COCO, CVAT (XML) or Label Studio (JSON),
            or a folder of PNGs.
        num_classes: of the labels, including the background; 2 takes everything above 0 as one.
        options: what the files do not say.
        images_of: for predictions, the truth, whose images a list of COCO results means; None for
            the truth itself, the scores of which do not matter.

    Raises:
        DataError: nothing of that kind is there.
        UsageError: the options are about another kind of files.
    """
    file = annotated_file(path)
    if path.is_dir() and (runs := run_clips(path, num_classes)):
        _require_marked(options, "auto", told=f"the run folders of {path}")
        clips = runs
    elif file is not None:
        _require_marked(options, "auto", "crowds", told=f"{file}")
        named_by = images_of if images_of is not None and images_of.is_file() else None
        crowds, scored = options.marked == "crowds", images_of is not None
        clips = annotated_clips(file, CocoReading(num_classes, crowds, scored, named_by))
    else:
        allowed: tuple[Marked, ...] = ("auto", "white", "black", "labels", "alpha")
        _require_marked(
            options, *allowed[: None if num_classes == 2 else 1], told=f"PNGs of {path}"
        )
        clips = picture_clips(path, num_classes, options.marked)
    if not clips:
        raise DataError(
            f"no masks in {path}",
            hint=f"expected a run folder ({JOURNAL_NAME}), a .json of COCO or Label Studio, an "
            ".xml of CVAT, or a folder of PNGs",
        )
    return clips


def annotated_file(path: Path) -> Path | None:
    """Return the file of an annotation tool that a path is, or a folder holds; None if none."""
    return next((f for f in (path, path / COCO_NAME, path / CVAT_NAME) if f.is_file()), None)


def annotated_clips(file: Path, reading: CocoReading) -> list[StoredClip]:
    """Return the clips of one file, whichever program wrote it.

    Args:
        file: of COCO, CVAT (XML) or Label Studio (JSON).
        reading: how; what is about crowds, scores and names of images matters for COCO only.

    Raises:
        DataError: unreadable, or naming what is not as the format says.
    """
    if file.suffix.lower() == ".xml":
        return cvat_clips(file, reading.num_classes)
    document = json_document(file)
    if is_label_studio(document):
        return label_studio_clips(file, document, reading.num_classes)
    return coco_clips(file, document, reading)


def _require_marked(options: StoredOptions, *allowed: Marked, told: str) -> None:
    if options.marked not in allowed:
        raise UsageError(
            f"--pred-marked and --gt-marked for {told} may be {', '.join(allowed)}, "
            f"not {options.marked}"
        )

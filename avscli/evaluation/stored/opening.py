"""Stored masks, whoever wrote them: run folders, COCO files, and folders of PNGs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.errors import DataError
from avscli.evaluation.stored.coco import coco_clips
from avscli.evaluation.stored.pictures import picture_clips
from avscli.evaluation.stored.runs import run_clips
from avscli.outputs.coco import COCO_NAME
from avscli.outputs.journal import JOURNAL_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from avscli.config import StoredOptions
    from avscli.evaluation.stored.clips import StoredClip


def open_masks(path: Path, num_classes: int, options: StoredOptions) -> list[StoredClip]:
    """Find the clips of a folder or file of masks.

    Args:
        path: a run folder or a folder of runs, a COCO file, or a folder of PNGs.
        num_classes: of the labels, including the background; 2 takes everything above 0 as one.
        options: what the files do not say.

    Raises:
        DataError: nothing of that kind is there.
    """
    if path.is_file():
        clips = coco_clips(path, num_classes)
    elif runs := run_clips(path, num_classes):
        clips = runs
    elif (path / COCO_NAME).is_file():
        clips = coco_clips(path / COCO_NAME, num_classes)
    else:
        clips = picture_clips(path, num_classes, options.marked)
    if not clips:
        raise DataError(
            f"no masks in {path}",
            hint=f"expected a run folder ({JOURNAL_NAME}), a COCO .json, or a folder of PNGs",
        )
    return clips

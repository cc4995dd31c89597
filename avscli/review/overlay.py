"""overlay.mp4 of a corrected run: its source again, with the masks of its journal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from avscli.datatypes import FrameStamp
from avscli.masks import NUM_COLOURS
from avscli.outputs.journal import JOURNAL_NAME, read_journal
from avscli.results import FrameConfidence, FramePrediction, SoundingObject
from avscli.review.corrected import pixels_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from avscli.outputs.journal import JournalEntry
    from avscli.outputs.run import Run


def predictions(
    folder: Path, run: Run, category_of: Mapping[int, int]
) -> Iterator[FramePrediction]:
    """Stream the frames of a corrected journal as far as the overlay asks about them.

    Args:
        folder: of the corrected run.
        run: that was reviewed.
        category_of: category by number of the object.

    Raises:
        DataError: a mask is damaged.
    """
    for entry in read_journal(folder / JOURNAL_NAME):
        yield _prediction(entry, run, category_of)


def _prediction(entry: JournalEntry, run: Run, category_of: Mapping[int, int]) -> FramePrediction:
    """Return a frame; of two masks on a pixel the later one shows."""
    where = f"{run.folder / JOURNAL_NAME} frame {entry.frame}"
    shown = entry.objects[: NUM_COLOURS - 1]
    object_map = np.zeros(run.size_hw, np.uint8)
    for number, each in enumerate(shown, start=1):
        object_map[pixels_of(each, run.size_hw, where)] = number
    level = -math.inf if entry.audio_dbfs is None else entry.audio_dbfs
    return FramePrediction(
        stamp=FrameStamp(entry.frame, entry.pts, entry.time_seconds),
        object_map=object_map,
        objects=tuple(
            SoundingObject(
                each.track,
                each.category_id,
                each.category_score or 0.0,
                each.score,
                category_of[each.track],
            )
            for each in shown
        ),
        heard=entry.heard,
        state=entry.state,
        interpolated=entry.interpolated,
        confidence=FrameConfidence(
            entry.score, None, math.nan, math.nan, None, math.nan, 0, level, flags=entry.flags
        ),
    )

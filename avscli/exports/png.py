"""Label maps: ``NAME/frame_000012.png``, palette PNGs whose numbers are those of the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.exports.label_maps import LabelMaps
from avscli.exports.places import folder_for, picture_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from avscli.config import ExportOptions
    from avscli.exports.video import MarkedVideo


def write(
    videos: Sequence[MarkedVideo],
    folder: Path,
    _options: ExportOptions,
    on_note: Callable[[str], None],
) -> None:
    """Write a picture per analysed frame; see `Writer.write`."""
    for video in videos:
        maps = LabelMaps(video, lambda each: each.category_id)
        place = folder_for(video, folder)
        for frame in video.analysed():
            maps.write(frame, place / picture_name(frame, ".png"))
        maps.tell(on_note)

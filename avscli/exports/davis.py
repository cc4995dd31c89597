"""DAVIS 2017: ``Annotations/480p/NAME/00012.png``, palette PNGs whose numbers are the objects'.

Every frame has its picture, those between two analysed ones too, since the programs of DAVIS know
a frame by its number. ``480p`` is where they look, whatever the size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from avscli.datatypes import VOID
from avscli.errors import DataError
from avscli.exports.label_maps import LabelMaps
from avscli.exports.places import folder_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from avscli.config import ExportOptions
    from avscli.exports.video import MarkedVideo

_RESOLUTION = "480p"


def write(
    videos: Sequence[MarkedVideo],
    folder: Path,
    _options: ExportOptions,
    on_note: Callable[[str], None],
) -> None:
    """Write a picture per frame, and the list of videos; see `Writer.write`."""
    for video in videos:
        _write_video(video, folder_for(video, folder / "Annotations" / _RESOLUTION), on_note)
    sets = folder / "ImageSets" / "2017"
    sets.mkdir(parents=True)
    names = "".join(f"{video.name}\n" for video in videos)
    (sets / "val.txt").write_bytes(names.encode(errors="surrogateescape"))


def _write_video(video: MarkedVideo, place: Path, on_note: Callable[[str], None]) -> None:
    numbers = _track_numbers(video, on_note)
    maps = LabelMaps(video, lambda each: numbers[each.track_id])
    for frame in video.frames():
        maps.write(frame, place / f"{frame.index:05d}.png")
    maps.tell(on_note)


def _track_numbers(video: MarkedVideo, on_note: Callable[[str], None]) -> dict[int, int]:
    """Return a number below 255, which is void, for each track: its own, if there are so few."""
    last: dict[int, int] = {}
    for frame in video.frames():
        last.update((each.track_id, frame.index) for each in frame.objects)
    if max(last, default=0) < VOID:
        return {track_id: track_id for track_id in last}
    on_note(f"{video.name}: has {len(last)} tracks, a palette 254 numbers: they are used again")
    numbers: dict[int, int] = {}
    free_from = dict.fromkeys(range(1, VOID), -1)  # number: last frame in which it is taken
    for frame in video.frames():
        for each in frame.objects:
            if each.track_id not in numbers:
                number = min(free_from, key=lambda n: (free_from[n] >= frame.index, n))
                if free_from[number] >= frame.index:
                    raise DataError(f"{video.name}: more than 254 tracks at once")
                numbers[each.track_id] = number
                free_from[number] = last[each.track_id]
    return numbers

"""The objects of a video, for formats in which an object has its frames and not the reverse."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from avscli.exports.video import MarkedFrame, MarkedVideo


def classes_of_tracks(
    video: MarkedVideo, frames: Iterable[MarkedFrame], on_note: Callable[[str], None]
) -> dict[int, int]:
    """Return the class of each track, in order of track ids: that of most of its frames."""
    seen: dict[int, Counter[int]] = defaultdict(Counter)
    for frame in frames:
        for each in frame.objects:
            seen[each.track_id][each.category_id] += 1
    if several := [track_id for track_id, classes in seen.items() if len(classes) > 1]:
        on_note(
            f"{video.name}: {len(several)} tracks change their class, track {several[0]} for one; "
            "all their frames get the most frequent one"
        )
    return {track_id: seen[track_id].most_common(1)[0][0] for track_id in sorted(seen)}

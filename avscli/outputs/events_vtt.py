"""events.vtt: a WebVTT cue per interval in which an object sounds, for players and editors."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from avscli.outputs.disk import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from avscli.results import ObjectSummary

EVENTS_NAME = "events.vtt"


def write_events(path: Path, objects: Iterable[ObjectSummary]) -> None:
    """Write the cues in time order.

    WebVTT knows no time before zero: what starts earlier starts there, what ends earlier is left
    out.

    Raises:
        OutputError: the disk is full or gone.
    """
    cues = sorted(
        (max(start, 0.0), end, each.track_id, _cue_text(each))
        for each in objects
        for start, end in each.intervals
        if end > max(start, 0.0)
    )
    lines = ["WEBVTT\n"]
    lines += [f"\n{_clock(start)} --> {_clock(end)}\n{text}\n" for start, end, _, text in cues]
    write_atomically(path, "".join(lines))


def _cue_text(each: ObjectSummary) -> str:
    name = " ".join(each.category.split())
    return f"{html.escape(name, quote=False)} {each.track_id}"


def _clock(seconds: float) -> str:
    """Return hours, minutes, seconds and milliseconds.

    >>> _clock(3723.4567)
    '01:02:03.457'
    """
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"

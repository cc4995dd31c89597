"""What kind of file is this, and how long is it? Answered by its headers alone: `identify`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from avscli.media.containers import open_input
from avscli.media.probe import duration_seconds
from avscli.media.streams import ANIMATIONS, format_of, is_still, video_stream

Kind = Literal["video", "animation", "still"]


@dataclass(frozen=True, slots=True)
class Identity:
    """What the headers of a file say.

    Attributes:
        kind: ``animation`` for kinds that move and have no sound (GIF, APNG, animated AVIF),
            ``still`` for pictures and text.
        seconds: declared length of videos and animations; None when the container does not say.
    """

    kind: Kind
    seconds: float | None = None


def identify(path: Path) -> Identity:
    """Tell videos from pictures, without decoding a frame.

    Raises:
        MediaError: the file is missing or unreadable, has no picture, or one that nobody decodes.
    """
    with open_input(path) as container:
        if is_still(container):
            return Identity("still")
        stream = video_stream(container, path)
        kind: Kind = "animation" if format_of(container) in ANIMATIONS else "video"
        return Identity(kind, duration_seconds(container, stream))

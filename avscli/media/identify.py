"""What kind of file is this, and how long is it? Answered by its headers alone: `identify`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from avscli.media.containers import open_input
from avscli.media.probe import duration_seconds
from avscli.media.streams import ANIMATIONS, format_of, is_still, video_stream

Kind = Literal["video", "animation", "still"]

_WEBP_FLAGS_AT = 20  # bytes from the start of the file
_WEBP_MOVES = 0x02


@dataclass(frozen=True, slots=True)
class Identity:
    """What the headers of a file say.

    Attributes:
        kind: ``animation`` for kinds that move and have no sound (GIF, APNG, moving WebP and AVIF),
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
            return Identity("animation" if _is_animated_webp(path) else "still")
        stream = video_stream(container, path)
        kind: Kind = "animation" if format_of(container) in ANIMATIONS else "video"
        if kind == "animation" and stream.frames == 1:
            return Identity("still")  # most GIFs on web pages
        return Identity(kind, duration_seconds(container, stream))


def _is_animated_webp(path: Path) -> bool:
    # FFmpeg takes both kinds of WebP for one picture, and decodes no frame of the one that moves.
    with path.open("rb") as file:
        header = file.read(_WEBP_FLAGS_AT + 1)
    is_extended = header[:4] + header[8:16] == b"RIFFWEBPVP8X" and len(header) > _WEBP_FLAGS_AT
    return is_extended and bool(header[_WEBP_FLAGS_AT] & _WEBP_MOVES)

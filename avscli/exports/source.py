"""The video itself, for exports that hold pictures or sound of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from avscli.errors import DataError
from avscli.media.fallback import probed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from avscli.datatypes import MediaInfo
    from avscli.exports.video import MarkedVideo


@contextmanager
def source_of(video: MarkedVideo) -> Iterator[MediaInfo]:
    """Open the video that was segmented.

    Raises:
        DataError: it is not where it was, or is another one by now.
        MediaError: it is unreadable.
    """
    if not video.source.is_file():
        raise DataError(
            f"this format holds pictures of the video, and {video.source} is not there",
            hint="put it back, or run this in the folder in which it was segmented",
        )
    with probed(video.source) as media:
        if (media.height, media.width) != video.size_hw:
            raise DataError(
                f"{video.source} is {media.height}×{media.width}, and was "
                f"{video.size_hw[0]}×{video.size_hw[1]} when it was segmented",
                hint="segment it again, or put the other video back",
            )
        yield media

"""What exports are made of: the frames of one video with their objects, whoever marked them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from avscli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from fractions import Fraction
    from pathlib import Path

    from avscli.masks import EncodedMask, SizeHW


@dataclass(frozen=True, slots=True)
class MarkedObject:
    """One object in one frame.

    Attributes:
        track_id: from 1 up, the same in all frames of a video.
        category_id: of `MarkedVideo.categories`.
        score: 0 … 1.
        mask: at display size.
    """

    track_id: int
    category_id: int
    score: float
    mask: EncodedMask


@dataclass(frozen=True, slots=True)
class MarkedFrame:
    """One source frame.

    Attributes:
        index: zero-based display index in the source.
        pts: presentation timestamp in the stream's time base.
        seconds: the same in seconds.
        is_held: its masks are those of the last analysed frame.
        objects: what is marked; may be empty.
    """

    index: int
    pts: int
    seconds: float
    is_held: bool
    objects: tuple[MarkedObject, ...]


@dataclass(frozen=True, slots=True)
class MarkedVideo:
    """A video, and what is marked in it.

    Attributes:
        name: its place below an output folder, parts joined by ``/``; unlike that of all others
            that are exported with it.
        source: the video file, which may be gone, or another one by now.
        source_sha256: of the file that was segmented.
        size_hw: of a display frame.
        frame_rate: average frames per second; None when unknown.
        categories: names by id, from 1 up.
        frames: streams the frames of the analysed range in time order; called again for each pass.
    """

    name: str
    source: Path
    source_sha256: str
    size_hw: SizeHW
    frame_rate: Fraction | None
    categories: Mapping[int, str]
    frames: Callable[[], Iterator[MarkedFrame]]

    def analysed(self) -> Iterator[MarkedFrame]:
        """Stream the frames that were looked at, without those that hold the masks of others."""
        return (frame for frame in self.frames() if not frame.is_held)


def common_categories(videos: Sequence[MarkedVideo]) -> Mapping[int, str]:
    """Return the categories that all videos have.

    Raises:
        DataError: they differ.
    """
    first = videos[0]
    for video in videos:
        if video.categories != first.categories:
            raise DataError(
                f"{video.name} was segmented into other classes than {first.name}",
                hint="export runs of one kind of weights together, the others by themselves",
            )
    return first.categories

"""The frames that somebody else decodes, for one who needs them later: `FrameFollower`."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from fractions import Fraction

    from avscli.media.frames import FrameReader, StampedImage

# Of 1280×720 230 frames, of 3840×2160 25: two batches of eight, and eight that are being encoded.
HELD_BYTES = 320_000_000


class FrameFollower:
    """Iterate once over the frames of a range, some way behind the reader that decodes them.

    What that reader hands out is held until it is asked for here. If it ever gets too far ahead,
    nothing more is held and the rest is decoded again, so neither of the two waits for the other::

        leader      0 1 2 3 4 5 6 7 8 9         limit: 4 frames
        held            2 3 4 5                 7 is the first that finds no room
        follower    0 1 2 3 4 5 6|7 8 9         from 7 on of its own decoding

    Ask for a frame only when the leader has handed it out; its thread may be another one.

    Args:
        leader: whose frames come by `keep`.
        held_bytes: how much to hold at most.
    """

    def __init__(self, leader: FrameReader, held_bytes: int = HELD_BYTES) -> None:
        self._leader, self._limit = leader, held_bytes
        self._held: deque[tuple[StampedImage, int]] = deque()
        self._held_bytes = 0
        self._is_following = True
        self._lock = Lock()

    @property
    def time_base(self) -> Fraction:
        """Seconds per unit of ``stamp.pts``, once there is a frame."""
        return self._leader.time_base

    def keep(self, image: StampedImage) -> None:
        """Take the leader's next frame."""
        size = sum(plane.buffer_size for plane in image.image.planes)
        with self._lock:
            self._is_following &= self._held_bytes + size <= self._limit
            if self._is_following:
                self._held.append((image, size))
                self._held_bytes += size

    def close(self) -> None:
        """Hold nothing any more."""
        with self._lock:
            self._is_following = False
            self._held.clear()

    def __iter__(self) -> Iterator[StampedImage]:
        """Take what is held, then decode.

        Raises:
            MediaError: the file cannot be decoded again.
        """
        reached = -1
        while image := self._oldest():
            reached = image.stamp.index
            yield image
        for image in self._leader.afresh():
            if image.stamp.index > reached:
                yield image

    def _oldest(self) -> StampedImage | None:
        with self._lock:
            if not self._held:
                self._is_following = False  # what comes now is decoded here
                return None
            image, size = self._held.popleft()
            self._held_bytes -= size
            return image

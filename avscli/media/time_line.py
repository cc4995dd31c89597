"""One time line for all packets of a file, whatever its clock does: `TimeLine`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import av
from av.stream import Stream

# Larger than what encoders' delays and reordering let the parts of one recording overlap by: two
# frames of HE-AAC are 0.17 s.
_FALL_SECONDS = Fraction(1, 5)
_WRAPPING = {"mpegts", "mpeg"}
_WRAP_SECONDS = Fraction(2**33, 90_000)  # after which their clocks begin again
# A pause of this length in picture and sound at once is worth telling.
_JUMP_SECONDS = Fraction(2)


@dataclass(frozen=True, slots=True)
class ClockStep:
    """A place where the clock of a file does not go on from where it was.

    Attributes:
        at_seconds: how far the time line had come.
        by_seconds: positive for a jump forward, which is kept; negative for a fall, after which
            everything is moved on by as much.
    """

    at_seconds: float
    by_seconds: float

    def __str__(self) -> str:
        """Return the end of a sentence about a clock."""
        how = "jumps forward" if self.by_seconds > 0 else "falls back"
        return f"{how} by {abs(self.by_seconds):.1f} s at {self.at_seconds:.1f} s"


@dataclass(slots=True)
class _Track:
    """Where a stream has come to, on its own clock."""

    dts: Fraction
    end: Fraction
    part: int = 0


class TimeLine:
    """Moves packets of picture and sound so that no stream's time falls back.

    Recordings joined end to end (common with .ts) start their clock anew in the middle. All
    streams move on by what the first of them fell, so picture and sound stay together, but each
    from its own fall on, because packets of both parts alternate around the seam::

        read, picture   0 1 2 3 . . 4 0 1 2       handed out   0 1 2 3 . . 4 5 6 7
        read, sound     0 1 2 3 4 0 . 1 2 3                    0 1 2 3 4 5 . 6 7 8

    Args:
        on_step: told of falls, and of jumps forward that all streams make.
    """

    def __init__(self, on_step: Callable[[ClockStep], None]) -> None:
        self._on_step = on_step
        self._shifts = [Fraction(0)]
        self._tracks: dict[int, _Track] = {}
        self._reached: Fraction | None = None  # by any stream, on the time line

    def place(self, packet: av.Packet[Stream]) -> None:
        """Move one packet, in the order in which they are read."""
        if packet.dts is None or packet.stream.type not in ("video", "audio"):
            return
        base = packet.time_base
        dts = packet.dts * base
        time = dts if packet.pts is None else packet.pts * base
        duration = (packet.duration or 0) * base
        track = self._tracks.setdefault(packet.stream.index, _Track(dts, time))
        self._follow(
            track,
            dts,
            time,
            slack=max(_FALL_SECONDS, 2 * duration),
            wraps=packet.stream.container.format.name in _WRAPPING,
        )
        shift = self._shifts[track.part]
        if self._reached is not None and time + shift - self._reached > _JUMP_SECONDS:
            self._tell(time + shift - self._reached)
        track.dts, track.end = dts, max(time + duration, track.end)
        end = track.end + shift
        self._reached = end if self._reached is None else max(self._reached, end)
        move_packet(packet, shift)

    def _follow(
        self, track: _Track, dts: Fraction, time: Fraction, *, slack: Fraction, wraps: bool
    ) -> None:
        """Take a track to the part of the file that its next packet belongs to."""
        if track.part < len(self._shifts) - 1:
            # Another stream has fallen already; old packets still go on from where theirs ended.
            if dts < track.dts or abs(time - track.end) > slack:
                track.part, track.end = track.part + 1, time
            return
        # FFmpeg takes a clock that falls to a minute or more before its start for one that has
        # gone all the way round, and adds what it counts; no such clock gets there by itself.
        is_unwrapped = wraps and time >= _WRAP_SECONDS and time - track.end > _JUMP_SECONDS
        # A fall in decoding order alone is how joined segments with B-frames look.
        if is_unwrapped or (track.dts - dts > slack and track.end - time > slack):
            assert self._reached is not None, "a track that falls has been somewhere"
            fallen = self._reached - (time + self._shifts[-1])
            self._tell(-fallen - (_WRAP_SECONDS if is_unwrapped else 0))
            self._shifts.append(self._shifts[-1] + fallen)
            track.part, track.end = track.part + 1, time

    def _tell(self, by: Fraction) -> None:
        assert self._reached is not None
        self._on_step(ClockStep(float(self._reached), float(by)))


def move_packet(packet: av.Packet[Stream], seconds: Fraction) -> None:
    """Move a packet on the time line, by whole ticks of its time base."""
    ticks = round(seconds / packet.time_base)
    packet.dts = None if packet.dts is None else packet.dts + ticks
    packet.pts = None if packet.pts is None else packet.pts + ticks

"""The time line of an overlay: its own zero, and a tick that MP4 can hold."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from avscli.config import ReadOptions
from avscli.media.frames import StampedImage

LARGEST_TIMESCALE = 2**31 - 1  # ticks per second; FFmpeg's muxer keeps it in 32 bits with a sign
# MP4 counts from one frame to the next in 32 bits, of which the muxer uses 31. A decoding time may
# lie three of the longest gaps before the frame's own (B-frames), hence a quarter of that.
_LONGEST_GAP_TICKS = 2**29
_FINEST_OWN_TIMESCALE = 1_000_000  # as fine as the times in frames.jsonl
# Picture and sound of one recording rarely begin together. Beyond this a player would show nothing.
_LATEST_START_SECONDS = 1


@dataclass(frozen=True, slots=True)
class OverlayClock:
    """How source times become times of an overlay, and which sound belongs to it.

    Attributes:
        source_tick: seconds per tick of the source's video stream.
        tick: seconds per tick of the overlay.
        zero: source seconds at which the overlay's time line starts; 0 unless the source starts
            before that or later than a second after.
        sound_from, sound_until: half-open range of source seconds.
    """

    source_tick: Fraction
    tick: Fraction
    zero: Fraction
    sound_from: float
    sound_until: float

    @classmethod
    def of(cls, first: StampedImage, source_tick: Fraction, options: ReadOptions) -> OverlayClock:
        """Return the clock, still in the source's ticks, for a range that begins with a frame."""
        start_pts = first.stamp.pts - round(Fraction(first.seconds_in) / source_tick)
        start = start_pts * source_tick
        zero = Fraction(0) if 0 <= start < _LATEST_START_SECONDS else start
        sound_from = float(zero) if zero > 0 else -math.inf
        if options.start_seconds is not None:
            sound_from = float(start) + options.start_seconds
        end = math.inf if options.end_seconds is None else float(start) + options.end_seconds
        return cls(source_tick, source_tick, zero, sound_from, sound_until=end)

    def holding(self, longest_gap: Fraction) -> OverlayClock:
        """Return the same clock with a tick in which such a gap between frames can be written.

        It is the source's own where possible, and else the finest power of ten that is no finer
        than a microsecond.

        >>> from fractions import Fraction
        >>> clock = OverlayClock(Fraction(1, 10**9), Fraction(1, 10**9), Fraction(0), 0.0, 9.0)
        >>> clock.holding(Fraction(1, 25)).tick, clock.holding(Fraction(6)).tick
        (Fraction(1, 1000000000), Fraction(1, 1000000))
        """
        if longest_gap * self.tick.denominator <= _LONGEST_GAP_TICKS:
            return self
        timescale = _FINEST_OWN_TIMESCALE
        while timescale > 1 and longest_gap * timescale > _LONGEST_GAP_TICKS:
            timescale //= 10
        return replace(self, tick=Fraction(1, timescale))

    def ticks(self, pts: int) -> int:
        """Return when a frame of the source stands in the overlay, in ticks of the overlay."""
        return round((pts * self.source_tick - self.zero) / self.tick)

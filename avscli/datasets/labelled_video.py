"""Videos with the truth about each of their seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from pathlib import Path

SecondState = Literal["visible", "off_screen", "silent", "unclear"]
SECOND_STATES: tuple[SecondState, ...] = get_args(SecondState)
SoundSource = Literal["voice", "music", "other"]
SOUND_SOURCES: tuple[SoundSource, ...] = get_args(SoundSource)

MASK_SECONDS = 0.5  # after its second begins, a mask is of this moment
FURTHEST_SECONDS = 0.25  # from that moment may a frame be; things move on
# Matroska rounds times to 1 ms, so a frame of the next second may stand just before it.
_ROUNDING_SECONDS = 0.6e-3


@dataclass(frozen=True, slots=True)
class LabelledSecond:
    """What is known of the time from `second` up to the next one, from the first frame on.

    Attributes:
        second: k stands for [k, k + 1).
        state: ``visible``: something visible sounds; ``off_screen``: only what is not visible
            does; ``silent``: nothing does; ``unclear``: nobody can tell, so it is not scored.
        classes: what sounds, visible or not; empty where it has no name.
        mask: PNG of what sounds visibly at `MASK_SECONDS` after k; None where there is none.
        source: what kind of sound an off-screen one is.
    """

    second: int
    state: SecondState
    classes: tuple[str, ...] = ()
    mask: Path | None = None
    source: SoundSource = "other"

    @property
    def is_scored(self) -> bool:
        """Whether it is known if something visible sounds."""
        return self.state != "unclear"

    @property
    def sounds(self) -> bool:
        """Whether something visible sounds."""
        return self.state == "visible"


@dataclass(frozen=True, slots=True)
class LabelledVideo:
    """A video file and what is known of its seconds.

    Attributes:
        clip_id: unique within its data set.
        path: of the file.
        seconds: in time order; those that nobody labelled are left out.
    """

    clip_id: str
    path: Path
    seconds: tuple[LabelledSecond, ...]


def second_of(seconds_in: float) -> int:
    """Return the second that a time since the first frame lies in.

    >>> second_of(0.9996), second_of(1.5)
    (1, 1)
    """
    return math.floor(seconds_in + _ROUNDING_SECONDS)

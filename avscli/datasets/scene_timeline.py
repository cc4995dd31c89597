"""When the objects of a scene sound, and the sound track that follows from it.

A scene is cut into stretches of at least 1.5 s. In each, a fixed set of objects sounds, so that
within the 0.975 s window of a frame there is at most one switch.

    |  one  | noise | several |   one   | silence |  …      what sounds
    0      1.9     3.6       5.4       7.5       9.2  s
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from avscli.datasets.scene_sounds import ambience, synthesise
from avscli.datatypes import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

State = Literal["one", "several", "one_and_off_screen", "off_screen", "noise", "silence"]
STATES: tuple[State, ...] = get_args(State)

SHORTEST_STRETCH = SAMPLE_RATE_HZ * 3 // 2
_USUAL_STRETCH = 2 * SAMPLE_RATE_HZ
_LEVEL_DBFS = (-30.0, -18.0)
_AMBIENCE_DBFS = (-75.0, -46.0)
_LARGEST_PEAK = 0.98


@dataclass(frozen=True, slots=True)
class Stretch:
    """Part of a scene in which the same objects sound throughout.

    Attributes:
        start, end: half-open range of samples at 16 kHz.
        state: what kind of stretch it is.
        sounding: indices of the sounding objects; the one after the last visible object is
            off screen.
    """

    start: int
    end: int
    state: State
    sounding: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Voice:
    """How one object sounds, the same way whenever it does.

    Attributes:
        kind: its kind.
        seed: of timbre, melody and rhythm.
        level_dbfs: RMS while it sounds, unless its peaks forbid.
    """

    kind: str
    seed: int
    level_dbfs: float

    def add_to(self, track: NDArray[np.float64], start: int, end: int) -> None:
        """Sound from sample `start` to `end`, which may lie outside the track, in place."""
        signal = synthesise(
            self.kind,
            np.random.default_rng(self.seed),
            num_samples=end - start,
            level_dbfs=self.level_dbfs,
        )
        begin, stop = max(start, 0), min(end, len(track))
        track[begin:stop] += signal[begin - start : stop - start]


def random_voice(rng: Generator, kind: str) -> Voice:
    """Draw a timbre and a level for a kind."""
    return Voice(kind, int(rng.integers(2**62)), rng.uniform(*_LEVEL_DBFS))


def random_ambience(rng: Generator, num_samples: int) -> NDArray[np.float64]:
    """Draw background noise, in part of all cases below −60 dBFS."""
    return ambience(rng, num_samples=num_samples, level_dbfs=rng.uniform(*_AMBIENCE_DBFS))


def choose_sounding(
    rng: Generator, state: State, num_visible: int, *, avoid: Collection[int] = ()
) -> tuple[int, ...]:
    """Choose which objects sound.

    Args:
        rng: decides.
        state: what kind of choice.
        num_visible: objects 0 … num_visible − 1 are visible, num_visible is off screen.
        avoid: objects not to choose for a single sound as long as there is another.
    """
    fresh = [i for i in range(num_visible) if i not in avoid] or list(range(num_visible))
    one = fresh[rng.integers(len(fresh))]
    several = rng.permutation(num_visible)[: rng.integers(2, 4)].tolist()
    chosen: dict[State, tuple[int, ...]] = {
        "one": (one,),
        "several": tuple(sorted(several)),
        "one_and_off_screen": (one, num_visible),
        "off_screen": (num_visible,),
    }
    return chosen.get(state, ())


def plan_stretches(rng: Generator, num_samples: int, num_visible: int) -> tuple[Stretch, ...]:
    """Cut a scene into stretches; the first is a visible sound, every third makes none.

    Args:
        rng: decides.
        num_samples: length of the scene at 16 kHz.
        num_visible: number of visible objects.
    """
    count = max(1, num_samples // _USUAL_STRETCH)
    spare = max(0, num_samples - count * SHORTEST_STRETCH)
    cuts = np.sort(rng.integers(0, spare + 1, count - 1)) + SHORTEST_STRETCH * np.arange(1, count)
    bounds = [0, *cuts.tolist(), num_samples]
    quiet: list[State] = ["silence", "noise", "off_screen"]
    rng.shuffle(quiet)
    loud: list[State] = ["one", "one", "several", "one_and_off_screen"]
    stretches: list[Stretch] = []
    for i in range(count):
        state = loud[rng.integers(len(loud))] if i else "one"
        if i % 3 == 1:
            state = quiet[i // 3 % len(quiet)]
        before = stretches[-1].sounding if stretches else ()
        sounding = choose_sounding(rng, state, num_visible, avoid=before)
        stretches.append(Stretch(bounds[i], bounds[i + 1], state, sounding))
    return tuple(stretches)


def sounding_spans(stretches: Sequence[Stretch], index: int) -> tuple[tuple[int, int], ...]:
    """Return the spans of samples in which an object sounds, adjoining stretches joined."""
    spans: list[tuple[int, int]] = []
    for stretch in stretches:
        if index not in stretch.sounding:
            continue
        if spans and spans[-1][1] == stretch.start:
            spans[-1] = (spans[-1][0], stretch.end)
        else:
            spans.append((stretch.start, stretch.end))
    return tuple(spans)


def mix(
    rng: Generator, stretches: Sequence[Stretch], voices: Sequence[Voice]
) -> NDArray[np.float32]:
    """Return the [N] sound track in [-1, 1]; stretches of silence are digital zeros."""
    track = random_ambience(rng, stretches[-1].end)
    for stretch in stretches:
        if stretch.state == "silence":
            track[stretch.start : stretch.end] = 0.0
    for index, voice in enumerate(voices):
        for start, end in sounding_spans(stretches, index):
            voice.add_to(track, start, end)
    return limit(track)


def limit(track: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scale a whole track down when its peak would reach full scale."""
    peak = float(np.abs(track).max(initial=0.0))
    return np.asarray(track * min(1.0, _LARGEST_PEAK / max(peak, 1e-9)), np.float32)

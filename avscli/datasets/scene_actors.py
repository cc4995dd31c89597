"""Objects of a scene that move: where each one is at a time, and which pixels it owns."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from avscli.datasets.scene_canvas import Look, Pose
from avscli.datasets.scene_shapes import paint, random_look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

NOBODY = -1

LARGEST_SIZE = 0.42  # of the shorter side, for an object that is alone
_PLACES_TRIED = 8
_CARELESS_SHARE = 0.2  # of objects placed without a look at the others, so that some overlap


@dataclass(frozen=True, slots=True)
class Habit:
    """How a kind typically moves.

    Attributes:
        travel: largest way from the middle, right and down, as shares of width and height.
        swing: largest turn, radians.
        hertz: about how many times a second.
        tilt: largest turn at rest, radians.
    """

    travel: tuple[float, float]
    swing: float
    hertz: float
    tilt: float


HABITS = {
    "bell": Habit((0.03, 0.02), 0.35, 0.7, 0.2),
    "engine": Habit((0.22, 0.01), 0.03, 0.12, 0.25),
    "bird": Habit((0.14, 0.12), 0.12, 0.35, 0.3),
    "drum": Habit((0.03, 0.03), 0.05, 0.3, 0.3),
    "voice": Habit((0.06, 0.03), 0.15, 0.3, 0.25),
    "flute": Habit((0.05, 0.05), 0.35, 0.25, math.pi),
    "siren": Habit((0.05, 0.05), 0.3, 0.5, 0.5),
    "clock": Habit((0.02, 0.02), 0.05, 0.2, 0.2),
    "guitar": Habit((0.05, 0.04), 0.25, 0.3, math.pi),
}


@dataclass(frozen=True, slots=True, eq=False)
class Actor:
    """One visible object with its motion.

    Attributes:
        look: how it is drawn.
        rest: the pose it moves around.
        travel: amplitude in pixels, right and down.
        swing: amplitude in radians.
        hertz: of the ways right and down, and of the swing.
        starts: phases of the three at time zero, radians.
    """

    look: Look
    rest: Pose
    travel: tuple[float, float]
    swing: float
    hertz: tuple[float, float, float]
    starts: tuple[float, float, float]

    def pose_at(self, seconds: float) -> Pose:
        """Return the pose at a time."""
        right, down, turn = (
            math.sin(2 * math.pi * hertz * seconds + start)
            for hertz, start in zip(self.hertz, self.starts, strict=True)
        )
        return replace(
            self.rest,
            x=self.rest.x + self.travel[0] * right,
            y=self.rest.y + self.travel[1] * down,
            angle=self.rest.angle + self.swing * turn,
            phase=self.rest.phase + 2 * math.pi * seconds,
        )


def place_actors(
    rng: Generator, kinds: Sequence[str], size_hw: tuple[int, int]
) -> tuple[Actor, ...]:
    """Place one object of each kind in a frame, far to near."""
    largest = LARGEST_SIZE * min(size_hw) / len(kinds) ** 0.4
    actors: list[Actor] = []
    for kind in kinds:
        size = rng.uniform(0.5, 1.0) * largest
        x, y = _free_place(rng, size, size_hw, [actor.rest for actor in actors])
        habit = HABITS[kind]
        rest = Pose(
            x=x,
            y=y,
            size=size,
            angle=rng.uniform(-habit.tilt, habit.tilt),
            mirrored=bool(rng.integers(2)),
            phase=rng.uniform(0, 2 * math.pi),
        )
        actors.append(_set_moving(rng, random_look(kind, rng), rest, size_hw))
    return tuple(actors)


def paint_actors(
    image: NDArray[np.uint8], actors: Sequence[Actor], seconds: float
) -> NDArray[np.int8]:
    """Paint the objects as they are at a time onto a picture, in place.

    Args:
        image: [H, W, 3] uint8 RGB.
        actors: far to near.
        seconds: time.

    Returns:
        [H, W] int8: index of the nearest object whose outline holds the pixel's centre, or -1.
    """
    owners = np.full(image.shape[:2], NOBODY, np.int8)
    for index, actor in enumerate(actors):
        rows, columns, inside = paint(image, actor.look, actor.pose_at(seconds))
        owners[rows, columns][inside] = index
    return owners


def _set_moving(rng: Generator, look: Look, rest: Pose, size_hw: tuple[int, int]) -> Actor:
    habit = HABITS[look.kind]
    amount, pace = rng.uniform(0.3, 1.0, 3).tolist(), rng.uniform(0.6, 1.4, 3).tolist()
    first, second, third = rng.uniform(0, 2 * math.pi, 3).tolist()
    return Actor(
        look=look,
        rest=rest,
        travel=(
            habit.travel[0] * amount[0] * size_hw[1],
            habit.travel[1] * amount[1] * size_hw[0],
        ),
        swing=habit.swing * amount[2],
        hertz=(habit.hertz * pace[0], habit.hertz * pace[1], habit.hertz * pace[2]),
        starts=(first, second, third),
    )


def _free_place(
    rng: Generator, size: float, size_hw: tuple[int, int], taken: Sequence[Pose]
) -> tuple[float, float]:
    """Choose a centre: mostly the roomiest of a few tries, sometimes just any."""
    margin = 0.8 * size
    low, high = (margin, margin), (size_hw[1] - margin, size_hw[0] - margin)
    tries: list[tuple[float, float]] = rng.uniform(low, high, (_PLACES_TRIED, 2)).tolist()
    if rng.random() < _CARELESS_SHARE or not taken:
        return tries[0]
    return max(
        tries,
        key=lambda at: min(math.dist(at, (other.x, other.y)) - other.size for other in taken),
    )

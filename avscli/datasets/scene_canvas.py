"""Painting with signed distances: where scene objects are and how their parts are filled.

An object lives in a disc of radius 1: u points right, v points down. A part is the region where
its distance is negative; the outline of an object is the union of its parts, so a pixel belongs
to it exactly when the pixel's centre lies inside one of them.

            v = -1
              |
     u = -1 --+-- u = 1      pixel (column x, row y) has its centre at (x, y);
              |              size = pixels per unit
            v = 1
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Field = NDArray[np.float32]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """How one object is drawn.

    Attributes:
        kind: a key of `scene_shapes.DRAWINGS`.
        main, second: [3] float32 RGB, 0…255.
        pattern: 0 plain, 1 stripes, 2 dots, 3 gradient.
        frequency: of the pattern, in cycles per unit.
    """

    kind: str
    main: Field
    second: Field
    pattern: int
    frequency: float


@dataclass(frozen=True, slots=True)
class Pose:
    """Where an object is at one moment.

    Attributes:
        x, y: centre in pixels.
        size: radius of its disc in pixels.
        angle: clockwise turn on the screen, radians.
        mirrored: left and right exchanged.
        phase: radians; drives what moves within the object (hands, wheels, wings, mouths).
    """

    x: float
    y: float
    size: float
    angle: float = 0.0
    mirrored: bool = False
    phase: float = 0.0


class Canvas:
    """The box of pixels around one object, painted part by part.

    Args:
        pose: where the object is.
        rows, columns: the pixels of the box.

    Attributes:
        u, v: [h, w] plane coordinates of the pixel centres.
        distance: [h, w] signed distance to the outline, negative inside.
        colour: [3, h, w] RGB, 0…255; meaningful inside the outline.
    """

    def __init__(self, pose: Pose, rows: range, columns: range) -> None:
        x = (np.arange(columns.start, columns.stop, dtype=np.float32) - pose.x) / pose.size
        y = (np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - pose.y) / pose.size
        cos, sin = math.cos(pose.angle), math.sin(pose.angle)
        self.u: Field = (cos * x + sin * y) * np.float32(-1 if pose.mirrored else 1)
        self.v: Field = cos * y - sin * x
        self.distance = np.full(self.u.shape, np.inf, np.float32)
        self.colour = np.zeros((3, *self.u.shape), np.float32)
        self._size = np.float32(pose.size)

    def part(self, distance: Field, colour: Field) -> None:
        """Paint a part and widen the outline by it."""
        # Half a pixel too wide, so that the border blends with the part's own colour.
        self._paint(np.clip(1.0 - distance * self._size, 0, 1), colour)
        np.minimum(self.distance, distance, out=self.distance)

    def detail(self, distance: Field, colour: Field) -> None:
        """Paint inside the outline only."""
        self._paint(np.clip(0.5 - distance * self._size, 0, 1), colour)

    def coverage(self) -> Field:
        """Return [h, w] in 0…1: the share of each pixel that the object covers."""
        covered: Field = np.clip(0.5 - self.distance * self._size, 0, 1)
        return covered

    def _paint(self, amount: Field, colour: Field) -> None:
        tint = colour if colour.ndim == 3 else colour[:, None, None]
        self.colour += amount * (tint - self.colour)


def length(u: Field, v: Field) -> Field:
    """Return the distance of (u, v) from the origin."""
    return np.asarray(np.sqrt(u * u + v * v))


def disc(canvas: Canvas, centre: Point, radius: float) -> Field:
    """Return the distance to a disc."""
    return np.asarray(length(canvas.u - centre[0], canvas.v - centre[1]) - np.float32(radius))


def ellipse(canvas: Canvas, centre: Point, radii: Point) -> Field:
    """Return an approximate distance to an ellipse; its zero line is exact."""
    u, v = (canvas.u - centre[0]) / radii[0], (canvas.v - centre[1]) / radii[1]
    return np.asarray((length(u, v) - 1) * np.float32(min(radii)))


def box(canvas: Canvas, centre: Point, half: Point, *, rounding: float = 0.0) -> Field:
    """Return the distance to an upright box, corners rounded within its half sizes."""
    u = np.abs(canvas.u - centre[0]) - np.float32(half[0] - rounding)
    v = np.abs(canvas.v - centre[1]) - np.float32(half[1] - rounding)
    outside = length(np.maximum(u, 0), np.maximum(v, 0))
    return np.asarray(outside + np.minimum(np.maximum(u, v), 0) - np.float32(rounding))


def stroke(canvas: Canvas, start: Point, end: Point, radius: float) -> Field:
    """Return the distance to a line with round ends."""
    du, dv = end[0] - start[0], end[1] - start[1]
    u, v = canvas.u - start[0], canvas.v - start[1]
    along: Field = np.clip((u * du + v * dv) / (du * du + dv * dv), 0, 1)
    return np.asarray(length(u - along * du, v - along * dv) - np.float32(radius))


def polygon(canvas: Canvas, corners: Sequence[Point]) -> Field:
    """Return the distance to a convex polygon, corners clockwise on the screen."""
    distance = np.full(canvas.u.shape, -np.inf, np.float32)
    for (u0, v0), (u1, v1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        side = math.dist((u0, v0), (u1, v1))
        across = (canvas.u - u0) * ((v1 - v0) / side) - (canvas.v - v0) * ((u1 - u0) / side)
        np.maximum(distance, across, out=distance)
    return distance

"""Textured backgrounds of generated scenes: periodic pictures that pan by rolling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from avscli.datasets.scene_canvas import Field, Pose
from avscli.datasets.scene_shapes import CLUTTER_DRAWINGS, paint, random_colour, random_look

if TYPE_CHECKING:
    from numpy.random import Generator

_GRAIN_LEVELS = 8


def make_background(rng: Generator, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw a background: two or three colours mixed by a texture, with grain and some clutter.

    Args:
        rng: decides everything.
        size_hw: height and width in pixels.

    Returns:
        [H, W, 3] uint8 RGB; its texture continues across opposite borders.
    """
    texture = _texture(rng, size_hw)
    slow = np.float32(0.6) * _smooth_noise(rng, size_hw, cells=2)
    grain = rng.integers(1, _GRAIN_LEVELS)
    grains = rng.integers(-grain, grain + 1, size_hw, np.int8).astype(np.float32)
    image = np.empty((*size_hw, 3), np.uint8)
    corners = (random_colour(rng, saturation=(0.0, 0.8)) for _ in range(3))
    for channel, (first, second, third) in enumerate(zip(*corners, strict=True)):
        plane = first + texture * (second - first)
        plane += slow * (third - plane) + grains
        image[..., channel] = np.clip(plane, 0, 255)
    for _ in range(rng.integers(0, 5)):
        _add_clutter(image, rng)
    return image


def _texture(rng: Generator, size_hw: tuple[int, int]) -> Field:
    """Return [H, W] float32 in 0…1: cloud, warped stripes, checks, or a mosaic."""
    style = rng.integers(4)
    cloud = _smooth_noise(rng, size_hw, cells=int(rng.integers(3, 8)))
    if style == 0:
        fine = _smooth_noise(rng, size_hw, cells=int(rng.integers(10, 30)))
        return np.asarray(0.65 * cloud + 0.35 * fine)
    if style == 1:
        x, y = _turns(rng, size_hw)
        return np.asarray(0.5 + 0.5 * np.sin(x + y + rng.uniform(0, 3) * cloud))
    if style == 2:
        x, y = _turns(rng, size_hw)
        checks = np.where(np.sin(x) * np.sin(y) > 0, np.float32(1), np.float32(0))
        return np.asarray(0.6 * checks + 0.4 * cloud)
    cells = rng.integers(3, 12, 2)
    grid = rng.random(cells, np.float32)
    rows = np.arange(size_hw[0]) * cells[0] // size_hw[0]
    columns = np.arange(size_hw[1]) * cells[1] // size_hw[1]
    return np.asarray(grid[rows][:, columns])


def _turns(rng: Generator, size_hw: tuple[int, int]) -> tuple[Field, Field]:
    """Return phases [1, W] and [H, 1] that make whole turns across the picture."""
    across, down = rng.integers(1, 14, 2)
    x = np.arange(size_hw[1], dtype=np.float32) * np.float32(2 * math.pi * across / size_hw[1])
    y = np.arange(size_hw[0], dtype=np.float32) * np.float32(2 * math.pi * down / size_hw[0])
    return x[None, :], y[:, None]


def _smooth_noise(rng: Generator, size_hw: tuple[int, int], *, cells: int) -> Field:
    """Return [H, W] float32 in 0…1: random values on a periodic grid, joined smoothly."""
    noise: Field = rng.random((cells, cells), np.float32)
    for axis, size in enumerate(size_hw):
        position = np.arange(size, dtype=np.float32) * np.float32(cells / size)
        low = position.astype(np.int64) % cells
        share = position - np.floor(position)
        share = share * share * (3 - 2 * share)
        share = share[:, None] if axis == 0 else share
        before, after = noise.take(low, axis), noise.take((low + 1) % cells, axis)
        noise = before + share * (after - before)
    return noise


def _add_clutter(image: NDArray[np.uint8], rng: Generator) -> None:
    """Paint one shape that is no object of any kind."""
    height, width = image.shape[:2]
    kind = str(rng.choice(list(CLUTTER_DRAWINGS)))
    pose = Pose(
        x=rng.uniform(0, width),
        y=rng.uniform(0, height),
        size=rng.uniform(0.05, 0.3) * min(height, width),
        angle=rng.uniform(0, 2 * math.pi),
        phase=rng.uniform(0, 2 * math.pi),
    )
    paint(image, random_look(kind, rng), pose)

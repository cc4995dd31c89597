"""The drawn kinds of generated scenes, each recognisable by its shape alone.

A drawing paints its parts onto a `Canvas`, far to near; colours and patterns come from the `Look`.
Clutter is drawn the same way and belongs to no kind.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from avscli.datasets.scene_canvas import (
    Canvas,
    Field,
    Look,
    Pose,
    box,
    disc,
    ellipse,
    length,
    polygon,
    stroke,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray


def _rgb(red: float, green: float, blue: float) -> Field:
    return np.array([red, green, blue], np.float32)


_DARK = _rgb(28, 26, 30)
_LIGHT = _rgb(242, 238, 228)
_PATTERN = np.float32(0.6)  # share of the second colour in stripes and dots
_SKIN = (_rgb(252, 220, 190), _rgb(225, 172, 130), _rgb(168, 112, 78), _rgb(98, 64, 46))


def coat(canvas: Canvas, look: Look) -> Field:
    """Return [3, h, w]: the object's main colour with its pattern and some light from above."""
    light = 1.0 - 0.16 * canvas.v
    waves = 2 * math.pi * look.frequency
    main, second = look.main[:, None, None], look.second[:, None, None]
    if look.pattern == 0:
        return np.asarray(main * light)
    amount = 0.3 + 0.3 * canvas.u
    if look.pattern == 1:
        amount = np.where(np.sin(waves * (canvas.u + 0.4 * canvas.v)) > 0.3, _PATTERN, 0)
    elif look.pattern == 2:
        dots = np.sin(waves * canvas.u) * np.sin(waves * canvas.v)
        amount = np.where(dots > 0.45, _PATTERN, 0)
    return np.asarray((main + amount * (second - main)) * light)


def draw_bell(canvas: Canvas, look: Look, phase: float) -> None:
    """Draw a flared bell with a loop above and a swinging clapper below."""
    loop = np.abs(disc(canvas, (0, -0.78), 0.13)) - np.float32(0.055)
    canvas.part(loop, _DARK)
    canvas.part(disc(canvas, (0.14 * math.sin(phase), 0.76), 0.15), _DARK)
    rise = np.clip((canvas.v + 0.68) / 1.2, 0, 1)
    width = 0.34 * np.sqrt(np.clip(rise * 5, 0, 1)) + 0.42 * rise**3
    wall = np.maximum(np.abs(canvas.u) - width, np.maximum(canvas.v - 0.55, -0.68 - canvas.v))
    canvas.part(wall, coat(canvas, look))
    canvas.detail(np.maximum(np.abs(canvas.v - 0.2) - 0.035, wall), look.second)
    canvas.part(box(canvas, (0, 0.58), (0.8, 0.09), rounding=0.09), look.main * np.float32(0.72))


def draw_engine(canvas: Canvas, look: Look, phase: float) -> None:
    """Draw a car from the side."""
    cabin = [(-0.62, 0.0), (-0.4, -0.46), (0.22, -0.46), (0.5, 0.0)]
    canvas.part(polygon(canvas, cabin), look.main * np.float32(0.85))
    glass = [(-0.5, -0.03), (-0.34, -0.37), (0.17, -0.37), (0.37, -0.03)]
    canvas.detail(polygon(canvas, glass), _rgb(196, 222, 236))
    canvas.detail(box(canvas, (-0.08, -0.2), (0.035, 0.2)), look.main * np.float32(0.85))
    canvas.part(box(canvas, (0, 0.14), (0.93, 0.22), rounding=0.12), coat(canvas, look))
    canvas.detail(ellipse(canvas, (0.83, 0.08), (0.07, 0.09)), _rgb(255, 240, 150))
    for u in (-0.52, 0.52):
        canvas.part(disc(canvas, (u, 0.36), 0.23), _DARK)
        canvas.detail(disc(canvas, (u, 0.36), 0.12), _rgb(185, 185, 190))
        spoke = (0.11 * math.cos(4 * phase), 0.11 * math.sin(4 * phase))
        ends = (u - spoke[0], 0.36 - spoke[1]), (u + spoke[0], 0.36 + spoke[1])
        canvas.detail(stroke(canvas, *ends, 0.025), _DARK)


def draw_bird(canvas: Canvas, look: Look, phase: float) -> None:
    """Draw a perched bird from the side, wing beating."""
    for u in (-0.08, 0.14):
        canvas.part(stroke(canvas, (u, 0.4), (u + 0.06, 0.8), 0.035), _rgb(214, 128, 44))
    tail = [(-0.98, -0.16), (-0.3, -0.08), (-0.3, 0.3), (-0.9, 0.2)]
    canvas.part(polygon(canvas, tail), look.main * np.float32(0.6))
    beak = [(0.68, -0.5), (0.96, -0.24), (0.68, -0.22)]
    canvas.part(polygon(canvas, beak), _rgb(244, 168, 40))
    body = np.minimum(ellipse(canvas, (-0.02, 0.1), (0.58, 0.4)), disc(canvas, (0.46, -0.36), 0.31))
    canvas.part(body, coat(canvas, look))
    canvas.detail(np.maximum(ellipse(canvas, (0.2, 0.3), (0.4, 0.24)), body), look.second)
    lift = 0.1 * math.sin(3 * phase)
    canvas.detail(
        np.maximum(ellipse(canvas, (-0.16, 0.04 - lift), (0.36, 0.2 + lift)), body),
        look.main * np.float32(0.5),
    )
    canvas.detail(disc(canvas, (0.55, -0.42), 0.095), _LIGHT)
    canvas.detail(disc(canvas, (0.57, -0.42), 0.055), _DARK)


def draw_drum(canvas: Canvas, look: Look, phase: float) -> None:
    """Draw a drum with lacing and two sticks."""
    side = np.minimum(box(canvas, (0, 0.14), (0.72, 0.42)), ellipse(canvas, (0, 0.56), (0.72, 0.2)))
    canvas.part(side, coat(canvas, look))
    zigzag = np.abs(np.mod(canvas.u * 3.2, 2) - 1) * 0.5 - 0.02
    canvas.detail(np.maximum(np.abs(canvas.v - 0.12 - zigzag) - 0.03, side), _LIGHT)
    canvas.part(ellipse(canvas, (0, -0.28), (0.76, 0.25)), look.second * np.float32(0.8))
    canvas.detail(ellipse(canvas, (0, -0.29), (0.66, 0.19)), _LIGHT)
    for hand in (-1.0, 1.0):
        tip = (0.16 * hand, -0.3 - 0.1 * (1 + hand * math.sin(2 * phase)))
        grip = (0.56 * hand, tip[1] - 0.26)
        canvas.part(stroke(canvas, tip, grip, 0.045), _rgb(150, 98, 52))


def draw_voice(canvas: Canvas, look: Look, phase: float) -> None:
    """Draw a face from the front; the mouth moves whether or not anything is heard."""
    skin = _SKIN[int(look.frequency * 8) % len(_SKIN)]
    hair = look.main * np.float32(0.55)
    canvas.part(ellipse(canvas, (0, -0.12), (0.72, 0.8)), hair)
    for u in (-0.62, 0.62):
        canvas.part(ellipse(canvas, (u, 0.08), (0.1, 0.16)), skin * np.float32(0.88))
    head = ellipse(canvas, (0, 0.12), (0.6, 0.78))
    canvas.part(head, skin)
    fringe = canvas.v + 0.34 - 0.12 * np.abs(canvas.u)
    canvas.detail(np.asarray(fringe, np.float32), hair)
    for u in (-0.25, 0.25):
        canvas.detail(ellipse(canvas, (u, -0.04), (0.14, 0.09)), _LIGHT)
        canvas.detail(disc(canvas, (u + 0.03 * math.sin(phase), -0.04), 0.065), _DARK)
        canvas.detail(stroke(canvas, (u - 0.13, -0.2), (u + 0.13, -0.2), 0.03), hair)
    canvas.detail(stroke(canvas, (0, 0.04), (0.03, 0.24), 0.03), skin * np.float32(0.75))
    opening = 0.1 + 0.06 * math.sin(2 * phase)
    canvas.detail(ellipse(canvas, (0, 0.48), (0.24, opening)), _rgb(176, 62, 64))
    canvas.detail(ellipse(canvas, (0, 0.48), (0.17, opening * 0.55)), _rgb(70, 22, 26))


def draw_flute(canvas: Canvas, look: Look, phase: float) -> None:
    """Draw a straight pipe with finger holes."""
    pipe = box(canvas, (0, 0), (0.97, 0.18), rounding=0.12)
    canvas.part(pipe, coat(canvas, look))
    canvas.detail(np.maximum(np.abs(canvas.v + 0.06) - 0.02, pipe), _LIGHT)
    for u in (-0.82, -0.36, 0.9):
        canvas.detail(np.maximum(np.abs(canvas.u - u) - 0.04, pipe), look.second * np.float32(0.7))
    canvas.detail(ellipse(canvas, (-0.6, 0), (0.09, 0.06)), _DARK)
    for i, u in enumerate((-0.2, 0.0, 0.2, 0.4, 0.6, 0.76)):
        covered = math.sin(phase + 2.1 * i) > 0.4
        canvas.detail(disc(canvas, (u, 0), 0.065), _SKIN[1] if covered else _DARK)


def draw_siren(canvas: Canvas, look: Look, phase: float) -> None:
    """Draw a loudhailer: a wide horn, a body and a grip."""
    canvas.part(box(canvas, (-0.3, 0.42), (0.09, 0.3), rounding=0.06), _DARK)
    canvas.part(box(canvas, (-0.66, 0), (0.2, 0.24), rounding=0.08), look.second)
    horn = polygon(canvas, [(-0.5, -0.16), (0.62, -0.62), (0.62, 0.62), (-0.5, 0.16)])
    canvas.part(horn, coat(canvas, look))
    for u in (-0.2, 0.2):
        canvas.detail(np.maximum(np.abs(canvas.u - u) - 0.05, horn), look.second)
    canvas.part(ellipse(canvas, (0.64, 0), (0.16, 0.66)), look.main * np.float32(0.8))
    canvas.detail(ellipse(canvas, (0.67, 0), (0.1, 0.54)), _DARK)
    glow = _rgb(250, 210, 80) * np.float32(0.75 + 0.25 * math.sin(2 * phase))
    canvas.detail(disc(canvas, (0.68, 0), 0.09), glow)


def draw_clock(canvas: Canvas, look: Look, phase: float) -> None:
    """Draw a round clock: the outline is the disc of radius 0.95."""
    canvas.part(disc(canvas, (0, 0), 0.95), coat(canvas, look))
    dial = disc(canvas, (0, 0), 0.76)
    canvas.detail(dial, _LIGHT)
    angle, radius = np.arctan2(canvas.v, canvas.u), length(canvas.u, canvas.v)
    off_hour = np.abs(np.mod(angle / (np.pi / 6) + 0.5, 1) - 0.5) * (np.pi / 6) * radius
    canvas.detail(np.maximum(off_hour - 0.035, np.abs(radius - 0.66) - 0.07), _DARK)
    for turn, reach, width in ((phase, 0.6, 0.04), (phase / 12 + 2, 0.4, 0.06)):
        tip = (reach * math.sin(turn), -reach * math.cos(turn))
        canvas.detail(stroke(canvas, (0, 0), tip, width), _DARK)
    canvas.detail(disc(canvas, (0, 0), 0.08), look.main)


def draw_guitar(canvas: Canvas, look: Look, phase: float) -> None:
    """Draw a guitar lying along u, strings shivering."""
    canvas.part(box(canvas, (0.86, 0), (0.12, 0.11), rounding=0.03), look.second)
    canvas.part(box(canvas, (0.45, 0), (0.36, 0.065)), _rgb(84, 54, 34))
    body = np.minimum(disc(canvas, (-0.5, 0), 0.46), disc(canvas, (0.02, 0), 0.34))
    canvas.part(body, coat(canvas, look))
    canvas.detail(disc(canvas, (-0.16, 0), 0.17), look.second)
    canvas.detail(disc(canvas, (-0.16, 0), 0.14), _DARK)
    canvas.detail(box(canvas, (-0.66, 0), (0.035, 0.18)), _DARK)
    for v in (-0.035, 0.0, 0.035):
        shiver = 0.008 * math.sin(20 * phase)
        canvas.detail(stroke(canvas, (-0.66, v + shiver), (0.9, v), 0.008), _LIGHT)


def draw_pebble(canvas: Canvas, look: Look, phase: float) -> None:
    """Draw a plain oval that is no object of any kind."""
    canvas.part(
        ellipse(canvas, (0, 0), (0.95, 0.5 + 0.4 * math.sin(phase) ** 2)), coat(canvas, look)
    )


def draw_crate(canvas: Canvas, look: Look, phase: float) -> None:
    """Draw a plain box that is no object of any kind."""
    half = (0.7, 0.3 + 0.4 * math.sin(phase) ** 2)
    canvas.part(box(canvas, (0, 0), half, rounding=0.05), coat(canvas, look))


def draw_shard(canvas: Canvas, look: Look, phase: float) -> None:
    """Draw a plain triangle that is no object of any kind."""
    tip = (0.6 * math.sin(phase), -0.9)
    canvas.part(polygon(canvas, [tip, (0.8, 0.5), (-0.8, 0.5)]), coat(canvas, look))


KIND_DRAWINGS: dict[str, Callable[[Canvas, Look, float], None]] = {
    "bell": draw_bell,
    "engine": draw_engine,
    "bird": draw_bird,
    "drum": draw_drum,
    "voice": draw_voice,
    "flute": draw_flute,
    "siren": draw_siren,
    "clock": draw_clock,
    "guitar": draw_guitar,
}
CLUTTER_DRAWINGS = {"pebble": draw_pebble, "crate": draw_crate, "shard": draw_shard}
DRAWINGS = KIND_DRAWINGS | CLUTTER_DRAWINGS


def random_colour(rng: Generator, *, saturation: tuple[float, float] = (0.3, 0.95)) -> Field:
    """Draw an RGB colour of any hue, [3] float32, 0…255."""
    hue, value = rng.random(), rng.uniform(0.4, 1.0)
    rainbow = 0.5 + 0.5 * np.cos(2 * np.pi * (hue + np.array([0.0, 1 / 3, 2 / 3])))
    return np.asarray(255 * value * (1 - rng.uniform(*saturation) * (1 - rainbow)), np.float32)


def random_look(kind: str, rng: Generator) -> Look:
    """Draw colours and a pattern for an object of the given kind."""
    main, second = random_colour(rng), random_colour(rng)
    return Look(kind, main, second, int(rng.integers(4)), rng.uniform(1.0, 4.0))


def paint(
    image: NDArray[np.uint8], look: Look, pose: Pose
) -> tuple[slice, slice, NDArray[np.bool_]]:
    """Paint an object onto a picture, in place.

    Args:
        image: [H, W, 3] uint8 RGB.

    Returns:
        rows, columns and [h, w] bool: the box that was painted, and which of its pixel centres
        lie inside the outline.
    """
    height, width = image.shape[:2]
    rows = _span(pose.y, pose.size, height)
    columns = _span(pose.x, pose.size, width)
    box_of_pixels = slice(rows.start, rows.stop), slice(columns.start, columns.stop)
    canvas = Canvas(pose, rows, columns)
    DRAWINGS[look.kind](canvas, look, pose.phase)
    under = image[box_of_pixels].transpose(2, 0, 1).astype(np.float32)
    under += canvas.coverage() * (canvas.colour - under)
    image[box_of_pixels] = np.clip(np.rint(under), 0, 255).transpose(1, 2, 0)
    return *box_of_pixels, canvas.distance <= 0


def _span(centre: float, size: float, limit: int) -> range:
    """Return the pixels of one axis that a disc can touch."""
    first = min(max(int(np.floor(centre - size)) - 1, 0), limit)
    return range(first, max(first, min(int(np.ceil(centre + size)) + 2, limit)))

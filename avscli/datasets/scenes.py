"""Generated scenes: drawn objects with sounds of their own, exact masks and exact timing.

Everything follows from a seed; no outside material is used. One to four objects of different
kinds move over a textured background; some sound, some stay silent, and now and then one sounds
that is not in the picture.

An object *sounds at a time* when the time lies within one of its sounding spans, from the sample
at which its sound starts to the one at which it stops. Spans and the gaps between them last at
least 1.5 s (only a scene shorter than 3 s is a single span), and within a span no half second
falls below −50 dBFS. The target of a frame is every visible pixel of the objects that sound at
the frame's time.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from avscli.datasets.scene_actors import Actor, paint_actors, place_actors
from avscli.datasets.scene_backgrounds import make_background
from avscli.datasets.scene_shapes import KIND_DRAWINGS
from avscli.datasets.scene_timeline import (
    STATES,
    State,
    choose_sounding,
    limit,
    mix,
    plan_stretches,
    random_ambience,
    random_voice,
    sounding_spans,
)
from avscli.datatypes import SAMPLE_RATE_HZ, WINDOW_SAMPLES

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

KINDS = tuple(KIND_DRAWINGS)
TRAIN_SEEDS = range(10_000_000)
TEST_SEEDS = range(10_000_000, 20_000_000)
VALIDATION_SEEDS = range(30_000_000, 40_000_000)
DEMO_SEED = 20_002_050  # three kinds, each of them heard, also one off screen, and silence

MOST_VISIBLE = 4
_FASTEST_PAN = 0.08  # of the shorter side, per second
_STATE_SHARES = dict(zip(STATES, (0.5, 0.14, 0.06, 0.16, 0.08, 0.06), strict=True))


class _Switching(NamedTuple):
    """How often a sound starts or stops within a frame's window, and how near to its time."""

    share: float
    nearest_samples: int


_IN_FRAMES = _Switching(0.25, SAMPLE_RATE_HZ // 10)  # nearer ones are nobody's guess
_IN_COUPLES = _Switching(0.5, SAMPLE_RATE_HZ // 50)  # which is how timing is learned


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One object of a scene.

    Attributes:
        kind: one of `KINDS`.
        visible: False for the object off screen.
        on_seconds: half-open spans of time in which it sounds, in order.
    """

    kind: str
    visible: bool
    on_seconds: tuple[tuple[float, float], ...]

    def sounds_at(self, seconds: float) -> bool:
        """Whether the time lies within one of the spans."""
        return any(start <= seconds < end for start, end in self.on_seconds)


class SceneFrame(NamedTuple):
    """A picture with its sound and the truth about it.

    Attributes:
        image: [H, W, 3] uint8 RGB.
        window: [15600] float32, the sound centred on the picture's time, 16 kHz.
        mask: [H, W] bool, pixels of sounding objects.
        shown: [H, W] uint8, 0 for background, else 1 + the index in `KINDS` of what is seen.
        heard: [len(KINDS)] bool, the kinds that sound at the picture's time, on screen or off.
    """

    image: NDArray[np.uint8]
    window: NDArray[np.float32]
    mask: NDArray[np.bool_]
    shown: NDArray[np.uint8]
    heard: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class ScenePlan:
    """A scene before its frames are drawn: small, whatever its length.

    Attributes:
        num_frames, fps: frame k is at k / fps seconds.
        objects: the visible ones far to near, then the one off screen.
        waveform: [M] float32 in [-1, 1], mono, 16 kHz, from time zero to num_frames / fps.
        background: [H, W, 3] uint8 RGB at time zero.
        pan: pixels per second down and right.
        actors: the visible objects' looks and motions.
    """

    num_frames: int
    fps: Fraction
    objects: tuple[SceneObject, ...]
    waveform: NDArray[np.float32]
    background: NDArray[np.uint8]
    pan: tuple[float, float]
    actors: tuple[Actor, ...]

    def draw(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
        """Draw frame `index`.

        Returns:
            [H, W, 3] uint8 RGB, and [H, W] int8: index of the object each pixel shows, or -1.
        """
        seconds = float(index / self.fps)
        shift = (round(self.pan[0] * seconds), round(self.pan[1] * seconds))
        image = np.roll(self.background, shift, axis=(0, 1))
        return image, paint_actors(image, self.actors, seconds)

    def sounding_mask(self, owners: NDArray[np.int8], index: int) -> NDArray[np.bool_]:
        """Return [H, W] bool: the pixels of frame `index` that show a sounding object."""
        seconds = float(index / self.fps)
        sounding = [i for i, thing in enumerate(self.objects) if thing.sounds_at(seconds)]
        return np.isin(owners, sounding)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A drawn scene.

    Attributes:
        frames: [N, H, W, 3] uint8 RGB.
        masks: [N, H, W] bool, visible pixels of the objects that sound at the frame's time.
        owners: [N, H, W] int8, index of the object that each pixel shows, or -1.
        waveform: [M] float32 in [-1, 1], mono, 16 kHz, from time zero to N / fps.
        fps: frame k is at k / fps seconds.
        objects: the visible ones far to near, then the one off screen.
    """

    frames: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    owners: NDArray[np.int8]
    waveform: NDArray[np.float32]
    fps: Fraction
    objects: tuple[SceneObject, ...]


def plan_scene(
    seed: int,
    *,
    num_frames: int = 250,
    fps: Fraction = Fraction(25),
    size_hw: tuple[int, int] = (240, 320),
) -> ScenePlan:
    """Plan a scene whose frames can be drawn one by one.

    Args:
        seed: decides everything; see `TRAIN_SEEDS`, `TEST_SEEDS`, `DEMO_SEED`.
        num_frames: at least 1.
        fps: frames per second.
        size_hw: height and width in pixels.
    """
    rng = np.random.default_rng(seed)
    kinds, num_visible = _choose_kinds(rng)
    num_samples = round(num_frames / fps * SAMPLE_RATE_HZ)
    stretches = plan_stretches(rng, num_samples, num_visible)
    fastest = _FASTEST_PAN * min(size_hw)
    return ScenePlan(
        num_frames=num_frames,
        fps=fps,
        objects=tuple(
            SceneObject(
                kind=kind,
                visible=index < num_visible,
                on_seconds=tuple(
                    (start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ)
                    for start, end in sounding_spans(stretches, index)
                ),
            )
            for index, kind in enumerate(kinds)
        ),
        waveform=mix(rng, stretches, [random_voice(rng, kind) for kind in kinds]),
        background=make_background(rng, size_hw),
        pan=(rng.uniform(-fastest, fastest), rng.uniform(-fastest, fastest)),
        actors=place_actors(rng, kinds[:num_visible], size_hw),
    )


def make_scene(
    seed: int,
    *,
    num_frames: int = 250,
    fps: Fraction = Fraction(25),
    size_hw: tuple[int, int] = (240, 320),
) -> Scene:
    """Draw a whole scene; see `plan_scene` for the arguments and for long ones."""
    plan = plan_scene(seed, num_frames=num_frames, fps=fps, size_hw=size_hw)
    frames, owners = zip(*(plan.draw(k) for k in range(num_frames)), strict=True)
    return Scene(
        frames=np.stack(frames),
        masks=np.stack([plan.sounding_mask(shown, k) for k, shown in enumerate(owners)]),
        owners=np.stack(owners),
        waveform=plan.waveform,
        fps=fps,
        objects=plan.objects,
    )


def sample_scene_frame(rng_or_seed: Generator | int, size_hw: tuple[int, int]) -> SceneFrame:
    """Draw a single frame with its window, for training and scoring.

    Args:
        rng_or_seed: a generator, or a seed from `TRAIN_SEEDS` or `TEST_SEEDS`.
        size_hw: height and width in pixels.
    """
    rng = np.random.default_rng(rng_or_seed)
    state = _random_state(rng)
    picture = _draw_picture(rng, size_hw)
    sounding = choose_sounding(rng, state, picture.num_visible)
    return picture.with_sound(rng, state, sounding, _IN_FRAMES)


def sample_scene_couple(
    rng_or_seed: Generator | int, size_hw: tuple[int, int]
) -> tuple[SceneFrame, SceneFrame]:
    """Draw one picture with two sounds: a visible object's, and something else or nothing.

    Args:
        rng_or_seed: a generator, or a seed from `TRAIN_SEEDS` or `TEST_SEEDS`.
        size_hw: height and width in pixels.
    """
    rng = np.random.default_rng(rng_or_seed)
    picture = _draw_picture(rng, size_hw)
    first = choose_sounding(rng, "one", picture.num_visible)
    state = _random_state(rng)
    second = choose_sounding(rng, state, picture.num_visible, avoid=first)
    return (
        picture.with_sound(rng, "one", first, _IN_COUPLES),
        picture.with_sound(rng, state, second, _IN_COUPLES),
    )


class _Picture(NamedTuple):
    """A single picture, its owners, and the kinds in it with the one off screen last."""

    image: NDArray[np.uint8]
    owners: NDArray[np.int8]
    kinds: list[str]

    @property
    def num_visible(self) -> int:
        return len(self.kinds) - 1

    def with_sound(
        self, rng: Generator, state: State, sounding: tuple[int, ...], switching: _Switching
    ) -> SceneFrame:
        """Add a window in which the given objects sound, throughout or from or up to a switch."""
        silent = state == "silence"
        track = np.zeros(WINDOW_SAMPLES) if silent else random_ambience(rng, WINDOW_SAMPLES)
        heard: list[int] = []
        for index in sounding:
            start, end = _random_span(rng, switching)
            random_voice(rng, self.kinds[index]).add_to(track, start, end)
            if start <= WINDOW_SAMPLES // 2 < end:
                heard.append(index)
        places = np.array([KINDS.index(kind) for kind in self.kinds])
        shown = np.concatenate(([0], 1 + places)).astype(np.uint8)[self.owners + 1]
        voices = np.isin(np.arange(len(KINDS)), places[heard])
        return SceneFrame(
            self.image, limit(track), np.isin(self.owners, heard), shown=shown, heard=voices
        )


def _choose_kinds(rng: Generator) -> tuple[list[str], int]:
    """Choose different kinds: those of the visible objects, then the one off screen."""
    num_visible = int(rng.integers(1, MOST_VISIBLE + 1))
    return [KINDS[i] for i in rng.permutation(len(KINDS))[: num_visible + 1]], num_visible


def _draw_picture(rng: Generator, size_hw: tuple[int, int]) -> _Picture:
    kinds, num_visible = _choose_kinds(rng)
    image = make_background(rng, size_hw)
    actors = place_actors(rng, kinds[:num_visible], size_hw)
    return _Picture(image, paint_actors(image, actors, 0.0), kinds)


def _random_state(rng: Generator) -> State:
    return STATES[rng.choice(len(STATES), p=list(_STATE_SHARES.values()))]


def _random_span(rng: Generator, switching: _Switching) -> tuple[int, int]:
    """Return samples [start, end) of a sound around a window, which it mostly fills."""
    start, end = -int(rng.integers(SAMPLE_RATE_HZ // 2)), WINDOW_SAMPLES
    if rng.random() >= switching.share:
        return start, end
    nearest = switching.nearest_samples
    apart = int(rng.integers(nearest, WINDOW_SAMPLES // 2 - nearest))
    switch = WINDOW_SAMPLES // 2 + (apart if rng.random() < 0.5 else -apart)
    return (start, switch) if rng.random() < 0.5 else (switch, end)

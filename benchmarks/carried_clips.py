"""Clips made for ``--fps auto``, and how near its masks are to those of every frame analysed."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from avscli.datasets.scenes import DEMO_SEED, TEST_SEEDS, plan_scene
from avscli.datatypes import SAMPLE_RATE_HZ
from avscli.masks import mask_iou
from avscli.media.ffmpeg_jobs import mux

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from avscli.datasets.scenes import ScenePlan
    from avscli.masks import BoolMask, SizeHW

FPS = 30
SHORT_FRAMES = 2  # of a mask that comes or goes for no longer: as good as late by so much
_SHOT_FRAMES = 20
_FLICKER_FRAMES = 3

Picture = "NDArray[np.uint8]"


class Nearness(NamedTuple):
    """How near masks of one way are to those of the other.

    Attributes:
        iou: mean over all frames, 1 where both are empty.
        shown_iou: mean over the frames in which one of them shows something.
        change_frames: the furthest that a mask comes or goes from where it does in the other way;
            shows and pauses of SHORT_FRAMES are not counted.
    """

    iou: float
    shown_iou: float
    change_frames: int


def nearness(masks: Sequence[BoolMask], others: Sequence[BoolMask]) -> Nearness:
    """Compare the masks of the same frames in two ways."""
    pairs = list(zip(masks, others, strict=True))
    ious = np.array([mask_iou(*pair) for pair in pairs])
    shown = np.array([[bool(mask.any()) for mask in pair] for pair in pairs]).T
    either = shown.any(axis=0)
    changes = [_changes(_without_short(each)) for each in shown]
    return Nearness(
        iou=float(ious.mean()),
        shown_iou=float(ious[either].mean()) if either.any() else 1.0,
        change_frames=max(_furthest(*changes), _furthest(*changes[::-1])),
    )


def _furthest(places: list[int], others: list[int]) -> int:
    never = 10_000
    return max((min((abs(p - o) for o in others), default=never) for p in places), default=0)


def _changes(shown: NDArray[np.bool_]) -> list[int]:
    return np.flatnonzero(np.diff(shown.astype(np.int8), prepend=0, append=0)).tolist()


def _without_short(shown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill pauses of SHORT_FRAMES, then drop shows of as many."""
    shown = shown.copy()
    for value in (True, False):
        edges = np.flatnonzero(np.diff(shown != value, prepend=False, append=False))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            if end - start <= SHORT_FRAMES:
                shown[start:end] = value
    return shown


def make_clips(
    folder: Path, *, num_frames: int = 120, size_hw: SizeHW = (360, 640)
) -> dict[str, Path]:
    """Write clips that move slowly and fast, that are cut, flicker, fall silent and stand still."""

    def plan(seed: int, times: int = 1) -> ScenePlan:
        return plan_scene(seed, num_frames=num_frames * times, fps=Fraction(FPS), size_hw=size_hw)

    def fast(seed: int, times: int) -> tuple[Callable[[int], NDArray[np.uint8]], ScenePlan]:
        scene = plan(seed, times)
        return (lambda index: scene.draw(index * times)[0]), scene

    slow, other = plan(DEMO_SEED), plan(TEST_SEEDS[3001])
    shots = plan(TEST_SEEDS[3003]), plan(TEST_SEEDS[3004])
    half = slow.waveform.copy()
    half[len(half) // 3 : 2 * len(half) // 3] = 0

    def shot(index: int) -> ScenePlan:
        return shots[index // _SHOT_FRAMES % 2]

    def flickering(index: int) -> NDArray[np.uint8]:
        picture = slow.draw(index)[0]
        is_dim = index // _FLICKER_FRAMES % 2
        return (picture * 0.7).astype(np.uint8) if is_dim else picture

    def draw(scene: ScenePlan) -> Callable[[int], NDArray[np.uint8]]:
        return lambda index: scene.draw(index)[0]

    samples = SAMPLE_RATE_HZ // FPS
    cut_sound = np.concatenate(
        [shot(i).waveform[i * samples : (i + 1) * samples] for i in range(num_frames)]
    )
    three, five = fast(TEST_SEEDS[3002], 3), fast(TEST_SEEDS[3011], 5)
    clips = {
        "scene": (draw(slow), slow.waveform),
        "other scene": (draw(other), other.waveform),
        "fast": (three[0], three[1].waveform),
        "very fast": (five[0], five[1].waveform),
        "cuts": (lambda index: shot(index).draw(index)[0], cut_sound),
        "flicker": (flickering, slow.waveform),
        "silence": (draw(slow), half),
        "still": (lambda _: slow.draw(num_frames // 2)[0], slow.waveform),
    }
    length = num_frames * samples
    for name, (picture, sound) in clips.items():
        pictures = _drawn(picture, num_frames)
        path = folder / f"{name.replace(' ', '_')}.mp4"
        mux(pictures, sound[:length], path, fps=Fraction(FPS), sample_rate_hz=SAMPLE_RATE_HZ)
    return {name: folder / f"{name.replace(' ', '_')}.mp4" for name in clips}


def _drawn(
    picture: Callable[[int], NDArray[np.uint8]], num_frames: int
) -> Iterator[NDArray[np.uint8]]:
    return (picture(index) for index in range(num_frames))

"""Single labelled frames: fixed pairs of avsmix, and generated scenes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

import numpy as np

from avscli.datasets.avsmix import load_pair
from avscli.datasets.scenes import TEST_SEEDS, sample_scene_frame
from avscli.datatypes import SAMPLE_RATE_HZ, WINDOW_SAMPLES, AudioTrack
from avscli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from avscli.datasets.avsmix import AvsMix, Pair


@dataclass(frozen=True, slots=True, eq=False)
class LabelledFrame:
    """A picture and its sound with the truth.

    Attributes:
        picture: [H, W, 3] uint8 RGB.
        sound: at 16 kHz, the frame at time 0.
        target: [H, W] uint8: 1 sounds, 0 does not, 255 void.
        kind: what the frame tests, for grouping.
        class_name: what sounds and is visible, when it is one class; else None.
        name: tells it from the others.
    """

    picture: NDArray[np.uint8]
    sound: AudioTrack
    target: NDArray[np.uint8]
    kind: str
    class_name: str | None = None
    name: str = ""


def avsmix_frames(data: AvsMix, split: Literal["val", "test"]) -> Iterator[LabelledFrame]:
    """Read the fixed pairs of a split in file order."""
    return (read_pair(data, pair) for pair in data.pairs(split))


def read_pair(data: AvsMix, pair: Pair) -> LabelledFrame:
    """Read a fixed pair of avsmix.

    Raises:
        DataError: picture and mask differ in size.
        MediaError: a file is missing or unreadable.
    """
    picture, sound, target = load_pair(data, pair)
    if picture.shape[:2] != target.shape:
        raise DataError(
            f"{pair.mask} is {target.shape[0]}×{target.shape[1]}, "
            f"its picture {picture.shape[0]}×{picture.shape[1]}"
        )
    only = next(iter(pair.sounding)) if len(pair.sounding) == 1 else None
    return LabelledFrame(picture, sound, target, pair.kind, only, pair.pair_id)


def around_the_frame(window: NDArray[np.float32]) -> AudioTrack:
    """Return a window [15600] float32 as a frame's sound, with nothing before and after."""
    return AudioTrack(window, SAMPLE_RATE_HZ, -WINDOW_SAMPLES / SAMPLE_RATE_HZ / 2)


def scene_frames(
    count: int, size_hw: tuple[int, int] = (224, 224), *, seeds: range = TEST_SEEDS
) -> Iterator[LabelledFrame]:
    """Draw single frames of generated scenes, one from each of the first seeds of a range."""
    for seed in islice(seeds, count):
        frame = sample_scene_frame(seed, size_hw)
        target = frame.mask.astype(np.uint8)
        yield LabelledFrame(
            frame.image, around_the_frame(frame.window), target, "scene", name=f"scene{seed}"
        )

"""Two pictures of avsmix in one frame, with the sound of one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from avscli.config import Split
from avscli.datasets.avsmix import AvsMix, Picture, Sound, one_sound
from avscli.datasets.contract import SideBySide
from avscli.datasets.labelled import LabelledClip
from avscli.datatypes import VOID
from avscli.media.stills import read_picture, resize_picture

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

HALF_WIDTH = 160  # pixels; a picture of avsmix is at most 320 wide
_MOST_DRAWS = 10_000  # of couples; some have no sound that can come from one side only
_GREY = 128  # above and below the lower of two pictures


def side_by_side(data: AvsMix, split: Split, *, count: int, seed: int = 0) -> Iterator[SideBySide]:
    """Put pictures of one class each beside pictures of another, with each one's sound in turn.

    Each picture is resized to half of the frame's width; grey fills the height that the lower
    one leaves.

    Args:
        data: a copy of avsmix.
        split: pictures and sounds come from it.
        count: couples of pictures; each gives two clips of one step.
        seed: decides pictures and sounds.
    """
    rng = np.random.default_rng(seed)
    sounds = data.sounds_with_source(split)
    heard = frozenset[str]().union(*(s.visual_classes for s in sounds))
    single = [p for p in data.pictures(split) if len(p.classes) == 1 and p.classes <= heard]
    for number, (left, right) in enumerate(islice(_couples(single, sounds, rng), count)):
        drawn = [_half(data, picture) for picture in (left, right)]
        image, owners = _joined(drawn)
        for side, (here, there) in enumerate(((left, right), (right, left))):
            target = (owners == side + 1).astype(np.uint8)
            target[owners == VOID] = VOID
            known = np.ones(1, np.bool_)
            clip = LabelledClip(
                clip_id=f"couple{number}-{side}",
                pictures=image[None],
                sound=one_sound(_only_from(sounds, here, there), rng),
                targets=target[None],
                labelled=known,
                valid=known,
                kind="side_by_side",
                category=next(iter(here.classes)),
            )
            yield SideBySide(clip, owners == 2 - side)


def _couples(
    pictures: Sequence[Picture], sounds: Sequence[Sound], rng: Generator
) -> Iterator[tuple[Picture, Picture]]:
    """Draw couples of different classes, each with a sound that cannot come from the other."""
    if len({picture.classes for picture in pictures}) < 2:
        return
    for _ in range(_MOST_DRAWS):
        left = pictures[int(rng.integers(len(pictures)))]
        others = [p for p in pictures if p.classes != left.classes]
        right = others[int(rng.integers(len(others)))]
        if _only_from(sounds, left, right) and _only_from(sounds, right, left):
            yield left, right


def _only_from(sounds: Sequence[Sound], here: Picture, there: Picture) -> list[Sound]:
    return [
        s
        for s in sounds
        if s.visual_classes & here.classes and not s.visual_classes & there.classes
    ]


def _half(data: AvsMix, picture: Picture) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a picture [h, 160, 3] and its target [h, 160] at half of a frame's width."""
    image = read_picture(picture.image)
    target = data.target(data.indices(picture.mask), picture.classes)
    height, width = target.shape
    size_hw = (max(1, round(height * HALF_WIDTH / width)), HALF_WIDTH)
    rows = (np.arange(size_hw[0]) + 0.5) * height / size_hw[0]
    columns = (np.arange(HALF_WIDTH) + 0.5) * width / HALF_WIDTH
    return resize_picture(image, size_hw), target[np.ix_(rows.astype(int), columns.astype(int))]


def _joined(
    halves: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the frame [H, 320, 3], and [H, 320]: 1 is the left object, 2 the right, 255 void."""
    height = max(len(target) for _, target in halves)
    image = np.full((height, 2 * HALF_WIDTH, 3), _GREY, np.uint8)
    owners = np.zeros((height, 2 * HALF_WIDTH), np.uint8)
    for side, (picture, target) in enumerate(halves):
        top = (height - len(target)) // 2
        place = np.s_[top : top + len(target), side * HALF_WIDTH : (side + 1) * HALF_WIDTH]
        image[place] = picture
        owners[place] = np.where(target == 1, np.uint8(side + 1), target)
    return image, owners

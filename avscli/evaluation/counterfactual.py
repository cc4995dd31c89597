"""Does the mask follow the sound? The same pictures with other sounds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from avscli.datasets.avsmix import VOID, load_pair, loudest_window
from avscli.evaluation.frames import LabelledFrame
from avscli.evaluation.scoring import judge
from avscli.media.stills import read_indices, read_picture, read_waveform, resize_picture
from avscli.metrics.overlap import Overlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from avscli.datasets.avsmix import AvsMix, Picture, Sound
    from avscli.devices import Runtime

Split = Literal["val", "test"]
HALF_WIDTH = 160  # pixels; a picture of avsmix is at most 320 wide
NUM_COUPLES = 150
_SIDE_BY_SIDE_KIND = "side_by_side"
_GREY = 128  # above and below the lower of two pictures


class SwappedCouple(NamedTuple):
    """A frame with its own sound, and with the sound of a class that is not visible."""

    right: LabelledFrame
    swapped: LabelledFrame


@dataclass(frozen=True, slots=True)
class SwapScores:
    """What becomes of masks when the sound no longer fits.

    Attributes:
        num_frames: frames whose sound was swapped.
        area_gone: 1 − (marked pixels with the swapped sound) / (with the right one); 1 is best,
            0 says that the sound does not matter.
    """

    num_frames: int
    area_gone: float


@dataclass(frozen=True, slots=True, eq=False)
class SideBySide:
    """Two pictures in one frame, with the sound of one of them.

    Attributes:
        frame: its target is the object that sounds.
        other: [H, W] bool, the object that does not.
    """

    frame: LabelledFrame
    other: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SideBySideScores:
    """How well a sound chooses between two objects.

    Attributes:
        num_frames: two for each couple of pictures.
        mean_iou: of the masks with the objects that sound.
        wrong_covered: mean share of the other object that the mask covers; 0 is best.
        chosen: share of frames whose mask covers more of the right object than of the other.
    """

    num_frames: int
    mean_iou: float
    wrong_covered: float
    chosen: float


def swapped_couples(data: AvsMix, split: Split, *, seed: int = 0) -> Iterator[SwappedCouple]:
    """Read every sounding pair of a split, and again with a sound of a class that is not visible.

    Args:
        data: a copy of avsmix.
        split: pairs and sounds come from it.
        seed: decides the swapped sounds.
    """
    rng = np.random.default_rng(seed)
    sounds = _with_source(data, split)
    classes = {picture.image: picture.classes for picture in data.pictures(split)}
    for pair in data.pairs(split):
        if not pair.sounding:
            continue
        absent = [s for s in sounds if not s.visual_classes & classes[pair.image]]
        picture, window, target = load_pair(data, pair)
        swapped = _window_of(_choose(absent, rng))
        yield SwappedCouple(
            LabelledFrame(picture, window, target, pair.kind),
            LabelledFrame(picture, swapped, target, "swapped"),
        )


def score_swapped(
    runtime: Runtime, couples: Iterable[SwappedCouple], *, threshold: float | None = None
) -> SwapScores:
    """Measure how much of the masks goes when the sound is swapped.

    Args:
        runtime: a loaded network on its device.
        couples: consumed one by one.
        threshold: probability at or above which a pixel is marked; None takes the spec's.
    """
    right = swapped = num_frames = 0
    for couple in couples:
        scored = couple.right.target != VOID
        right += int((judge(runtime, couple.right, threshold).mask & scored).sum())
        swapped += int((judge(runtime, couple.swapped, threshold).mask & scored).sum())
        num_frames += 1
    return SwapScores(num_frames, 1.0 - swapped / right if right else float("nan"))


def side_by_side(
    data: AvsMix, split: Split, *, count: int = NUM_COUPLES, seed: int = 0
) -> Iterator[SideBySide]:
    """Put pictures of one class each beside pictures of another, with each one's sound in turn.

    Each picture is resized to half of the frame's width; grey fills the height that the lower
    one leaves.

    Args:
        data: a copy of avsmix.
        split: pictures and sounds come from it.
        count: couples of pictures; each gives two frames.
        seed: decides pictures and sounds.
    """
    rng = np.random.default_rng(seed)
    sounds = _with_source(data, split)
    heard = frozenset[str]().union(*(s.visual_classes for s in sounds))
    single = [p for p in data.pictures(split) if len(p.classes) == 1 and p.classes <= heard]
    for left, right in islice(_couples(single, sounds, rng), count):
        drawn = [_half(data, picture) for picture in (left, right)]
        image, owners = _joined(drawn)
        for side, (here, there) in enumerate(((left, right), (right, left))):
            target = (owners == side + 1).astype(np.uint8)
            target[owners == VOID] = VOID
            window = _window_of(_choose(_only_from(sounds, here, there), rng))
            frame = LabelledFrame(image, window, target, _SIDE_BY_SIDE_KIND, *here.classes)
            yield SideBySide(frame, owners == 2 - side)


def score_side_by_side(
    runtime: Runtime, frames: Iterable[SideBySide], *, threshold: float | None = None
) -> SideBySideScores:
    """Measure how well the sound chooses between two objects.

    Args:
        runtime: a loaded network on its device.
        frames: consumed one by one.
        threshold: probability at or above which a pixel is marked; None takes the spec's.
    """
    ious: list[float] = []
    wrong: list[float] = []
    chosen: list[bool] = []
    for item in frames:
        target = item.frame.target
        mask = judge(runtime, item.frame, threshold).mask
        right = Overlap.of(mask, target == 1, target != VOID)
        covered = float(mask[item.other].mean()) if item.other.any() else 0.0
        ious.append(right.iou)
        wrong.append(covered)
        chosen.append(right.hit / max(1, right.true) > covered)
    mean = [float(np.mean(values)) if values else float("nan") for values in (ious, wrong, chosen)]
    return SideBySideScores(len(ious), *mean)


def _couples(
    pictures: Sequence[Picture], sounds: Sequence[Sound], rng: Generator
) -> Iterator[tuple[Picture, Picture]]:
    """Draw couples of different classes, each with a sound that cannot come from the other."""
    while True:
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
    target = data.target(read_indices(picture.mask), picture.classes)
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


def _with_source(data: AvsMix, split: Split) -> list[Sound]:
    return [
        s for s in data.sounds(split) if s.visual_classes and s.audio_class not in data.ambiguous
    ]


def _choose(sounds: Sequence[Sound], rng: Generator) -> Sound:
    return sounds[int(rng.integers(len(sounds)))]


def _window_of(sound: Sound) -> NDArray[np.float32]:
    return loudest_window(read_waveform(sound.audio))

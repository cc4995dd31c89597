"""Does the mask follow the sound? The same pictures with other sounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from avscli.datasets.avsmix import VOID, centred_sound
from avscli.errors import DataError
from avscli.evaluation.frames import LabelledFrame, read_pair
from avscli.evaluation.rows import ClipRow, ratio
from avscli.evaluation.scoring import judge
from avscli.media.stills import read_picture, read_waveform, resize_picture
from avscli.metrics.bootstrap import difference_interval
from avscli.metrics.overlap import Overlap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from avscli.datasets.avsmix import AvsMix, Pair, Picture, Sound
    from avscli.datatypes import AudioTrack
    from avscli.devices import Runtime
    from avscli.evaluation.clips import JudgedClip
    from avscli.evaluation.data import Altered, Sample

Split = Literal["val", "test"]
HALF_WIDTH = 160  # pixels; a picture of avsmix is at most 320 wide
NUM_COUPLES = 150
_SIDE_BY_SIDE_KIND = "side_by_side"
_MOST_DRAWS = 10_000  # of couples; some have no sound that can come from one side only
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
        num_frames: two for each couple of pictures; without any, the rest is None.
        mean_iou: of the masks with the objects that sound.
        wrong_covered: mean share of the other object that the mask covers; 0 is best.
        chosen: share of frames whose mask covers more of the right object than of the other.
    """

    num_frames: int
    mean_iou: float | None
    wrong_covered: float | None
    chosen: float | None


def swapped_couples(
    data: AvsMix, split: Split, *, pairs: Sequence[Pair] | None = None, seed: int = 0
) -> Iterator[SwappedCouple]:
    """Read every sounding pair of a split, and again with a sound of a class that is not visible.

    Args:
        data: a copy of avsmix.
        split: sounds come from it.
        pairs: those to read; None takes the split's.
        seed: decides the swapped sounds.

    Raises:
        DataError: a pair's picture is not of the split.
    """
    rng = np.random.default_rng(seed)
    sounds = _with_source(data, split)
    classes = {picture.image: picture.classes for picture in data.pictures(split)}
    for pair in data.pairs(split) if pairs is None else pairs:
        if not pair.sounding:
            continue
        if pair.image not in classes:
            raise DataError(
                f"pair {pair.pair_id}: {pair.image} is not in images.csv as split {split!r}"
            )
        absent = [s for s in sounds if not s.visual_classes & classes[pair.image]]
        right = read_pair(data, pair)
        swapped = _heard(_choose(absent, rng))
        yield SwappedCouple(right, replace(right, sound=swapped))


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


def score_altered(
    altered: Iterable[Altered], judge_sample: Callable[[Sample], JudgedClip]
) -> dict[str, object]:
    """Score samples and the same with other sounds, by what was done to the sound.

    Returns:
        Per change: how many samples it was made on, mean IoU before and after, the difference
        with its interval, and the share of the marked area that went away.
    """
    rows: dict[str, list[tuple[ClipRow, ClipRow]]] = {}
    for item in altered:
        right = ClipRow.of(judge_sample(item.right))
        for change, sample in item.others.items():
            rows.setdefault(change, []).append((right, ClipRow.of(judge_sample(sample))))
    return {change: _change(pairs) for change, pairs in rows.items()}


def _change(pairs: list[tuple[ClipRow, ClipRow]]) -> dict[str, object]:
    before, after = ([pair[i] for pair in pairs] for i in (0, 1))
    ious = [ratio(rows, "mean_iou") for rows in (before, after)]
    areas = [sum(row.hit + row.false for row in rows) for rows in (before, after)]
    values = [iou.value for iou in ious]
    known = values[0] is not None and values[1] is not None
    return {
        "num_clips": len(pairs),
        "mean_iou_before": values[0],
        "mean_iou_after": values[1],
        "mean_iou_change": (values[1] or 0.0) - (values[0] or 0.0) if known else None,
        "interval": difference_interval(*ious),
        "area_gone": 1.0 - areas[1] / areas[0] if areas[0] else None,
    }


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
            sound = _heard(_choose(_only_from(sounds, here, there), rng))
            frame = LabelledFrame(image, sound, target, _SIDE_BY_SIDE_KIND, *here.classes)
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
    mean = [float(np.mean(values)) if values else None for values in (ious, wrong, chosen)]
    return SideBySideScores(len(ious), *mean)


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


def _with_source(data: AvsMix, split: Split) -> list[Sound]:
    return [
        s for s in data.sounds(split) if s.visual_classes and s.audio_class not in data.ambiguous
    ]


def _choose(sounds: Sequence[Sound], rng: Generator) -> Sound:
    return sounds[int(rng.integers(len(sounds)))]


def _heard(sound: Sound) -> AudioTrack:
    return centred_sound([read_waveform(sound.audio)])

"""What was marked in each labelled second of a video."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from avscli.datasets.labelled_video import MASK_SECONDS, second_of
from avscli.datasets.mask_pictures import read_white
from avscli.errors import DataError
from avscli.metrics.boundary import boundary_f
from avscli.metrics.overlap import EMPTY_SHARE, Overlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from avscli.datasets.labelled_video import LabelledSecond, LabelledVideo
    from avscli.masks import BoolMask, LabelMap

# A frame hears the 0.975 s around it, so near the ends of a second half of what it hears belongs to
# the next one: a frame at k shows, by right, what fell silent just before k. So whether a second is
# marked is decided by most frames of its middle half, which does not depend on how many are seen.
MIDDLE_SECONDS = 0.25


class SeenFrame(NamedTuple):
    """An analysed frame and its masks.

    Attributes:
        seconds_in: time since the first frame of the video.
        frame_index: its place among the frames of the video.
        label_maps: one [H, W] uint8 for each way of marking that is scored, 0 for none.
    """

    seconds_in: float
    frame_index: int
    label_maps: tuple[LabelMap, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A frame of a second that shows what went wrong.

    Attributes:
        index: of the frame among those of its video.
        mask: [H, W] bool, what is marked.
        truth: [H, W] bool, what should be.
    """

    index: int
    mask: BoolMask
    truth: BoolMask


@dataclass(frozen=True, slots=True, eq=False)
class JudgedSecond:
    """What one way of marking did in a second.

    Attributes:
        label: what is known of it.
        num_frames: analysed frames.
        marked_frames: those of which at least `EMPTY_SHARE` is marked.
        marked_share: mean marked share of them.
        is_marked: at least half of the frames in its middle half are, or of all if none is there.
        overlap: with the mask, at the frame nearest to it in time; None without a mask.
        boundary_f: of the same two outlines.
        shown: that frame; where nothing visible sounds, the one with the most marked; None of
            seconds with neither.
    """

    label: LabelledSecond
    num_frames: int
    marked_frames: int
    marked_share: float
    is_marked: bool
    overlap: Overlap | None = None
    boundary_f: float | None = None
    shown: Shown | None = None


def judged_seconds(
    frames: Iterable[SeenFrame], video: LabelledVideo
) -> Iterator[tuple[JudgedSecond, ...]]:
    """Judge the labelled seconds of a video, one after the other, by every way of marking.

    Memory holds one second's numbers and two masks for each way.

    Args:
        frames: all analysed frames of the video, in time order.
        video: what is known of it.

    Raises:
        DataError: a labelled second has no frame, or its mask is not of the video's size.
    """
    waiting = {label.second: label for label in video.seconds}
    tallies: list[_Tally] = []
    last = 0.0
    for frame in frames:
        second, last = second_of(frame.seconds_in), frame.seconds_in
        if tallies and tallies[0].label.second != second:
            yield tuple(tally.judged() for tally in tallies)
            tallies = []
        if not tallies and second in waiting:
            label = waiting.pop(second)
            truth = None if label.mask is None else _truth(label, frame, video)
            tallies = [_Tally(label, truth) for _ in frame.label_maps]
        for tally, label_map in zip(tallies, frame.label_maps if tallies else (), strict=True):
            tally.add(frame, label_map > 0)
    if tallies:
        yield tuple(tally.judged() for tally in tallies)
    if waiting:
        raise DataError(
            f"video {video.path} has no frame in the labelled second {min(waiting)}; its last "
            f"analysed one is at {last:.2f} s",
            hint="is the file whole? See avs data check clips",
        )


def _truth(label: LabelledSecond, frame: SeenFrame, video: LabelledVideo) -> BoolMask:
    assert label.mask is not None
    truth, size_hw = read_white(label.mask) > 0, frame.label_maps[0].shape
    if truth.shape != size_hw:
        raise DataError(
            f"mask {label.mask} is {truth.shape[0]}×{truth.shape[1]}, expected "
            f"{size_hw[0]}×{size_hw[1]} as {video.path}"
        )
    return truth


@dataclass(slots=True)
class _Tally:
    """Adds up the frames of one second.

    Attributes:
        label: what is known of the second.
        truth: its mask, if it has one.
        shares: marked share of each frame.
        middle: whether each frame of the middle half is marked.
        best: how well the kept frame shows the second, and that frame; the least is kept.
    """

    label: LabelledSecond
    truth: BoolMask | None
    shares: list[float] = field(default_factory=list)
    middle: list[bool] = field(default_factory=list)
    best: tuple[float, int, BoolMask] | None = None

    def add(self, frame: SeenFrame, mask: BoolMask) -> None:
        share = float(mask.mean())
        from_middle = abs(frame.seconds_in - self.label.second - MASK_SECONDS)
        self.shares.append(share)
        if from_middle <= MIDDLE_SECONDS:
            self.middle.append(share >= EMPTY_SHARE)
        if self.truth is not None:
            rank = from_middle
        elif self.label.is_scored and not self.label.sounds:
            rank = -share
        else:
            return
        if self.best is None or rank < self.best[0]:
            self.best = (rank, frame.frame_index, mask)

    def judged(self) -> JudgedSecond:
        marked = [share >= EMPTY_SHARE for share in self.shares]
        overlap = outlines = shown = None
        if self.best is not None:
            _, index, mask = self.best
            truth = np.zeros_like(mask) if self.truth is None else self.truth
            shown = Shown(index, mask, truth)
            if self.truth is not None:
                overlap, outlines = Overlap.of(mask, truth), boundary_f(mask, truth)
        return JudgedSecond(
            label=self.label,
            num_frames=len(self.shares),
            marked_frames=sum(marked),
            marked_share=float(np.mean(self.shares)),
            is_marked=bool(np.mean(self.middle or marked) >= 0.5),
            overlap=overlap,
            boundary_f=outlines,
            shown=shown,
        )

"""Decisions played over the objects of a run: which masks are whose in the end.

Pure, and without a pixel: a mask of the run is known by its object and frame, and a mask of the
result is a union of such. The page plays decisions by the same rules; both are held to
``tests/data/review/replay_cases.json``.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Literal, NamedTuple

from avscli.errors import DataError
from avscli.review.decisions import (
    Accept,
    Extend,
    Merge,
    OffScreen,
    Reject,
    Rename,
    RenamePart,
    Split,
    Trim,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from avscli.review.decisions import Decision

ReviewState = Literal["undecided", "accepted", "rejected"]


class MaskOfRun(NamedTuple):
    """A mask that the run has: of which object, in which frame."""

    object: int
    frame: int


Parts = tuple[MaskOfRun, ...]
"""A mask of the result: their union."""


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object as the run has it.

    Attributes:
        object: its number.
        name: what it is.
        frames: analysed frames that show it, rising.
    """

    object: int
    name: str
    frames: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReviewedObject:
    """An object after the decisions.

    Attributes:
        object: its number.
        name: what it is.
        state: what was said of the whole of it.
        frames: analysed frames that show it, rising; none of a rejected one.
        masks: of each of these frames.
        is_named: the reviewer has named it.
        decisions: those about it, and about what became part of it, counted from 1.
    """

    object: int
    name: str
    state: ReviewState
    frames: tuple[int, ...]
    masks: tuple[Parts, ...]
    is_named: bool = False
    decisions: tuple[int, ...] = ()

    @classmethod
    def of(cls, found: FoundObject) -> ReviewedObject:
        """Return an object about which nothing is decided yet."""
        masks = tuple((MaskOfRun(found.object, frame),) for frame in found.frames)
        return cls(found.object, found.name, "undecided", found.frames, masks)

    def between(self, first_frame: int, last_frame: int) -> slice:
        """Return where in `frames` those of a range are."""
        return slice(bisect_left(self.frames, first_frame), bisect_right(self.frames, last_frame))

    def only(self, part: slice) -> ReviewedObject:
        """Return what it is in some of its frames."""
        return replace(self, frames=self.frames[part], masks=self.masks[part])

    def without(self, part: slice) -> ReviewedObject:
        """Return what it is in all others."""
        return replace(
            self,
            frames=self.frames[: part.start] + self.frames[part.stop :],
            masks=self.masks[: part.start] + self.masks[part.stop :],
        )

    def joined(self, masks: Iterable[tuple[int, Parts]]) -> ReviewedObject:
        """Return it with more masks, in the same frames or in others."""
        by_frame = dict(zip(self.frames, self.masks, strict=True))
        for frame, parts in masks:
            here = by_frame.get(frame, ())
            by_frame[frame] = here + tuple(part for part in parts if part not in here)
        frames = tuple(sorted(by_frame))
        return replace(self, frames=frames, masks=tuple(by_frame[frame] for frame in frames))


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What the decisions make of a run.

    Attributes:
        objects: in order of their numbers; rejected ones too, but none that became part of another.
        off_screen: first and last of each stretch of analysed frames whose sound is not in the
            picture.
    """

    objects: tuple[ReviewedObject, ...]
    off_screen: tuple[tuple[int, int], ...]


def replay(
    objects: Iterable[FoundObject], frames: Sequence[int], decisions: Iterable[Decision]
) -> Reviewed:
    """Play decisions over the objects of a run.

    Args:
        objects: of the run.
        frames: all that were analysed, rising.
        decisions: in the order in which they were made.

    Raises:
        DataError: a decision cannot be made as things are by then; it is named by its number,
            counted from 1.
    """
    play = _Play(objects, frames)
    for number, decision in enumerate(decisions, start=1):
        try:
            play.decide(decision, number)
        except ValueError as err:
            raise DataError(f"decision {number} ({decision.do}): {err}") from err
    return play.result()


class _Play:
    """Things as they are between two decisions."""

    def __init__(self, objects: Iterable[FoundObject], frames: Sequence[int]) -> None:
        self._objects = {found.object: ReviewedObject.of(found) for found in objects}
        self._merged: dict[int, int] = {}
        self._frames = frames
        self._off_screen: set[int] = set()

    def result(self) -> Reviewed:
        stretches = groupby(self._frames, key=lambda frame: frame in self._off_screen)
        ends = [(frames[0], frames[-1]) for off, group in stretches if off for frames in [[*group]]]
        return Reviewed(tuple(self._objects[each] for each in sorted(self._objects)), tuple(ends))

    def decide(self, decision: Decision, number: int) -> None:
        """Make one decision.

        Raises:
            ValueError: it cannot be made.
        """
        match decision:
            case Accept():
                self._keep(number, replace(self._one(decision.object), state="accepted"))
            case Reject():
                gone = replace(self._one(decision.object), state="rejected", frames=(), masks=())
                self._keep(number, gone)
            case Trim():
                self._trim(decision, number)
            case Extend():
                self._extend(decision, number)
            case Rename():
                one = self._one(decision.object)
                self._keep(number, replace(one, name=decision.name, is_named=True))
            case RenamePart():
                self._rename_part(decision, number)
            case Merge():
                self._merge(decision, number)
            case Split():
                self._split(decision, number)
            case OffScreen():
                self._put_off_screen(decision, number)

    def _trim(self, trim: Trim, number: int) -> None:
        one = self._one(trim.object)
        self._analysed(trim.first_frame, trim.last_frame)
        self._keep(number, one.without(one.between(trim.first_frame, trim.last_frame)))

    def _extend(self, extend: Extend, number: int) -> None:
        one = self._one(extend.object)
        wanted = self._analysed(extend.first_frame, extend.last_frame)
        if not one.frames:
            raise ValueError(f"object {one.object} has no mask left that could be held")
        has = set(one.frames)
        held = [(each, _nearest(one, each)) for each in wanted if each not in has]
        # It is seen there, whatever was said before.
        self._off_screen.difference_update(wanted)
        self._keep(number, one.joined(held))

    def _rename_part(self, rename: RenamePart, number: int) -> None:
        one = self._one(rename.object)
        self._analysed(rename.first_frame, rename.last_frame)
        part = one.between(rename.first_frame, rename.last_frame)
        if part.start == part.stop:
            where = f"frames {rename.first_frame} to {rename.last_frame}"
            raise ValueError(f"object {one.object} has no mask in {where}")
        new = replace(one.only(part), object=self._free(rename.new_object), name=rename.name)
        self._keep(number, replace(new, is_named=True), one.without(part))

    def _merge(self, merge: Merge, number: int) -> None:
        one, into = self._one(merge.object), self._one(merge.into)
        if one is into:
            raise ValueError(f"object {one.object} cannot become part of itself")
        of_both = tuple(sorted({*into.decisions, *one.decisions}))
        both = replace(into, decisions=of_both)
        self._keep(number, both.joined(zip(one.frames, one.masks, strict=True)))
        del self._objects[one.object]
        self._merged[one.object] = into.object

    def _split(self, split: Split, number: int) -> None:
        one = self._one(split.object)
        self._analysed(split.first_frame, split.first_frame)
        at = bisect_left(one.frames, split.first_frame)
        if at in (0, len(one.frames)):
            side = "before" if at == 0 else "from"
            on = "" if at == 0 else " on"
            raise ValueError(
                f"object {one.object} has no mask {side} frame {split.first_frame}{on}"
            )
        later = replace(one.only(slice(at, None)), object=self._free(split.new_object))
        self._keep(number, one.only(slice(at)), later)

    def _put_off_screen(self, decision: OffScreen, number: int) -> None:
        first, last = decision.first_frame, decision.last_frame
        self._off_screen.update(self._analysed(first, last))
        for one in self._objects.values():
            part = one.between(first, last)
            if part.start < part.stop:
                self._keep(number, one.without(part))

    def _keep(self, number: int, *objects: ReviewedObject) -> None:
        """Note objects as a decision leaves them."""
        for each in objects:
            self._objects[each.object] = replace(each, decisions=(*each.decisions, number))

    def _one(self, object_id: int) -> ReviewedObject:
        """Return an object that can be decided upon."""
        if object_id in self._merged:
            raise ValueError(f"object {object_id} was merged into {self._merged[object_id]}")
        if object_id not in self._objects:
            raise ValueError(f"there is no object {object_id}")
        if self._objects[object_id].state == "rejected":
            raise ValueError(f"object {object_id} was rejected")
        return self._objects[object_id]

    def _free(self, object_id: int) -> int:
        if object_id in self._objects or object_id in self._merged:
            raise ValueError(f"object {object_id} is there already, and cannot be a new one")
        return object_id

    def _analysed(self, first_frame: int, last_frame: int) -> Sequence[int]:
        """Return the analysed frames of a range whose ends are such."""
        start = bisect_left(self._frames, first_frame)
        stop = bisect_right(self._frames, last_frame)
        found = self._frames[start:stop]
        for end, at in ((first_frame, 0), (last_frame, -1)):
            if not found or found[at] != end:
                raise ValueError(f"frame {end} is none of the run's analysed frames")
        return found


def _nearest(one: ReviewedObject, frame: int) -> Parts:
    """Return the mask of the nearest frame that has one, of two the earlier."""
    after = bisect_left(one.frames, frame)
    candidates = range(max(0, after - 1), min(after + 1, len(one.frames)))
    return one.masks[min(candidates, key=lambda at: abs(one.frames[at] - frame))]

"""The frames of a run as a reviewer corrected them: which masks are whose, pixel by pixel."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from avscli.errors import DataError
from avscli.masks import encode_mask
from avscli.outputs.journal import JOURNAL_NAME, read_journal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from avscli.masks import BoolMask, SizeHW
    from avscli.outputs.journal import JournalEntry, JournalObject
    from avscli.outputs.run import Run
    from avscli.results import FrameState
    from avscli.review.replay import MaskOfRun, Parts, Reviewed, ReviewedObject

HELD_FLAG = "held_by_reviewer"
OFF_SCREEN_FLAG = "off_screen"
_CERTAIN = 1.0  # a person has said so

Objects = tuple["JournalObject", ...]


class CorrectedFrame(NamedTuple):
    """A frame of the corrected run, and whether what is marked in it changed."""

    entry: JournalEntry
    is_changed: bool


def corrected_frames(
    run: Run, result: Reviewed, category_of: Mapping[int, int]
) -> Iterator[CorrectedFrame]:
    """Stream the frames of a run with the masks that a review leaves.

    Frames between analysed ones hold what the last of these has then. Where nothing is decided, a
    frame is what it was.

    Args:
        run: that was reviewed.
        result: of the decisions.
        category_of: category by number of the object.

    Raises:
        DataError: the journal is damaged.
    """
    frames = _Frames(run, result, category_of)
    analysed, corrected = None, None
    for entry in read_journal(run.folder / JOURNAL_NAME):
        if not entry.interpolated:
            analysed, corrected = entry, frames.corrected(entry)
        assert analysed is not None, "found_objects has made sure"
        assert corrected is not None
        if entry.interpolated:
            yield frames.held(entry, analysed, corrected)
        else:
            yield corrected


class _Frames:
    """Corrects one frame after the other."""

    def __init__(self, run: Run, result: Reviewed, category_of: Mapping[int, int]) -> None:
        self._run, self._category_of = run, category_of
        self._shown: dict[int, list[tuple[ReviewedObject, Parts]]] = defaultdict(list)
        for each in result.objects:
            for frame, parts in zip(each.frames, each.masks, strict=True):
                self._shown[frame].append((each, parts))
        self._stretches = result.off_screen
        self._elsewhere = _masks_from_elsewhere(run, self._shown)

    def corrected(self, entry: JournalEntry) -> CorrectedFrame:
        """Return an analysed frame."""
        own = _by_track(entry)
        found: list[tuple[int, JournalObject]] = []
        is_held = False
        for each, parts in self._shown[entry.frame]:
            masks = [
                mask
                for part in parts
                for mask in (own if part.frame == entry.frame else self._elsewhere[part.frame])[
                    part.object
                ]
            ]
            is_held |= any(part.frame != entry.frame for part in parts)
            first = next(
                (n for n, mask in enumerate(entry.objects) if mask in masks), len(entry.objects)
            )
            found.append((first, self._object(each, masks, entry.frame)))
        found.sort(key=lambda item: item[0])  # in the order in which they were found
        objects = tuple(each for _, each in found)
        flags = [HELD_FLAG] * is_held + [OFF_SCREEN_FLAG] * self._is_off_screen(entry.frame)
        return _with(entry, objects, flags)

    def held(
        self, entry: JournalEntry, analysed: JournalEntry, corrected: CorrectedFrame
    ) -> CorrectedFrame:
        """Return a frame that holds the masks of the last analysed one."""
        added = [each for each in corrected.entry.flags if each not in analysed.flags]
        objects = corrected.entry.objects
        if objects == _numbered(analysed.objects):
            objects = _numbered(entry.objects)
        return _with(entry, objects, added)

    def _object(
        self, each: ReviewedObject, masks: Sequence[JournalObject], frame: int
    ) -> JournalObject:
        category = self._category_of[each.object]
        first = next((mask for mask in masks if mask.category_id == category), masks[0])
        one = first if len(masks) == 1 else self._union(first, masks, frame)
        one = replace(one, track_id=each.object, category_score=first.category_score or 0.0)
        if each.is_named:
            one = replace(one, category_id=category, category_score=_CERTAIN)
        return one

    def _union(
        self, first: JournalObject, masks: Sequence[JournalObject], frame: int
    ) -> JournalObject:
        where = f"{self._run.folder / JOURNAL_NAME} frame {frame}"
        marked = reduce(
            lambda some, more: some | more,
            (pixels_of(each, self._run.size_hw, where) for each in masks),
        )
        return replace(first, mask=encode_mask(marked), score=_mean_score(masks))

    def _is_off_screen(self, frame: int) -> bool:
        before = bisect_right(self._stretches, frame, key=lambda ends: ends[0])
        return before > 0 and frame <= self._stretches[before - 1][1]


def pixels_of(each: JournalObject, size_hw: SizeHW, where: str) -> BoolMask:
    """Decode a mask, [H, W] bool.

    Raises:
        DataError: it is damaged, or not of the size of the run's frames.
    """
    hint = "the file was edited or damaged; segment the video again"
    if each.mask.size_hw != size_hw:
        raise DataError(f"{where}: a mask of {each.mask.size_hw} on {size_hw} pixels", hint=hint)
    try:
        return each.mask.pixels
    except ValueError as err:
        raise DataError(f"{where}: {err}", hint=hint) from err


def _masks_from_elsewhere(
    run: Run, shown: Mapping[int, Iterable[tuple[ReviewedObject, Parts]]]
) -> dict[int, dict[int, list[JournalObject]]]:
    """Return the masks that other frames hold, by frame and track; some per decision, not more."""
    wanted: set[MaskOfRun] = {
        part
        for frame, objects in shown.items()
        for _, parts in objects
        for part in parts
        if part.frame != frame
    }
    frames = {part.frame for part in wanted}
    if not frames:
        return {}
    return {
        entry.frame: _by_track(entry)
        for entry in read_journal(run.folder / JOURNAL_NAME)
        if entry.frame in frames and not entry.interpolated
    }


def _by_track(entry: JournalEntry) -> dict[int, list[JournalObject]]:
    found: dict[int, list[JournalObject]] = defaultdict(list)
    for each in entry.objects:
        found[each.track].append(each)
    return found


def _numbered(objects: Iterable[JournalObject]) -> Objects:
    """Return objects as lines of this version have them: those of the first had no tracks."""
    return tuple(
        each
        if each.track_id is not None
        else replace(each, track_id=each.track, category_score=each.category_score or 0.0)
        for each in objects
    )


def _with(entry: JournalEntry, objects: Objects, added: Sequence[str]) -> CorrectedFrame:
    """Return a frame with other objects; its state and score follow where the masks differ."""
    is_changed = _marks(objects) != _marks(entry.objects)
    gone = {OFF_SCREEN_FLAG} if objects else {HELD_FLAG}  # of an earlier review
    kept = [flag for flag in entry.flags if not is_changed or flag not in gone]
    corrected = replace(entry, objects=objects, flags=tuple(dict.fromkeys((*kept, *added))))
    if is_changed:
        state = _state(entry.state, objects)
        score = _mean_score(objects) if objects else _CERTAIN
        corrected = replace(corrected, state=state, score=score)
    return CorrectedFrame(corrected, is_changed)


def _marks(objects: Iterable[JournalObject]) -> list[str]:
    return sorted(each.mask.counts for each in objects)


def _state(before: FrameState, objects: Objects) -> FrameState:
    if objects:
        return "sounding"
    return "nothing_sounds" if before == "sounding" else before


def _mean_score(objects: Sequence[JournalObject]) -> float:
    """Return the mean probability inside the masks, each pixel of each counted once."""
    area = sum(each.mask.area for each in objects)
    return round(sum(each.score * each.mask.area for each in objects) / max(1, area), 6)

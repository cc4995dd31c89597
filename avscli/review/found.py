"""What of a run a review is about: which run it is, its objects, and its analysed frames."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from avscli.errors import DataError
from avscli.outputs.journal import JOURNAL_NAME
from avscli.review.decisions import RunIdentity
from avscli.review.replay import FoundObject
from avscli.shipped import sha256_of

if TYPE_CHECKING:
    from avscli.outputs.journal import JournalEntry
    from avscli.outputs.run import Run


@dataclass(frozen=True, slots=True)
class Found:
    """What was found before anybody decided.

    Attributes:
        objects: in order of their numbers.
        frames: that were analysed, rising.
        num_frames: of the source, those that hold a mask included.
    """

    objects: tuple[FoundObject, ...]
    frames: tuple[int, ...]
    num_frames: int


def identity_of(run: Run) -> RunIdentity:
    """Return what review.json says of the run that it is of.

    Raises:
        DataError: the journal cannot be read.
    """
    path = run.folder / JOURNAL_NAME
    try:
        journal_sha256 = sha256_of(path)
    except OSError as err:
        raise DataError(f"cannot read {path}: {err.strerror or err}") from err
    return RunIdentity(run.source.name, run.record.source.sha256, journal_sha256)


def found_objects(run: Run) -> Found:
    """Read which analysed frames show which objects.

    Raises:
        DataError: the journal is missing, damaged, not in order, or not whole.
    """
    names = {each.track_id: each.category for each in run.objects}
    shown: dict[int, list[int]] = defaultdict(list)
    frames: list[int] = []
    last, num_frames = -1, 0
    for entry in run.frames():
        _require_order(run, entry, last, is_first=not frames)
        last, num_frames = entry.frame, num_frames + 1
        if entry.interpolated:
            continue
        frames.append(entry.frame)
        for track, each in {each.track: each for each in entry.objects}.items():
            shown[track].append(entry.frame)
            names.setdefault(track, run.categories.get(each.category_id, str(each.category_id)))
    objects = tuple(FoundObject(each, names[each], tuple(shown[each])) for each in sorted(shown))
    return Found(objects, tuple(frames), num_frames)


def _require_order(run: Run, entry: JournalEntry, last: int, *, is_first: bool) -> None:
    if entry.frame <= last or (is_first and entry.interpolated):
        what = "comes too late" if entry.frame <= last else "holds the mask of none before it"
        raise _damaged(run, f"has a frame {entry.frame} that {what}")


def _damaged(run: Run, what: str) -> DataError:
    return DataError(
        f"{run.folder / JOURNAL_NAME} {what}",
        hint="the file was edited or damaged; segment the video again",
    )

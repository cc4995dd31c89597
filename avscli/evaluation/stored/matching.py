"""Stored masks against stored truth: which frame belongs to which, and both side by side."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from avscli.datatypes import VOID
from avscli.errors import DataError
from avscli.evaluation.clips import JudgedClip, clip_of_masks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from avscli.evaluation.stored.clips import StoredClip, StoredFrame
    from avscli.masks import LabelMap

FRAMES_AT_ONCE = 10  # as many as an AVSBench clip has at most; longer clips come in parts
_VIDEO_SUFFIX = re.compile(r"\.[0-9A-Za-z]{2,4}$")  # a run is called clip.mp4, its masks clip


class ClipPair(NamedTuple):
    """A clip's predictions and truth."""

    predicted: StoredClip
    true: StoredClip


def pair_clips(predicted: Sequence[StoredClip], true: Sequence[StoredClip]) -> list[ClipPair]:
    """Find the predictions of every clip that has truth.

    A single clip on each side is a pair whatever the names. The suffix of a video is no part of a
    name, unless only that tells two clips apart.

    Raises:
        DataError: clips of one side are missing on the other, or bear one name.
    """
    if len(predicted) == len(true) == 1:
        return [ClipPair(predicted[0], true[0])]
    names, wanted = ([clip.clip_id for clip in side] for side in (predicted, true))
    bare = [[_VIDEO_SUFFIX.sub("", name) for name in side] for side in (names, wanted)]
    if all(len(set(side)) == len(side) for side in bare):
        names, wanted = bare
    for side, told in ((names, "predictions"), (wanted, "truth")):
        name, count = Counter(side).most_common(1)[0]
        if count > 1:
            raise DataError(f"{count} clips of the {told} are called {name!r}")
    missing = [name for name in wanted if name not in set(names)]
    if missing:
        raise DataError(
            f"no predictions for {_told(missing)} of the truth's clips",
            hint=f"the predictions' clips are {_told(names)}",
        )
    extra = sorted(set(names) - set(wanted))
    if extra:
        raise DataError(f"no truth for {_told(extra)} of the predicted clips")
    by_name = dict(zip(names, predicted, strict=True))
    return [ClipPair(by_name[name], clip) for name, clip in zip(wanted, true, strict=True)]


def check_pairs(pairs: Sequence[ClipPair], tolerance_seconds: float) -> int:
    """Match every frame without reading masks, and count them.

    Raises:
        DataError: naming the first frame that has no partner.
    """
    return sum(len(_matched(pair, tolerance_seconds)) for pair in pairs)


def judged_masks(pairs: Sequence[ClipPair], tolerance_seconds: float) -> Iterator[JudgedClip]:
    """Read predictions and truth together; long clips come in parts of the same name.

    Args:
        pairs: see `pair_clips`.
        tolerance_seconds: how far apart the times of one frame may lie.

    Raises:
        DataError: a file is unreadable, or the sizes differ.
    """
    for pair in pairs:
        matched = _matched(pair, tolerance_seconds)
        for first in range(0, len(matched), FRAMES_AT_ONCE):
            part = matched[first : first + FRAMES_AT_ONCE]
            yield _judged(pair.true.clip_id, part, continues=first > 0)


def _judged(
    clip_id: str, matched: Sequence[tuple[StoredFrame, StoredFrame]], *, continues: bool
) -> JudgedClip:
    labels: list[LabelMap] = []
    targets: list[LabelMap] = []
    for predicted, true in matched:
        target, label = true.read(), predicted.read()
        if target.size == 0:  # nothing marked in a whole journal, see `StoredFrame.read`
            target = np.zeros(label.shape if label.size else (1, 1), np.uint8)
        if label.size == 0:
            label = np.zeros_like(target)
        reference = targets[0] if targets else target
        for name, other in ((true.name, target), (predicted.name, label)):
            if other.shape != reference.shape:
                raise DataError(
                    f"{name} is {other.shape[0]}×{other.shape[1]}, "
                    f"expected {reference.shape[0]}×{reference.shape[1]} as the truth of its clip",
                    hint="masks must have the size of the truth; resize them without smoothing",
                )
        labels.append(np.where(label == VOID, np.uint8(0), label))
        targets.append(target)
    scores = [predicted.score for predicted, _ in matched]
    known = [score for score in scores if score is not None]
    return clip_of_masks(
        clip_id,
        np.stack(labels),
        np.stack(targets),
        np.array(known) if len(known) == len(scores) else None,
        continues=continues,
    )


def _matched(pair: ClipPair, tolerance_seconds: float) -> list[tuple[StoredFrame, StoredFrame]]:
    """Return (predicted, true) for every frame that has truth."""
    predicted, true = pair.predicted.frames(), pair.true.frames()
    for frames in (predicted, true):
        _require_unlike(frames)
    by_time = all(frame.seconds is not None for frame in (*predicted, *true))
    if by_time:
        matched = _by_time(predicted, true, tolerance_seconds)
    else:
        matched = _by_index(predicted, true)
    if not pair.predicted.dense and len(matched) < len(predicted):
        used = {frame.name for frame, _ in matched}
        extra = next(frame.name for frame in predicted if frame.name not in used)
        raise DataError(f"{extra} has no truth: an extra frame of clip {pair.true.clip_id}")
    return matched


def _require_unlike(frames: Sequence[StoredFrame]) -> None:
    placed: dict[int | float | None, StoredFrame] = {}
    for frame in frames:
        place = frame.seconds if frame.index is None else frame.index
        other = placed.setdefault(place, frame)
        if other is not frame:
            told = f"at {place} s" if frame.index is None else f"frame {place}"
            raise DataError(f"{other.name} and {frame.name} are both {told}")


def _by_index(
    predicted: Sequence[StoredFrame], true: Sequence[StoredFrame]
) -> list[tuple[StoredFrame, StoredFrame]]:
    numbered = {frame.index: frame for frame in predicted}
    for frame in true:
        if frame.index not in numbered:
            raise DataError(f"no prediction for frame {frame.index}, the mask of {frame.name}")
    return [(numbered[frame.index], frame) for frame in true]


def _by_time(
    predicted: Sequence[StoredFrame], true: Sequence[StoredFrame], tolerance_seconds: float
) -> list[tuple[StoredFrame, StoredFrame]]:
    if not predicted:
        raise DataError(f"no prediction at all for the clip of {true[0].name}")
    timed = sorted((frame.seconds or 0.0, k) for k, frame in enumerate(predicted))
    times = [seconds for seconds, _ in timed]
    matched = []
    for frame in true:
        wanted = frame.seconds or 0.0
        at = bisect_left(times, wanted)
        near = min(range(max(0, at - 1), min(len(times), at + 1)), key=_distance(times, wanted))
        if abs(times[near] - wanted) > tolerance_seconds:
            raise DataError(
                f"no prediction within {tolerance_seconds} s of {wanted:.3f} s, the time of "
                f"{frame.name}; the nearest is at {times[near]:.3f} s",
                hint="analyse more frames (--fps), or allow more with --tolerance",
            )
        matched.append((predicted[timed[near][1]], frame))
    return matched


def _distance(times: Sequence[float], wanted: float) -> Callable[[int], float]:
    return lambda place: abs(times[place] - wanted)


def _told(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{len(names)} ({shown}{', …' if len(names) > 3 else ''})"

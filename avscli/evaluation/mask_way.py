"""Stored masks against stored truth: which frame belongs to which, and both side by side."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from avscli.errors import DataError
from avscli.evaluation.clips import VOID, JudgedClip, clip_of_masks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from avscli.evaluation.mask_files import StoredClip, StoredFrame
    from avscli.masks import LabelMap

FRAMES_AT_ONCE = 10  # as many as an AVSBench clip has at most; longer clips come in parts


class ClipPair(NamedTuple):
    """A clip's predictions and truth."""

    predicted: StoredClip
    true: StoredClip


def pair_clips(predicted: Sequence[StoredClip], true: Sequence[StoredClip]) -> list[ClipPair]:
    """Find the predictions of every clip that has truth.

    A single clip on each side is a pair whatever the names.

    Raises:
        DataError: clips of one side are missing on the other, or bear one name.
    """
    if len(predicted) == len(true) == 1:
        return [ClipPair(predicted[0], true[0])]
    by_id = {clip.clip_id: clip for clip in predicted}
    if len(by_id) < len(predicted):
        raise DataError("two clips of the predictions have the same name")
    missing = [clip.clip_id for clip in true if clip.clip_id not in by_id]
    if missing:
        raise DataError(
            f"no predictions for {_told(missing)} of the truth's clips",
            hint=f"the predictions' clips are {_told(list(by_id))}",
        )
    extra = sorted(by_id.keys() - {clip.clip_id for clip in true})
    if extra:
        raise DataError(f"no truth for {_told(extra)} of the predicted clips")
    return [ClipPair(by_id[clip.clip_id], clip) for clip in true]


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
        if target.size == 0:  # a journal frame without masks, see mask_files
            target = np.zeros_like(label)
        if label.size == 0:
            label = np.zeros_like(target)
        reference = targets[0] if targets and targets[0].size else target
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

"""Stored masks against stored truth: which clip belongs to which, and both side by side."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from avscli.datatypes import VOID
from avscli.errors import DataError
from avscli.evaluation.clips import JudgedClip, clip_of_masks
from avscli.evaluation.stored.matching import ClipPair, FramePair, match_frames

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from avscli.config import EvalOptions
    from avscli.evaluation.protocols import Json
    from avscli.evaluation.stored.clips import StoredClip
    from avscli.masks import LabelMap

FRAMES_AT_ONCE = 10  # as many as an AVSBench clip has at most; longer clips come in parts
_VIDEO_SUFFIX = re.compile(r"\.[0-9A-Za-z]{2,4}$")  # a run is called clip.mp4, its masks clip


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


def check_pairs(pairs: Sequence[ClipPair], options: EvalOptions) -> Json:
    """Match every frame without reading masks, and tell what was matched with what.

    Returns:
        Frames of both sides and how many of them were matched, in how many clips by index and by
        time, the first and the last pair, and all that in one line.

    Raises:
        DataError: naming the first frame that has no partner, or there is no frame at all.
    """
    clips = {"index": 0, "time": 0}
    num_true = num_predicted = num_used = 0
    ends: list[list[str]] = []
    for pair in pairs:
        matched = match_frames(pair, options)
        clips[matched.by] += 1
        num_true += len(matched.frames)
        num_predicted += matched.num_predicted
        num_used += matched.num_used
        ends = [*ends[:1], *([f.predicted.name, f.true.name] for f in matched.frames)]
        ends = [ends[0], ends[-1]] if ends else []
    if not num_true:
        raise DataError("nothing to score: the truth has no frame")
    by = " and ".join(f"by {name} ({n} clips)" for name, n in clips.items() if n)
    told = f"{num_true} of {num_true} frames of the truth, {num_used} of {num_predicted} predicted"
    return {
        "told": f"{told}, {by}".replace("(1 clips)", "(1 clip)"),
        "num_true": num_true,
        "num_predicted": num_predicted,
        "num_predicted_used": num_used,
        "num_clips_by": clips,
        "first": ends[0],
        "last": ends[-1],
    }


def judged_masks(pairs: Sequence[ClipPair], options: EvalOptions) -> Iterator[JudgedClip]:
    """Read predictions and truth together; long clips come in parts of the same name.

    Args:
        pairs: see `pair_clips`.
        options: how frames are matched.

    Raises:
        DataError: a file is unreadable, or the sizes differ.
    """
    for pair in pairs:
        matched = match_frames(pair, options).frames
        for first in range(0, len(matched), FRAMES_AT_ONCE):
            part = matched[first : first + FRAMES_AT_ONCE]
            yield _judged(pair.true.clip_id, part, continues=first > 0)


def _judged(clip_id: str, matched: Sequence[FramePair], *, continues: bool) -> JudgedClip:
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


def _told(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{len(names)} ({shown}{', …' if len(names) > 3 else ''})"

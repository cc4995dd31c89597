"""Which predicted frame belongs to which true one, and whether that is plausible.

Times match where both sides know them, else numbers do. Numbers can be counted from 1 or at another
rate without a word in the files; what looks like that is refused until the user says it.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from avscli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from avscli.config import EvalOptions, StoredOptions
    from avscli.evaluation.stored.clips import StoredClip, StoredFrame

_RATE_HINT = (
    "another frame rate? say that of the truth with --gt-fps, and with --pred-fps that of "
    "numbered predictions"
)


class ClipPair(NamedTuple):
    """A clip's predictions and truth."""

    predicted: StoredClip
    true: StoredClip


class FramePair(NamedTuple):
    """A frame's prediction and truth."""

    predicted: StoredFrame
    true: StoredFrame


@dataclass(frozen=True, slots=True)
class MatchedClip:
    """The frames of a clip that have truth.

    Attributes:
        by: what told which frames belong together.
        frames: a pair for every frame of the truth, in its order.
        num_predicted: frames that the predictions have.
    """

    by: Literal["index", "time"]
    frames: list[FramePair]
    num_predicted: int

    @property
    def num_used(self) -> int:
        """How many predicted frames are compared; one can be the nearest to several true ones."""
        return len({pair.predicted.name for pair in self.frames})


def match_frames(pair: ClipPair, options: EvalOptions) -> MatchedClip:
    """Find the prediction of every frame that has truth.

    Args:
        pair: of one clip.
        options: tolerance of times, and how either side is numbered.

    Raises:
        DataError: a frame has no partner, or the numbers look like those of another count or rate.
    """
    predicted, true = pair.predicted.frames(), pair.true.frames()
    for frames in (predicted, true):
        _require_unlike(frames)
    _refuse_other_start(predicted, true, options)
    predicted = _as_told(predicted, options.predicted, 0.0)
    beginning = next((f.seconds for f in predicted if f.index == 0 and f.seconds), 0.0)
    true = _as_told(true, options.true, beginning)
    if all(frame.seconds is not None for frame in (*predicted, *true)):
        matched = MatchedClip(
            "time", _by_time(predicted, true, options.tolerance_seconds), len(predicted)
        )
    else:
        _require_numbers(predicted, true)
        matched = MatchedClip("index", _by_index(predicted, true), len(predicted))
    _refuse_other_rate(pair, matched, true, options)
    return matched


def _as_told(
    frames: list[StoredFrame], told: StoredOptions, beginning_seconds: float
) -> list[StoredFrame]:
    """Return the frames with the numbers, and at the rate, that the user says they have."""
    if told.first is None and told.fps is None:
        return frames
    first = told.first or 0
    renumbered = []
    for frame in frames:
        if frame.index is None:
            raise DataError(f"{frame.name} tells its time, not a number, so no first and no rate")
        if frame.index < first:
            raise DataError(
                f"{frame.name} is number {frame.index}, the first was said to be {first}"
            )
        index = frame.index - first
        seconds = None if told.fps is None else beginning_seconds + index / told.fps
        renumbered.append(replace(frame, index=index, seconds=seconds))
    return renumbered


def _numbers(frames: Sequence[StoredFrame]) -> list[int]:
    return sorted(frame.index for frame in frames if frame.index is not None)


def _in_a_row(numbers: Sequence[int]) -> bool:
    return bool(numbers) and numbers[-1] - numbers[0] + 1 == len(numbers)


def _refuse_other_start(
    predicted: Sequence[StoredFrame], true: Sequence[StoredFrame], options: EvalOptions
) -> None:
    """Refuse a truth that begins with frame 1 where the predictions begin with 0, and go on."""
    numbers, timed = _numbers(true), all(f.seconds is not None for f in (*predicted, *true))
    doubtful = _in_a_row(numbers) and numbers[0] == 1 and 0 in _numbers(predicted)
    if doubtful and not timed and options.true.first is None:
        raise DataError(
            f"the truth is numbered 1 … {numbers[-1]} ({true[0].name}), the predictions from 0: is "
            "the truth's 1 the first frame?",
            hint="--gt-first 1 if it is, --gt-first 0 if it is the second; frames that were taken "
            "at a rate of their own need --gt-fps too",
        )


def _refuse_other_rate(
    pair: ClipPair, matched: MatchedClip, true: Sequence[StoredFrame], options: EvalOptions
) -> None:
    """Refuse truth in a row that leaves out predictions it should have truth for.

    Truth with gaps is meant to; so is a single frame. Predictions for more frames than asked are
    expected of runs, yet not several times as many.
    """
    numbers = _numbers(true)
    if options.true.fps is not None or len(numbers) < 2 or not _in_a_row(numbers):
        return
    if pair.predicted.dense:
        if matched.by == "index" and 2 * len(numbers) <= matched.num_predicted:
            raise DataError(
                f"the truth of {pair.true.clip_id} is numbered {numbers[0]} … {numbers[-1]}, the "
                f"predictions have {matched.num_predicted} frames",
                hint=f"{_RATE_HINT}; that of the video, if these are its first frames",
            )
    elif matched.num_used < matched.num_predicted:
        used = {predicted.name for predicted, _ in matched.frames}
        extra = next(f.name for f in pair.predicted.frames() if f.name not in used)
        raise DataError(
            f"{extra} has no truth: an extra frame of clip {pair.true.clip_id}", hint=_RATE_HINT
        )


def _require_unlike(frames: Sequence[StoredFrame]) -> None:
    placed: dict[int | float | None, StoredFrame] = {}
    for frame in frames:
        place = frame.seconds if frame.index is None else frame.index
        other = placed.setdefault(place, frame)
        if other is not frame:
            told = f"at {place} s" if frame.index is None else f"frame {place}"
            raise DataError(f"{other.name} and {frame.name} are both {told}")


def _require_numbers(predicted: Sequence[StoredFrame], true: Sequence[StoredFrame]) -> None:
    sides = (("predictions", predicted, "--pred-fps"), ("truth", true, "--gt-fps"))
    for side, frames, option in sides:
        if any(frame.seconds is None for frame in frames):
            lacking, known_by = (side, option), frames
            break
    other = true if known_by is predicted else predicted
    if any(frame.index is None for frame in other):
        raise DataError(
            f"{other[0].name} tells its time, {known_by[0].name} a number",
            hint=f"say the frame rate of the {lacking[0]} with {lacking[1]}",
        )


def _by_index(predicted: Sequence[StoredFrame], true: Sequence[StoredFrame]) -> list[FramePair]:
    numbered = {frame.index: frame for frame in predicted}
    for frame in true:
        if frame.index not in numbered:
            wanted, known = _numbers(true), set(numbered)
            hint = _RATE_HINT
            if known.issuperset(number - 1 for number in wanted):
                hint = "is the truth numbered from 1? then --gt-first 1"
            elif known.issuperset(number + 1 for number in wanted):
                hint = "are the predictions numbered from 1? then --pred-first 1"
            told = f"no prediction for frame {frame.index}, the mask of {frame.name}"
            raise DataError(told, hint=hint)
    return [FramePair(numbered[frame.index], frame) for frame in true]


def _by_time(
    predicted: Sequence[StoredFrame], true: Sequence[StoredFrame], tolerance_seconds: float
) -> list[FramePair]:
    if not predicted and true:
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
                hint="analyse more frames (--fps), allow more with --tolerance, or mend --gt-fps",
            )
        matched.append(FramePair(predicted[timed[near][1]], frame))
    return matched


def _distance(times: Sequence[float], wanted: float) -> Callable[[int], float]:
    return lambda place: abs(times[place] - wanted)

"""Which moments of a run are worth a look, and in which order."""

from __future__ import annotations

import pytest

from avscli.masks import EncodedMask
from avscli.outputs.journal import JournalEntry, JournalObject
from avscli.results import FrameState, HeardSound
from avscli.review.moments import MOST_MOMENTS, Moment, MomentFinder, MomentKind

MASK = EncodedMask((4, 4), "4420", 4, (1, 0, 1, 4))


def entry(
    number: int,
    *scores: float,
    seconds: float | None = None,
    state: FrameState = "sounding",
    level: float | None = -60.0,
    flags: tuple[str, ...] = (),
    heard: float = 0.0,
) -> JournalEntry:
    """A frame with an object per score, ten frames a second."""
    return JournalEntry(
        frame=number,
        pts=number,
        time_seconds=number / 10 if seconds is None else seconds,
        state=state,
        interpolated=False,
        score=0.9,
        audio_dbfs=level,
        flags=flags,
        heard=(HeardSound("Bark", heard),) if heard else (),
        objects=tuple(
            JournalObject(track, 1, 0.9, score, MASK) for track, score in enumerate(scores, start=1)
        ),
    )


def found(*entries: JournalEntry) -> list[Moment]:
    finder = MomentFinder()
    for each in entries:
        finder.add(each)
    return finder.found()


def test_a_run_that_is_sure_has_no_moments() -> None:
    assert found(entry(0, 0.9), entry(1, 0.8, 0.95), entry(2)) == []


def test_low_scores_that_follow_each_other_are_one_moment_with_its_worst_frame() -> None:
    (moment,) = found(entry(0, 0.9), entry(1, 0.6), entry(2, 0.3), entry(3, 0.5), entry(4, 0.9))
    assert moment == Moment("low_score", first=1, last=3, worst=2, track=1, doubt=0.7)


def test_low_scores_far_apart_or_of_two_objects_are_moments_of_their_own() -> None:
    moments = found(entry(0, 0.6, 0.5), entry(1, 0.6, 0.9), entry(2, 0.6, seconds=3.0))
    ends = sorted((each.track, each.first, each.last) for each in moments)
    assert ends == [(1, 0, 1), (1, 2, 2), (2, 0, 0)]


@pytest.mark.parametrize("flag", ["flicker", "flash", "low_agreement", "mask_while_silent"])
def test_what_is_flagged_is_a_moment(flag: MomentKind) -> None:
    (moment,) = found(entry(0, 0.9, flags=(flag, "silent")))
    assert (moment.kind, moment.track) == (flag, None)


def test_a_mask_in_silence_is_a_moment_though_nothing_flags_it() -> None:
    (moment,) = found(entry(0, 0.9, state="silent", level=None))
    assert moment.kind == "mask_while_silent"


@pytest.mark.parametrize(
    ("level", "heard", "kinds"),
    [
        (-20.0, 0.8, ["heard_not_seen"]),
        (-20.0, 0.3, ["loud_but_empty"]),
        (-50.0, 0.8, []),
        (None, 0.0, []),
    ],
)
def test_what_is_heard_and_not_seen_is_a_moment(
    level: float | None, heard: float, kinds: list[str]
) -> None:
    moments = found(entry(0, state="nothing_sounds", level=level, heard=heard))
    assert [each.kind for each in moments] == kinds
    assert found(entry(0, 0.9, level=level, heard=heard)) == []


def test_what_a_reviewer_put_off_screen_is_no_moment_any_more() -> None:
    assert found(entry(0, level=-20.0, heard=0.8, flags=("off_screen",))) == []


def test_the_least_certain_comes_first_and_earlier_ones_before_later_ones() -> None:
    moments = found(
        entry(0, 0.5), entry(1, flags=("flash",)), entry(2, 0.1, seconds=9.0),
        entry(3, flags=("mask_while_silent",), seconds=20.0),
    )  # fmt: skip
    assert [(each.kind, each.first) for each in moments] == [
        ("low_score", 2), ("mask_while_silent", 3), ("low_score", 0), ("flash", 1),
    ]  # fmt: skip


def test_no_more_moments_are_told_than_anybody_looks_at() -> None:
    assert len(found(*(entry(n, 0.5, seconds=float(n)) for n in range(700)))) == MOST_MOMENTS

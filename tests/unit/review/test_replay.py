"""Replaying decisions, against stored cases, and against a model that knows only single masks."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avscli.errors import DataError
from avscli.review.decisions import (
    Accept,
    Decision,
    Extend,
    Merge,
    OffScreen,
    Reject,
    Rename,
    RenamePart,
    Split,
    Trim,
    decision_json,
    decision_of,
)
from avscli.review.replay import FoundObject, Reviewed, replay

CASES = json.loads(
    (Path(__file__).parents[2] / "data" / "review" / "replay_cases.json").read_text("utf-8")
)
FRAMES = (0, 2, 4, 6, 8, 10, 12)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["what"])
def test_the_stored_case_comes_out_as_it_says(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises((DataError, ValueError)) as caught:
            played(case)
        assert case["error"] in str(caught.value)
        return
    result = played(case)
    assert case["expected"] == {
        "objects": [
            {
                "id": each.object,
                "name": each.name,
                "state": each.state,
                "frames": [*each.frames],
            }
            for each in result.objects
        ],
        "off_screen": [[*ends] for ends in result.off_screen],
    }


def played(case: dict[str, Any]) -> Reviewed:
    objects = [
        FoundObject(each["id"], each["name"], tuple(each["frames"])) for each in case["objects"]
    ]
    return replay(objects, case["frames"], [decision_of(each) for each in case["decisions"]])


def test_the_stored_cases_have_every_decision_right_and_wrong() -> None:
    fine, wrong = (
        {one["do"] for case in CASES if kind in case for one in case["decisions"] if "do" in one}
        for kind in ("expected", "error")
    )
    assert fine == {"accept", "reject", "trim", "extend", "rename", "merge", "split", "off_screen"}
    assert fine < wrong


def objects_strategy() -> st.SearchStrategy[list[FoundObject]]:
    shown = st.sets(st.sampled_from(FRAMES), min_size=1).map(lambda frames: tuple(sorted(frames)))
    return st.lists(shown, min_size=1, max_size=3).map(
        lambda all_frames: [
            FoundObject(number, "dog", frames) for number, frames in enumerate(all_frames, start=1)
        ]
    )


def decisions_strategy(*kinds: type) -> st.SearchStrategy[list[Decision]]:
    some, name = st.integers(1, 5), st.sampled_from(["cat", "dog"])
    frame = st.sampled_from(FRAMES)
    ends = st.tuples(frame, frame).map(sorted)
    of_kind: dict[type, st.SearchStrategy[Decision]] = {
        Accept: st.builds(Accept, some),
        Reject: st.builds(Reject, some),
        Trim: st.builds(lambda o, r: Trim(o, *r), some, ends),
        Extend: st.builds(lambda o, r: Extend(o, *r), some, ends),
        Rename: st.builds(Rename, some, name),
        RenamePart: st.builds(
            lambda o, n, r, new: RenamePart(o, n, *r, new), some, name, ends, some
        ),
        Merge: st.builds(Merge, some, some),
        Split: st.builds(Split, some, frame, some),
        OffScreen: st.builds(lambda r: OffScreen(*r), ends),
    }
    return st.lists(st.one_of([of_kind[kind] for kind in kinds or of_kind]), max_size=8)


def as_far_as_it_goes(objects: list[FoundObject], decisions: list[Decision]) -> list[Decision]:
    """Leave out what cannot be decided."""
    made: list[Decision] = []
    for decision in decisions:
        try:
            replay(objects, FRAMES, [*made, decision])
        except DataError:
            continue
        made.append(decision)
    return made


def masks_of(result: Reviewed) -> set[tuple[int, int, tuple[int, int]]]:
    """Return which masks of the run are where: (object, frame, mask)."""
    return {
        (each.object, frame, tuple(mask))
        for each in result.objects
        for frame, masks in zip(each.frames, each.masks, strict=True)
        for mask in masks
    }


def modelled(
    objects: list[FoundObject], decisions: list[Decision]
) -> set[tuple[int, int, tuple[int, int]]]:
    """Play decisions over the plainest thing there is: a set of (object, frame, mask)."""
    masks = {
        (each.object, frame, (each.object, frame)) for each in objects for frame in each.frames
    }
    for do in decisions:
        match do:
            case Reject(one):
                masks = {m for m in masks if m[0] != one}
            case Trim(one, first, last):
                masks = {m for m in masks if m[0] != one or not first <= m[1] <= last}
            case OffScreen(first, last):
                masks = {m for m in masks if not first <= m[1] <= last}
            case Merge(one, into):
                masks = {(into if o == one else o, f, m) for o, f, m in masks}
            case Split(one, first, new):
                masks = {(new if o == one and f >= first else o, f, m) for o, f, m in masks}
            case RenamePart(one, _, first, last, new):
                masks = {(new if o == one and first <= f <= last else o, f, m) for o, f, m in masks}
            case Extend(one, first, last):
                has = {f for o, f, _ in masks if o == one}
                nearest = {
                    frame: min(has, key=lambda f: (abs(f - frame), f))
                    for frame in FRAMES
                    if first <= frame <= last and frame not in has
                }
                masks |= {
                    (one, frame, m)
                    for frame, source in nearest.items()
                    for o, f, m in masks
                    if o == one and f == source
                }
    return masks


@settings(max_examples=300, deadline=None)
@given(objects_strategy(), decisions_strategy())
def test_every_mask_ends_where_the_plainest_model_puts_it(
    objects: list[FoundObject], decisions: list[Decision]
) -> None:
    made = as_far_as_it_goes(objects, decisions)
    assert masks_of(replay(objects, FRAMES, made)) == modelled(objects, made)


@settings(max_examples=200, deadline=None)
@given(objects_strategy(), decisions_strategy())
def test_what_can_be_decided_can_be_taken_back_one_by_one(
    objects: list[FoundObject], decisions: list[Decision]
) -> None:
    made = as_far_as_it_goes(objects, decisions)
    for length in range(len(made), -1, -1):  # undo is replaying without the last one
        result = replay(objects, FRAMES, made[:length])
        assert all(each.decisions == tuple(sorted(each.decisions)) for each in result.objects)
        assert {n for each in result.objects for n in each.decisions} <= set(range(1, length + 1))
    assert [each.frames for each in result.objects] == [each.frames for each in objects]


@settings(max_examples=200, deadline=None)
@given(objects_strategy(), decisions_strategy(), st.integers(1, 3))
def test_accepting_changes_the_state_and_nothing_else(
    objects: list[FoundObject], decisions: list[Decision], one: int
) -> None:
    made = as_far_as_it_goes(objects, decisions)
    before = replay(objects, FRAMES, made)
    if one not in {each.object for each in before.objects if each.state != "rejected"}:
        return
    after = replay(objects, FRAMES, [*made, Accept(one)])
    assert masks_of(after) == masks_of(before)
    assert after.off_screen == before.off_screen
    assert [each.name for each in after.objects] == [each.name for each in before.objects]
    assert {each.object: each.state for each in after.objects} == {
        each.object: each.state for each in before.objects
    } | {one: "accepted"}
    # … and rejecting leaves nothing, accepted or not.
    for more in ([Reject(one)], [Accept(one), Reject(one)]):
        gone = replay(objects, FRAMES, [*made, *more])
        assert masks_of(gone) == {m for m in masks_of(before) if m[0] != one}


@settings(max_examples=200, deadline=None)
@given(
    objects_strategy(),
    decisions_strategy(Accept, Reject, Trim, Rename, RenamePart, Merge, Split, OffScreen),
)
def test_no_mask_comes_to_be_in_two_places(
    objects: list[FoundObject], decisions: list[Decision]
) -> None:
    made = as_far_as_it_goes(objects, decisions)
    result = masks_of(replay(objects, FRAMES, made))
    assert max(Counter(mask for _, _, mask in result).values(), default=0) <= 1
    assert all(mask[1] == frame for _, frame, mask in result)
    shown, before = defaultdict(set), Counter(f for each in objects for f in each.frames)
    for one, frame, _ in result:
        shown[frame].add(one)
    assert all(len(shown[frame]) <= before[frame] for frame in shown)


@pytest.mark.parametrize("twice", [Accept(1), Trim(1, 2, 4), Extend(1, 0, 12), OffScreen(2, 4)])
def test_saying_it_again_changes_nothing(twice: Decision) -> None:
    objects = [FoundObject(1, "dog", (2, 4, 8)), FoundObject(2, "cat", (4, 6))]
    once, again = (replay(objects, FRAMES, [twice] * times) for times in (1, 2))
    assert masks_of(once) == masks_of(again)
    assert once.off_screen == again.off_screen


def test_of_two_masks_as_near_the_earlier_is_held() -> None:
    (one,) = replay([FoundObject(1, "dog", (0, 8))], FRAMES, [Extend(1, 4, 4)]).objects
    assert one.masks == (((1, 0),), ((1, 0),), ((1, 8),))


def test_the_mask_that_is_held_is_that_of_all_that_was_merged() -> None:
    objects = [FoundObject(1, "dog", (4,)), FoundObject(2, "dog", (4,))]
    (one,) = replay(objects, FRAMES, [Merge(2, 1), Extend(1, 6, 6)]).objects
    assert one.masks == (((1, 4), (2, 4)),) * 2


@given(decisions_strategy())
def test_decisions_come_back_from_json(decisions: list[Decision]) -> None:
    stored = json.loads(json.dumps([decision_json(each) for each in decisions]))
    assert [decision_of(each) for each in stored] == decisions


def test_a_thousand_decisions_over_an_hour_of_frames_are_played() -> None:
    frames = range(108_000)
    objects = [FoundObject(1, "dog", tuple(frames)), FoundObject(2, "cat", tuple(frames[:50_000]))]
    ends = [(number * 100, number * 100 + 49) for number in range(500)]
    decisions = [
        each for first, last in ends for each in (Trim(1, first, last), Trim(2, first, last))
    ]
    one, _ = replay(objects, frames, [*decisions, Extend(1, 0, 107_999)]).objects
    assert one.frames == tuple(frames)
    assert len(set(one.masks)) == 108_000 - 500 * 50

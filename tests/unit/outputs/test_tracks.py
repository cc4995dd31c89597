"""What a run says of its objects: summed up, as a table, and as subtitles."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avscli.masks import encode_mask
from avscli.outputs.events_vtt import write_events
from avscli.outputs.journal import JournalEntry, JournalObject
from avscli.outputs.objects_csv import write_objects
from avscli.outputs.tracks import summed_objects, under_one_name
from avscli.results import HeardSound, ObjectSummary
from tests.run_folders import HOSTILE_NAMES

AREA = encode_mask(np.ones((2, 3), np.bool_))
NAMES = {1: "dog", 2: "person"}


def entry(number: int, *objects: tuple[int, int, float]) -> JournalEntry:
    """A frame, ten a second, with (track, category, category score)."""
    return JournalEntry(
        frame=number,
        pts=number,
        time_seconds=number / 10,
        state="sounding" if objects else "nothing_sounds",
        interpolated=False,
        score=0.5,
        audio_dbfs=-20.0,
        flags=("flicker",) if number == 3 else (),
        heard=(HeardSound("bark", 0.75), HeardSound("voice", 0.25)),
        objects=tuple(JournalObject(t, c, s, 0.5, AREA) for t, c, s in objects),
    )


def test_intervals_end_with_the_first_frame_that_does_not_show_the_object() -> None:
    frames = [
        *(entry(0, (1, 1, 0.9)), entry(1, (1, 1, 0.9)), entry(2), entry(3, (2, 2, 0.5))),
        *(entry(4, (1, 1, 0.6), (2, 2, 0.5)), entry(5, (1, 2, 0.9))),
    ]
    dog, person = summed_objects(frames, NAMES)
    assert (dog.category, dog.category_score) == ("dog", pytest.approx(0.8))
    assert dog.intervals == ((0.0, 0.2), (0.4, 0.6))
    assert (dog.first_seconds, dog.last_seconds) == (0.0, 0.6)
    assert dog.sounding_seconds == pytest.approx(0.4)
    assert (dog.heard, dog.mean_score, dog.mean_area, dog.flags) == ("bark", 0.5, 6.0, ())
    assert (person.category, person.intervals, person.flags) == (
        "person",
        ((0.3, 0.5),),
        ("flicker",),
    )


def test_a_category_that_is_decided_holds_whatever_the_frames_say() -> None:
    frames = [entry(0, (1, 1, 0.9), (2, 2, 0.8)), entry(1, (1, 2, 0.5))]
    one, two = summed_objects(frames, NAMES | {3: "cat"}, {1: 2, 2: 3})
    assert (one.category, one.category_score) == ("person", 0.5)  # of the frame that says so
    assert (two.category, two.category_score) == ("cat", 0.0)  # none does


def test_an_object_has_one_name_in_all_of_its_frames() -> None:
    frames = [entry(0, (1, 1, 0.9)), entry(1, (1, 2, 0.3), (2, 2, 0.8)), entry(2, (1, 1, 0.7))]
    named = list(under_one_name(frames, summed_objects(frames, NAMES)))
    said = [[(o.track_id, o.category_id, o.category_score) for o in each.objects] for each in named]
    assert said == [[(1, 1, 0.9)], [(1, 1, 0.0), (2, 2, 0.8)], [(1, 1, 0.7)]]


def test_a_run_without_objects_has_an_empty_table_and_no_cue(tmp_path: Path) -> None:
    assert summed_objects([entry(0)], NAMES) == ()
    write_objects(tmp_path / "objects.csv", ())
    write_events(tmp_path / "events.vtt", ())
    assert len((tmp_path / "objects.csv").read_text().splitlines()) == 1
    assert (tmp_path / "events.vtt").read_text() == "WEBVTT\n"


@pytest.fixture
def dog() -> ObjectSummary:
    return summed_objects([entry(0, (1, 1, 0.9)), entry(1)], NAMES)[0]


@pytest.mark.parametrize("name", [*HOSTILE_NAMES, "=1+1", "a --> b"])
def test_hostile_names_harm_neither_table_nor_cues(
    tmp_path: Path, dog: ObjectSummary, name: str
) -> None:
    named = replace(dog, category=name, heard=name)
    write_objects(tmp_path / "objects.csv", [named])
    write_events(tmp_path / "events.vtt", [named])
    lines = (tmp_path / "objects.csv").read_text().splitlines()
    [row] = csv.DictReader(lines)
    assert len(lines) == 2
    assert row["class"].lstrip("'") == " ".join(name.split()).lstrip("'")
    assert not row["class"].startswith("=")
    header, blank, times, text = (tmp_path / "events.vtt").read_text().splitlines()
    assert (header, blank, times) == ("WEBVTT", "", "00:00:00.000 --> 00:00:00.100")
    assert not re.search(r"[<>]", text)


def test_cues_come_in_time_order_and_none_before_zero(tmp_path: Path, dog: ObjectSummary) -> None:
    early = replace(dog, intervals=((-2.0, -1.0), (-0.5, 0.25), (3723.4567, 3724.0)))
    late = replace(dog, track_id=2, intervals=((1.0, 2.0),))
    write_events(tmp_path / "events.vtt", [early, late])
    assert re.findall(r"\S+ --> \S+\n.*", (tmp_path / "events.vtt").read_text()) == [
        "00:00:00.000 --> 00:00:00.250\ndog 1",
        "00:00:01.000 --> 00:00:02.000\ndog 2",
        "01:02:03.457 --> 01:02:04.000\ndog 1",
    ]

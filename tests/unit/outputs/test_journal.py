"""What the journal holds, and what is left of it after a crash."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from avscli.errors import DataError, OutputError
from avscli.masks import decode_mask, encode_classes
from avscli.outputs.disk import FLUSH_EVERY_LINES
from avscli.outputs.journal import (
    JOURNAL_NAME,
    JournalEntry,
    JournalSink,
    count_frames,
    encoded_objects,
    read_journal,
)
from avscli.results import FramePrediction
from tests.unit.outputs.drawn import SIZE_HW, blob, make_prediction


def write_journal(folder: Path, *predictions: FramePrediction) -> Path:
    with JournalSink(folder) as sink:
        for prediction in predictions:
            sink.write(prediction)
    return folder / JOURNAL_NAME


def test_every_source_frame_is_one_line_of_the_documented_form(tmp_path: Path) -> None:
    path = write_journal(tmp_path, make_prediction(3, blob(0), flags=("flicker",)))
    [line] = path.read_text().splitlines()
    mask = encode_classes(blob(0))[1]
    assert json.loads(line) == {
        "v": 2,
        "frame": 3,
        "pts": 1536,
        "time": 0.1,
        "state": "sounding",
        "interpolated": False,
        "score": 0.875,
        "audio_dbfs": -23.12,
        "flags": ["flicker"],
        "heard": [{"name": "Speech", "probability": 0.9375}],
        "objects": [
            {
                "track_id": 1,
                "category_id": 1,
                "category_score": 1.0,
                "score": 0.875,
                "segmentation": {"size": list(SIZE_HW), "counts": mask.counts},
                "bbox": list(mask.bbox),
                "area": int((blob(0) > 0).sum()),
            }
        ],
    }


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    two_classes = np.maximum(blob(1, label=2), blob(2, label=70))
    predictions = [
        make_prediction(0, two_classes),
        make_prediction(1, state="nothing_sounds"),
        make_prediction(2, state="silent", audio_dbfs=-math.inf, flags=("silent",)),
    ]
    entries = list(read_journal(write_journal(tmp_path, *predictions)))
    assert entries == [JournalEntry.of(p, encoded_objects(p)) for p in predictions]
    assert [e.state for e in entries] == ["sounding", "nothing_sounds", "silent"]
    assert entries[2].audio_dbfs is None
    for each in entries[0].objects:
        mask = decode_mask(each.mask.size_hw, each.mask.counts)
        np.testing.assert_array_equal(mask, two_classes == each.category_id)


def test_held_frames_repeat_the_mask_under_their_own_stamp(tmp_path: Path) -> None:
    labels = blob(5)
    held = [make_prediction(i, labels, interpolated=i > 0) for i in range(3)]
    entries = list(read_journal(write_journal(tmp_path, *held, make_prediction(3))))
    assert [(e.frame, e.interpolated) for e in entries[:3]] == [(0, False), (1, True), (2, True)]
    assert entries[0].objects == entries[2].objects != ()
    assert entries[3].objects == ()


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_torn_last_line_is_dropped(tmp_path: Path, cut: int) -> None:
    path = write_journal(tmp_path, *[make_prediction(i, blob(i)) for i in range(3)])
    path.write_bytes(path.read_bytes()[:-cut])
    assert [e.frame for e in read_journal(path)] == [0, 1]
    assert count_frames(path) == 2


def test_lines_reach_the_disk_while_the_journal_is_open(tmp_path: Path) -> None:
    with JournalSink(tmp_path) as sink:
        for index in range(FLUSH_EVERY_LINES + 1):
            sink.write(make_prediction(index))
        assert count_frames(tmp_path / JOURNAL_NAME) == FLUSH_EVERY_LINES


@pytest.mark.parametrize(
    "line", ["{}", "[]", "null", '{"v":2}', "{'v':2}", '{"v":1,"frame":0}', "\x00\xff"]
)
def test_a_damaged_line_names_its_place(tmp_path: Path, line: str) -> None:
    path = write_journal(tmp_path, make_prediction(0))
    path.write_bytes(path.read_bytes() + line.encode("latin-1") + b"\n")
    with pytest.raises(DataError, match=r"frames\.jsonl line 2 is not a journal entry"):
        list(read_journal(path))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"frame": "0"}, "frame is '0'"),
        ({"time": None}, "time is None"),
        ({"flags": 3}, "flags is 3"),
        ({"state": "loud"}, "state is 'loud'"),
        ({"objects": [{"category_id": 1}]}, r"objects\[0\] lacks"),
        ({"objects": {"category_id": 1}}, "objects is"),
        ({"heard": [{"name": "Speech"}]}, r"heard\[0\] lacks"),
        ({"v": 3}, "version 3, this program reads up to 2"),
        ({"v": "2"}, "v is '2'"),
        ({"score": 10**400}, "score is 1000"),
    ],
)
def test_a_field_of_another_type_is_named(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    path = write_journal(tmp_path, make_prediction(0))
    path.write_text(json.dumps(json.loads(path.read_text()) | change) + "\n")
    with pytest.raises(DataError, match=rf"frames\.jsonl line 1 is not a journal entry: {says}"):
        list(read_journal(path))


def test_lines_of_the_first_version_have_objects_that_nothing_followed(tmp_path: Path) -> None:
    path = write_journal(tmp_path, make_prediction(0, blob(0)))
    line = json.loads(path.read_text())
    [mask] = ({k: v for k, v in each.items() if "score" not in k} for each in line["objects"])
    del line["objects"], line["heard"], mask["track_id"]
    path.write_text(json.dumps(line | {"v": 1, "anns": [mask]}) + "\n")
    [entry] = read_journal(path)
    [found] = entry.objects
    assert (found.track_id, found.category_id, found.category_score) == (None, 1, None)
    assert (found.score, found.track, entry.heard) == (0.875, 1, ())
    np.testing.assert_array_equal(decode_mask(SIZE_HW, found.mask.counts), blob(0) > 0)


def test_what_a_later_version_may_add_to_a_line_is_left_out(tmp_path: Path) -> None:
    path = write_journal(tmp_path, make_prediction(0))
    expected = list(read_journal(path))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"more": 1}) + "\n")
    assert list(read_journal(path)) == expected


def test_a_missing_journal_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        next(read_journal(tmp_path / JOURNAL_NAME))


def test_a_folder_that_is_gone_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"), JournalSink(tmp_path / "gone"):
        pytest.fail("must not open")

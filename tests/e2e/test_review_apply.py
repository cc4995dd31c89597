"""``avs review --apply``: the corrected run, read back with the plainest tools at hand."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools.coco import COCO

import avscli
from avscli.review.apply import ApplyOptions, apply_review
from tests.conftest import Avs, Outcome
from tests.e2e.results import decoded, frame_times, pictures, require_refusal
from tests.e2e.test_process import AVS, PATIENCE_SECONDS, wait_until
from tests.e2e.test_refusals import small_disk
from tests.reviewed_runs import (
    ANALYSED,
    EVERY,
    NUM_FRAMES,
    do,
    mask_of,
    review_of,
    sha256,
    shown,
    write_reviewed_run,
)
from tests.run_folders import scene, write_run

Shown = dict[int, dict[int, NDArray[np.bool_]]]
"""Masks by analysed frame and track."""
Review = Callable[..., Outcome]
FILES = [
    *("confidence.csv", "events.vtt", "frames.jsonl", "masks.coco.json", "objects.csv", "run.json"),
]
FOUND: Shown = {frame: shown(frame) for frame in ANALYSED}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_reviewed_run(tmp_path)


@pytest.fixture
def corrected(run: Path) -> Path:
    return run.with_name("clip.mp4-reviewed")


@pytest.fixture
def review(avs: Avs, run: Path, tmp_path: Path) -> Review:
    """Return a function that decides, and applies it."""

    def call(*decisions: dict[str, Any], options: tuple[object, ...] = ()) -> Outcome:
        path = tmp_path / "review.json"
        path.write_text(json.dumps(review_of(run, *decisions)))
        return avs("review", run, "--apply", path, "-q", *options)

    return call


def entries_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "frames.jsonl").read_text().splitlines()]


def record_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def rows_of(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def require_masks(folder: Path, expected: Shown) -> None:
    """Compare every mask of the journal, and of COCO, pixel by pixel; held frames hold theirs."""
    entries = entries_of(folder)
    assert [entry["frame"] for entry in entries] == list(range(NUM_FRAMES))
    for entry in entries:
        of_frame = expected[entry["frame"] - entry["frame"] % EVERY]
        found = {each["track_id"]: each for each in entry["objects"]}
        assert len(found) == len(entry["objects"])
        require_same(
            {track: decoded(each["segmentation"]) for track, each in found.items()}, of_frame
        )
        for track, each in found.items():
            rows, columns = np.nonzero(of_frame[track])
            assert each["area"] == len(rows)
            assert each["bbox"][:2] == [columns.min(), rows.min()]
        assert (entry["state"] == "sounding") == bool(of_frame)
    coco = json.loads((folder / "masks.coco.json").read_text())
    by_image: Shown = {image["frame_id"]: {} for image in coco["images"]}
    frame_of = {image["id"]: image["frame_id"] for image in coco["images"]}
    for each in coco["annotations"]:
        mask = decoded(each["segmentation"])
        by_image[frame_of[each["image_id"]]][each["track_id"]] = mask
    assert by_image.keys() == expected.keys()
    for frame, masks in by_image.items():
        require_same(masks, expected[frame])


def require_same(
    found: dict[int, NDArray[np.bool_]], expected: dict[int, NDArray[np.bool_]]
) -> None:
    assert found.keys() == expected.keys()
    for track, mask in found.items():
        np.testing.assert_array_equal(mask, expected[track])


def changed(**frames: dict[int, NDArray[np.bool_]]) -> Shown:
    """The masks as found, but for these frames: ``f3={…}``."""
    return FOUND | {int(name[1:]): masks for name, masks in frames.items()}


A, B, C = (lambda frame, track=track: mask_of(track, frame) for track in (1, 2, 3))
DECIDED = {
    "nothing": ([], FOUND),
    "accept": ([do("accept", object=1)], FOUND),
    "reject": (
        [do("reject", object=1)],
        {frame: {t: m for t, m in masks.items() if t != 1} for frame, masks in FOUND.items()},
    ),
    "trim": (
        [do("trim", object=1, first_frame=3, last_frame=6)],
        changed(f3={}, f6={2: B(6)}),
    ),
    "extend": (
        [do("extend", object=2, first_frame=0, last_frame=18)],
        changed(
            f0={1: A(0), 2: B(6)},
            f3={1: A(3), 2: B(6)},
            f15={2: B(12), 3: C(15)},
            f18={2: B(12)},
        ),
    ),
    "rename": ([do("rename", object=3, name="wolf")], FOUND),
    "rename some frames": (
        [do("rename", object=1, name="wolf", first_frame=3, last_frame=6, new_object=9)],
        changed(f3={9: A(3)}, f6={9: A(6), 2: B(6)}),
    ),
    "merge": (
        [do("merge", object=2, into=1)],
        changed(f6={1: A(6) | B(6)}, f9={1: A(9) | B(9)}, f12={1: B(12)}),
    ),
    "split": (
        [do("split", object=1, first_frame=6, new_object=4)],
        changed(f6={4: A(6), 2: B(6)}, f9={4: A(9), 2: B(9)}),
    ),
    "off-screen": (
        [do("off_screen", first_frame=6, last_frame=9)],
        changed(f6={}, f9={}),
    ),
    "all at once": (
        [
            do("accept", object=3),
            do("merge", object=2, into=1),
            do("extend", object=1, first_frame=15, last_frame=18),
            do("split", object=1, first_frame=15, new_object=4),
            do("trim", object=4, first_frame=18, last_frame=18),
            do("rename", object=1, name="choir"),
            do("off_screen", first_frame=0, last_frame=0),
        ],
        {
            0: {},
            3: {1: A(3)},
            6: {1: A(6) | B(6)},
            9: {1: A(9) | B(9)},
            12: {1: B(12)},
            15: {4: B(12), 3: C(15)},
            18: {},
        },
    ),
}


@pytest.mark.parametrize("what", DECIDED)
def test_every_decision_leaves_the_masks_it_should(
    what: str, review: Review, run: Path, corrected: Path
) -> None:
    decisions, expected = DECIDED[what]
    before = contents(run)
    outcome = review(*decisions)
    assert (outcome.code, outcome.out.strip(), outcome.err) == (0, str(corrected), "")
    assert contents(run) == before
    assert sorted(path.name for path in corrected.iterdir()) == FILES
    assert sorted(path.name for path in run.parent.iterdir()) == [run.name, corrected.name]
    require_masks(corrected, expected)
    record = record_of(corrected)
    assert record["files"] == FILES
    assert record["output"] == str(corrected)
    assert record["num_frames"] == NUM_FRAMES
    entries = entries_of(corrected)
    scores, states = ([entry[name] for entry in entries] for name in ("score", "state"))
    assert record["mean_score"] == pytest.approx(np.mean(scores), abs=1e-6)
    assert record["sounding_share"] == states.count("sounding") / NUM_FRAMES
    # The tables tell of the same objects as the journal.
    tracks = sorted({track for masks in expected.values() for track in masks})
    assert [int(row["track_id"]) for row in rows_of(corrected, "objects.csv")] == tracks
    assert [each["track_id"] for each in record["objects"]] == tracks
    told = (corrected / "events.vtt").read_text()
    assert {int(n) for n in re.findall(r"^\w+ (\d+)$", told, re.MULTILINE)} == set(tracks)
    opened = avscli.Run.open(corrected)
    assert {each.track_id for each in opened.objects} == set(tracks)
    for frame in opened.frames():
        require_same(
            {each.track: each.mask.pixels for each in frame.objects},
            expected[frame.frame - frame.frame % EVERY],
        )


def test_where_nothing_is_decided_every_line_and_number_is_as_it_was(
    review: Review, run: Path, corrected: Path
) -> None:
    assert review(do("accept", object=1)).code == 0
    before, after = contents(run), contents(corrected)
    for name in ("frames.jsonl", "confidence.csv", "objects.csv", "events.vtt"):
        assert after[name] == before[name]
    old, new = (json.loads(each["masks.coco.json"]) for each in (before, after))
    assert new["info"]["avs"].pop("review_sha256") == sha256(run.parents[1] / "review.json")
    for each in (old, new):
        del each["info"]["avs"]["run_id"], each["info"]["avs"]["options_sha256"]
        del each["info"]["avs"]["checkpoint_sha256"], each["info"]["date_created"]
    assert old == new
    old, new = record_of(run), record_of(corrected)
    different = {name for name in old if old[name] != new[name]}
    assert different == {"schema_version", "run_id", "output", "review"}


def test_frames_that_do_not_change_keep_their_lines_and_rows(
    review: Review, run: Path, corrected: Path
) -> None:
    assert review(do("trim", object=1, first_frame=9, last_frame=9)).code == 0
    old, new = ((f / "frames.jsonl").read_text().splitlines() for f in (run, corrected))
    assert [n for n in range(NUM_FRAMES) if old[n] != new[n]] == [9, 10, 11]
    before, after = (rows_of(folder, "confidence.csv") for folder in (run, corrected))
    pairs = enumerate(zip(before, after, strict=True))
    differing = {n: [name for name in b if b[name] != a[name]] for n, (b, a) in pairs}
    of_mask = ["score", "area_share", "num_components", "mean_probability", "temporal_iou"]
    assert {n: names for n, names in differing.items() if names} == {
        **dict.fromkeys((9, 10, 11), of_mask),
        **dict.fromkeys((12, 13, 14), of_mask[-1:]),  # what it was compared with is another
    }
    assert float(after[9]["area_share"]) == pytest.approx(mask_of(2, 9).mean(), abs=1e-6)
    assert [after[9][name] for name in of_mask[2:]] == ["", "", ""]
    assert float(after[9]["score"]) == entries_of(corrected)[9]["score"] == 0.75  # of object 2


def test_a_frame_that_a_reviewer_empties_is_certain_and_one_held_is_flagged(
    review: Review, corrected: Path
) -> None:
    made = review(
        do("off_screen", first_frame=0, last_frame=3),
        do("extend", object=3, first_frame=18, last_frame=18),
    )
    assert made.code == 0
    entries = entries_of(corrected)
    for entry in entries[:6]:
        assert (entry["state"], entry["score"]) == ("nothing_sounds", 1.0)
        assert entry["flags"] == ["off_screen"]
    assert [entry["flags"] for entry in entries[6:18]] == [[]] * 12
    assert [entry["flags"] for entry in entries[18:]] == [["held_by_reviewer"]] * 2
    assert entries[18]["objects"][0]["score"] == entries[15]["objects"][0]["score"]
    assert rows_of(corrected, "confidence.csv")[18]["flags"] == "held_by_reviewer"
    assert record_of(corrected)["review"]["off_screen"] == [[0, 3]]


def test_names_of_the_reviewer_hold_everywhere_and_new_ones_count_on(
    review: Review, corrected: Path
) -> None:
    hostile = "</script> & 'wölf'"
    made = review(do("rename", object=1, name=hostile), do("rename", object=2, name="dog"))
    assert made.code == 0
    run = avscli.Run.open(corrected)
    assert run.categories == {1: "dog", 2: "person", 3: hostile}
    assert [(each.category, each.category_score) for each in run.objects] == [
        (hostile, 1.0),
        ("dog", 1.0),
        ("dog", 0.75),
    ]
    assert {row["class"] for row in run.rows() if row["track_id"] == 1} == {hostile}
    coco = COCO(str(corrected / "masks.coco.json"))
    assert {c["id"]: c["name"] for c in coco.cats.values()} == run.categories
    assert {a["category_id"] for a in coco.anns.values() if a["track_id"] == 1} == {3}
    assert "&lt;/script&gt; &amp; 'wölf' 1" in (corrected / "events.vtt").read_text("utf-8")
    # What a frame took an object for stays where nobody named it.
    assert avscli.Run.open(corrected).record.checkpoint.spec.categories == {1: "dog", 2: "person"}


def test_the_class_of_an_object_stays_though_the_frames_that_say_so_go(
    review: Review, corrected: Path
) -> None:
    # Frame 3 took object 1 for a person; all others go.
    made = review(
        do("trim", object=1, first_frame=0, last_frame=0),
        do("trim", object=1, first_frame=6, last_frame=18),
    )
    assert made.code == 0
    one = next(each for each in avscli.Run.open(corrected).objects if each.track_id == 1)
    assert (one.category, one.category_score) == ("dog", 0.0)
    assert entries_of(corrected)[3]["objects"][0]["category_id"] == 2  # what the frame said
    assert {row["class"] for row in rows_of(corrected, "objects.csv")} == {"dog", "person"}


def test_the_record_says_who_decided_what(review: Review, run: Path, corrected: Path) -> None:
    decisions = DECIDED["all at once"][0]
    assert review(*decisions).code == 0
    told = record_of(corrected)["review"]
    assert told["review_sha256"] == sha256(run.parents[1] / "review.json")
    assert told["journal_sha256"] == sha256(run / "frames.jsonl")
    assert told["run_id"] == record_of(run)["run_id"] != record_of(corrected)["run_id"]
    assert told["decisions"] == decisions
    assert told["tool"] == {"name": "avs", "version": avscli.__version__}
    names = ("track_id", "state", "decided_by", "decisions")
    assert [tuple(each[name] for name in names) for each in told["objects"]] == [
        (1, "undecided", "reviewer", [2, 3, 4, 6, 7]),
        (3, "accepted", "reviewer", [1]),
        (4, "undecided", "reviewer", [2, 3, 4, 5]),
    ]
    assert review(do("reject", object=2), options=("--overwrite",)).code == 0
    assert [
        (each["track_id"], each["state"], each["decided_by"])
        for each in record_of(corrected)["review"]["objects"]
    ] == [
        (1, "undecided", "network"),
        (2, "rejected", "reviewer"),
        (3, "undecided", "network"),
    ]


def test_the_same_review_gives_the_same_bytes(
    review: Review, corrected: Path, tmp_path: Path
) -> None:
    decisions = DECIDED["all at once"][0]
    assert review(*decisions, options=("--overlay",)).code == 0
    once = contents(corrected)
    assert review(*decisions, options=("--overlay", "--overwrite")).code == 0
    assert contents(corrected) == once
    elsewhere = tmp_path / "elsewhere"
    assert review(*decisions, options=("--overlay", "-o", elsewhere)).code == 0
    again = contents(elsewhere)
    # The record says where it lies.
    again["run.json"] = again["run.json"].replace(str(elsewhere).encode(), str(corrected).encode())
    assert again == once


def test_the_overlay_shows_the_corrected_masks_in_the_sources_time(
    review: Review, run: Path, corrected: Path, tmp_path: Path
) -> None:
    assert review(do("reject", object=1), options=("--overlay",)).code == 0
    assert record_of(corrected)["overlay_offset_seconds"] == 0.0
    assert "overlay.mp4" in record_of(corrected)["files"]
    overlay, source = corrected / "overlay.mp4", tmp_path / "clip.mp4"
    assert frame_times(overlay) == frame_times(source)
    drawn, plain = pictures(overlay)[9].astype(int), pictures(source)[9].astype(int)
    difference = np.abs(drawn - plain).sum(axis=-1)
    inside = mask_of(2, 9)
    assert difference[inside].mean() > 60
    below = np.s_[44:, :]  # rows of no object, and of no label
    assert difference[below].mean() < 12
    rejected = mask_of(1, 9).copy()
    rejected[:, 20:] = False  # a label may lie further right
    assert difference[rejected & (plain.sum(axis=-1) > 0)].mean() < difference[inside].mean() / 2


@pytest.mark.parametrize("what", ["gone", "another"])
def test_an_overlay_needs_the_video_and_nothing_else_does(
    what: str, review: Review, run: Path, corrected: Path, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.unlink() if what == "gone" else clip.write_bytes(b"another")
    told = "is not there" if what == "gone" else "is not the video that was segmented"
    assert told in require_refusal(review(options=("--overlay",)), 3)
    assert not corrected.exists()
    assert review().code == 0
    assert not (corrected / "overlay.mp4").exists()


def test_it_writes_what_the_run_had(review: Review, run: Path, corrected: Path) -> None:
    for name in ("confidence.csv", "masks.coco.json", "objects.csv"):
        (run / name).unlink()
    assert review(do("reject", object=1)).code == 0
    assert sorted(contents(corrected)) == ["events.vtt", "frames.jsonl", "objects.csv", "run.json"]


@pytest.mark.parametrize("damage", ["", "a,b\n1,2\n", "half"])
def test_a_table_that_cannot_be_corrected_does_not_cost_the_masks(
    damage: str, review: Review, run: Path, corrected: Path
) -> None:
    table = run / "confidence.csv"
    table.write_text(table.read_text()[:700] if damage == "half" else damage)
    outcome = review(do("reject", object=1))
    assert outcome.code == 11
    assert "warning: clip.mp4: no csv, the rest is whole: " in outcome.err
    assert sorted(contents(corrected)) == [each for each in FILES if each != "confidence.csv"]
    assert list(record_of(corrected)["failed_outputs"]) == ["csv"]


# Other commands


def test_a_corrected_run_is_exported_as_any_run(
    avs: Avs, review: Review, corrected: Path, tmp_path: Path
) -> None:
    decisions, expected = DECIDED["all at once"]
    assert review(*decisions).code == 0
    done = avs("export", corrected, "--to", "ytvis", "-o", tmp_path / "ytvis", "-q")
    assert done.code == 0, done.err
    made = json.loads((tmp_path / "ytvis" / "instances.json").read_text())
    names = {each["id"]: each["name"] for each in made["categories"]}
    tracks = {each["track_id"]: each for each in made["annotations"]}
    assert {t: names[each["category_id"]] for t, each in tracks.items()} == {
        1: "choir",
        3: "dog",
        4: "dog",
    }
    for track, each in tracks.items():
        frames = zip(ANALYSED, each["segmentations"], strict=True)
        assert [frame for frame, rle in frames if rle is not None] == [
            frame for frame in ANALYSED if track in expected[frame]
        ]
    done = avs("export", corrected, "--to", "coco-polygons", "-o", tmp_path / "coco", "-q")
    assert done.code == 0, done.err
    coco = COCO(str(tmp_path / "coco" / "masks.coco.json"))
    frame_of = {image["id"]: image["frame_id"] for image in coco.imgs.values()}
    for annotation in coco.anns.values():
        there = expected[frame_of[annotation["image_id"]]][annotation["track_id"]]
        assert annotation["area"] == there.sum()
    done = avs("export", corrected.parent, "--to", "coco-polygons", "-o", tmp_path / "both", "-q")
    assert done.code == 3  # the classes of the two differ, and it says so
    assert "other classes" in done.err


def test_a_corrected_run_is_scored_as_any_run(
    avs: Avs, review: Review, run: Path, corrected: Path, tmp_path: Path
) -> None:
    # What is true: no object 1 from frame 6 on.
    truth = tmp_path / "truth"
    assert (
        review(do("trim", object=1, first_frame=6, last_frame=9), options=("-o", truth)).code == 0
    )
    assert (
        review(do("split", object=1, first_frame=6, new_object=4), do("reject", object=4)).code == 0
    )

    def mean_iou(predicted: Path, name: str) -> float:
        done = avs("eval", "--pred", predicted, "--gt", truth, "-o", tmp_path / name, "--json")
        assert done.code == 0, done.err
        return json.loads(done.out)["protocols"]["avs"]["scores"]["mean_iou"]["value"]

    assert mean_iou(run, "before") < 0.9
    assert mean_iou(corrected, "after") == 1.0


def test_a_corrected_run_can_be_reviewed_again_and_tells_of_both(
    avs: Avs, review: Review, corrected: Path, tmp_path: Path
) -> None:
    first = [do("rename", object=1, name="wolf"), do("off_screen", first_frame=0, last_frame=0)]
    assert review(*first).code == 0
    second = tmp_path / "second.json"
    again = [
        do("extend", object=1, first_frame=0, last_frame=0),
        do("rename", object=3, name="fox"),
    ]
    second.write_text(json.dumps(review_of(corrected, *again)))
    assert avs("review", corrected, "--apply", second, "-q").code == 0
    final = corrected.with_name("clip.mp4-reviewed-reviewed")
    require_masks(final, changed(f0={1: mask_of(1, 3)}))
    assert entries_of(final)[0]["flags"] == ["held_by_reviewer"]
    run = avscli.Run.open(final)
    assert run.categories == {1: "dog", 2: "person", 3: "wolf", 4: "fox"}
    assert [each.category for each in run.objects] == ["wolf", "person", "fox"]
    told = record_of(final)["review"]
    assert told["decisions"] == again
    assert told["earlier"]["decisions"] == first
    assert [each["decided_by"] for each in told["objects"]] == ["reviewer", "network", "reviewer"]


def test_a_run_of_the_first_version_is_corrected(avs: Avs, tmp_path: Path) -> None:
    run = tmp_path / "clip.mp4"
    shutil.copytree(Path(__file__).parents[1] / "data" / "version1" / "clip.mp4", run)
    old = avscli.Run.open(run)
    analysed = [each.frame for each in old.frames() if not each.interpolated and each.objects]
    one = old.objects[0]
    cut = do("split", object=one.track_id, first_frame=analysed[1], new_object=50)
    path = tmp_path / "review.json"
    path.write_text(json.dumps(review_of(run, cut)))
    outcome = avs("review", run, "--apply", path, "-q")
    assert outcome.code == 0, outcome.err
    new = avscli.Run.open(tmp_path / "clip.mp4-reviewed")
    assert {each.track_id for each in new.objects} == {
        50,
        *(each.track_id for each in old.objects),
    }
    for before, after in zip(old.frames(), new.frames(), strict=True):
        assert [each.mask for each in before.objects] == [each.mask for each in after.objects]


# Refusals


def test_it_is_refused_on_the_run_that_it_made(avs: Avs, review: Review, corrected: Path) -> None:
    assert review(do("reject", object=1)).code == 0
    path = corrected.parents[1] / "review.json"
    outcome = avs("review", corrected, "--apply", path, "-q")
    assert require_refusal(outcome, 3) == f"error: {corrected} is what {path} has made already"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": 2}, "is of version 2, this program reads 1"),
        ({"format": "coco"}, 'does not say "format": "avs-review"'),
        ({"decisions": [do("reject", object=7)]}, "decision 1 (reject): there is no object 7"),
        ({"decisions": [do("trim", object=1, first_frame=3, last_frame=4)]}, "frame 4 is none"),
        ({"decisions": [do("reject", object=[1])]}, "decision 1: object is [1]"),
        ({"decisions": "all"}, "decisions is 'all'"),
    ],
)
def test_what_does_not_fit_is_told(
    changes: dict[str, Any], told: str, avs: Avs, run: Path, corrected: Path, tmp_path: Path
) -> None:
    path = tmp_path / "review.json"
    path.write_text(json.dumps(review_of(run, **changes)))
    assert told in require_refusal(avs("review", run, "--apply", path, "-q"), 3)
    assert not corrected.exists()


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("journal_sha256", "another run of the same video, or the run has changed since"),
        ("source_sha256", "names another video"),
        ("both", "another video, 'clip.mp4'"),
    ],
)
def test_a_review_of_another_run_is_refused(
    field: str, told: str, avs: Avs, run: Path, corrected: Path, tmp_path: Path
) -> None:
    review = review_of(run)
    names = ("journal_sha256", "source_sha256") if field == "both" else (field,)
    review["run"] |= dict.fromkeys(names, "0" * 64)
    path = tmp_path / "review.json"
    path.write_text(json.dumps(review))
    assert told in require_refusal(avs("review", run, "--apply", path, "-q"), 3)
    assert not corrected.exists()


def test_a_journal_that_was_edited_is_no_longer_the_one_that_was_reviewed(
    avs: Avs, run: Path, tmp_path: Path
) -> None:
    path = tmp_path / "review.json"
    path.write_text(json.dumps(review_of(run)))
    with (run / "frames.jsonl").open("a") as journal:
        journal.write("\n")
    assert "changed since" in require_refusal(avs("review", run, "--apply", path, "-q"), 3)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda lines: [*lines[3:], *lines[:3]], "comes too late"),
        (lambda lines: lines[1:], "holds the mask of none before it"),
        (lambda lines: lines[:-1], "has 19 frames of 20"),
        (lambda lines: [*lines[:-1], "{}"], "is not a journal entry"),
        (lambda lines: [line.replace("[48,64]", "[8,8]") for line in lines], "a mask of (8, 8)"),
    ],
)
def test_a_damaged_journal_is_named(
    edit: Callable[[list[str]], list[str]], told: str, review: Review, run: Path, corrected: Path
) -> None:
    journal = run / "frames.jsonl"
    journal.write_text("\n".join(edit(journal.read_text().splitlines())) + "\n")
    outcome = review(do("merge", object=2, into=1))
    assert told in require_refusal(outcome, 3)
    assert not corrected.exists()


def test_outputs_that_would_cost_something_are_refused(
    review: Review, run: Path, corrected: Path, tmp_path: Path
) -> None:
    before = contents(run)
    for output in (run, run / "reviewed"):
        told = require_refusal(review(options=("-o", output, "--overwrite")), 7)
        assert "lies in the run that was reviewed" in told
    assert "would replace the input" in require_refusal(review(options=("-o", run.parent)), 7)
    assert review().code == 0
    assert "exists already" in require_refusal(review(do("reject", object=1)), 7)
    require_masks(corrected, FOUND)
    assert review(do("reject", object=3), options=("--overwrite",)).code == 0
    (tmp_path / "mine").mkdir()
    told = require_refusal(review(options=("-o", tmp_path / "mine", "--overwrite")), 7)
    assert "is not the folder of an earlier run" in told
    assert contents(run) == before


def test_a_folder_that_holds_runs_is_none(avs: Avs, run: Path, tmp_path: Path) -> None:
    path = tmp_path / "review.json"
    path.write_text(json.dumps(review_of(run)))
    told = require_refusal(avs("review", run.parent, "--apply", path, "-q"), 3)
    assert "is not the folder of a run" in told


# Ends before its time


def test_an_interrupted_correction_leaves_nothing(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "review.json"
    path.write_text(json.dumps(review_of(run, do("reject", object=1))))

    def interrupt(done: int, _of: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_review(path, run, None, ApplyOptions(), pytest.fail, interrupt)
    assert sorted(each.name for each in run.parent.iterdir()) == [run.name]


@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_leaves_nothing(tmp_path: Path, number: int, code: int) -> None:
    run = write_run(tmp_path / "runs" / "long.mp4", scene(6000))
    path = tmp_path / "review.json"
    path.write_text(json.dumps(review_of(run, do("reject", object=1))))
    begun = tmp_path / "runs" / "long.mp4-reviewed.partial" / "frames.jsonl"
    command = [*AVS, "review", str(run), "--apply", str(path), "-q"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until(lambda: begun.exists() or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, out) == (code, b"")
    assert b"Traceback" not in err
    assert [each.name for each in run.parent.iterdir()] == [run.name]


@pytest.mark.parametrize("size", ["4k", "12k", "20k"])
def test_a_full_disk_leaves_nothing(review: Review, tmp_path: Path, size: str) -> None:
    with small_disk(tmp_path / "disk", f"size={size}") as disk:
        outcome = review(do("reject", object=1), options=("-o", disk / "out"))
        assert "No space left on device" in require_refusal(outcome, 7)
        assert list(disk.iterdir()) == []


# With the network that is shipped


@pytest.mark.weights
def test_a_run_of_the_shipped_weights_is_corrected(avs: Avs, tmp_path: Path) -> None:
    done = avs("demo", "-o", tmp_path, "--seconds", 2, "-q")
    assert done.code == 0, done.err
    folder = tmp_path / "avs_out" / "scene.mp4"
    old = avscli.Run.open(folder)
    analysed = [each for each in old.frames() if not each.interpolated]
    assert old.objects
    first = old.objects[0].track_id
    decisions = [
        *(do("reject", object=each.track_id) for each in old.objects[1:]),
        do("rename", object=first, name="what I hear"),
        do("extend", object=first, first_frame=analysed[0].frame, last_frame=analysed[-1].frame),
    ]
    path = tmp_path / "review.json"
    path.write_text(json.dumps(review_of(folder, *decisions)))
    done = avs("review", folder, "--apply", path, "-q", "--overlay")
    assert done.code == 0, done.err
    new = avscli.Run.open(folder.with_name("scene.mp4-reviewed"))
    (one,) = new.objects
    assert (one.track_id, one.category, one.category_score) == (first, "what I hear", 1.0)
    assert all([each.track for each in entry.objects] == [first] for entry in new.frames())
    for before, after in zip(old.frames(), new.frames(), strict=True):
        kept = [each.mask for each in before.objects if each.track == first]
        assert kept in ([], [each.mask for each in after.objects])
    assert frame_times(new.folder / "overlay.mp4") == frame_times(tmp_path / "scene.mp4")

"""Seconds of a video are judged by the right frames, and their sums are those done by hand."""

from pathlib import Path

import numpy as np
import pytest

from avscli.datasets.labelled_video import LabelledSecond, LabelledVideo
from avscli.errors import DataError
from avscli.evaluation.rows import ratio
from avscli.evaluation.video.protocol import ClipsProtocol
from avscli.evaluation.video.rows import VideoRow
from avscli.evaluation.video.seconds import JudgedSecond, SeenFrame, judged_seconds
from avscli.metrics.bootstrap import interval
from tests.miniatures import write_picture

SIZE_HW = (10, 20)  # two pixels are 1 %


def marks(columns: int) -> np.ndarray:
    """Mark the left columns: each is 5 % of the frame."""
    label_map = np.zeros(SIZE_HW, np.uint8)
    label_map[:, :columns] = 1
    return label_map


def frames(*columns: int, fps: float = 4.0) -> list[SeenFrame]:
    """One frame after the other, with so many columns marked."""
    return [SeenFrame(k / fps, k, (marks(count),)) for k, count in enumerate(columns)]


def judged(seen: list[SeenFrame], *labels: LabelledSecond) -> list[JudgedSecond]:
    video = LabelledVideo("a", Path("a.mp4"), labels)
    return [of_way for (of_way,) in judged_seconds(seen, video)]


def visible(second: int, mask: Path | None = None, *classes: str) -> LabelledSecond:
    return LabelledSecond(second, "visible", classes or ("person",), mask)


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """The truth: ten columns."""
    write_picture(tmp_path / "mask.png", marks(10) * 255)
    return tmp_path / "mask.png"


def test_the_mask_is_compared_with_the_frame_nearest_to_the_middle(mask: Path) -> None:
    # frames at 0, 0.25, 0.5, 0.75; the mask is of 0.5
    (second,) = judged(frames(1, 2, 8, 20), visible(0, mask))
    assert second.overlap is not None
    assert second.overlap.iou == 0.8
    assert second.shown is not None
    assert second.shown.index == 2
    (second,) = judged(frames(0, 5, 5, 5)[:1] + frames(0, 5, 5, 5)[3:], visible(0, mask))
    assert second.overlap is not None
    assert second.overlap.iou == 0.5  # the one at 0.75


def test_whether_a_second_is_marked_is_decided_by_most_frames_of_its_middle_half() -> None:
    labels = [LabelledSecond(k, "silent") for k in range(3)]
    # The middle half holds three of the four frames of a second.
    first, second, third = judged(frames(9, 0, 0, 0, 0, 9, 9, 0, 0, 9, 0, 0), *labels)
    assert (first.is_marked, second.is_marked, third.is_marked) == (False, True, False)
    assert [s.marked_frames for s in (first, second, third)] == [1, 2, 1]
    assert first.marked_share == pytest.approx(9 / 20 / 4)


def test_half_of_the_middle_frames_are_enough() -> None:
    seen = [SeenFrame(0.4, 0, (marks(9),)), SeenFrame(0.6, 1, (marks(0),))]
    (second,) = judged(seen, LabelledSecond(0, "silent"))
    assert second.is_marked


def test_a_mask_counts_from_one_per_cent_of_the_frame() -> None:
    seen = frames(0, 0, 0, 0, 0, 0, 0, 0)
    for k in (1, 2, 3):
        seen[k].label_maps[0][0, 0] = 1  # half of one per cent
        seen[4 + k].label_maps[0][0, :2] = 1
    below, at = judged(seen, LabelledSecond(0, "silent"), LabelledSecond(1, "silent"))
    assert (below.is_marked, at.is_marked) == (False, True)


def test_a_second_without_a_frame_in_its_middle_is_judged_by_what_it_has() -> None:
    (second,) = judged(frames(3, fps=1.0), LabelledSecond(0, "silent"))
    assert second.is_marked
    assert second.num_frames == 1


def test_a_frame_that_rounding_put_before_its_second_belongs_to_it() -> None:
    seen = [SeenFrame(0.0, 0, (marks(0),)), SeenFrame(0.9995, 1, (marks(4),))]
    first, second = judged(seen, LabelledSecond(0, "silent"), LabelledSecond(1, "silent"))
    assert (first.is_marked, second.is_marked) == (False, True)


def test_unlabelled_seconds_are_passed_over() -> None:
    (second,) = judged(frames(*[5] * 12), LabelledSecond(1, "silent"))
    assert second.label.second == 1
    assert second.num_frames == 4


def test_every_way_of_marking_is_judged_by_itself(mask: Path) -> None:
    seen = [SeenFrame(0.5, 0, (marks(5), marks(10)))]
    ((ours, alone),) = judged_seconds(seen, LabelledVideo("a", Path("a.mp4"), (visible(0, mask),)))
    assert ours.overlap is not None
    assert alone.overlap is not None
    assert (ours.overlap.iou, alone.overlap.iou) == (0.5, 1.0)


def test_a_second_that_the_video_does_not_reach_is_an_error() -> None:
    with pytest.raises(DataError, match=r"a\.mp4 has no frame in the labelled second 7.*0\.25 s"):
        judged(frames(0, 0), LabelledSecond(0, "silent"), LabelledSecond(7, "silent"))


def test_a_mask_of_another_size_is_an_error(tmp_path: Path) -> None:
    write_picture(tmp_path / "mask.png", np.full((5, 5), 255, np.uint8))
    with pytest.raises(DataError, match="5×5, expected 10×20"):
        judged(frames(0), visible(0, tmp_path / "mask.png"))


def off_screen(second: int, source: str) -> LabelledSecond:
    return LabelledSecond(second, "off_screen", (), None, source)  # type: ignore[arg-type]


@pytest.fixture
def row(mask: Path) -> VideoRow:
    """Nine seconds of one frame each; see the comments for the truth and what is marked."""
    seconds = judged(
        frames(8, 0, 10, 4, 0, 6, 0, 20, 0, fps=1.0),
        visible(0, mask),  # marked, IoU 0.8
        visible(1),  # not marked
        visible(2, mask),  # marked, IoU 1
        off_screen(3, "voice"),  # marked, 20 %: an offset that is missed
        off_screen(4, "voice"),  # empty
        off_screen(5, "music"),  # marked, 30 %
        off_screen(6, "other"),  # empty
        LabelledSecond(7, "unclear"),
        LabelledSecond(8, "silent"),  # empty
    )
    return VideoRow.of("a", seconds)


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        ("mean_iou", 0.9),
        ("kept_empty", 3 / 5),
        ("kept_empty_off_screen", 2 / 4),
        ("kept_empty_voice", 1 / 2),
        ("kept_empty_music", 0.0),
        ("kept_empty_other", 1.0),
        ("kept_empty_silent", 1.0),
        ("false_positive_area", (0.2 + 0.3) / 5),
        ("false_positive_rate", 2 / 5),
        ("detection_recall", 2 / 3),
        ("detection_precision", 2 / 4),
        ("detection_f", 4 / 7),
        ("seconds_right", 5 / 8),
        ("switches_found", 0.0),
        ("onsets_found", None),
    ],
)
def test_a_score_is_the_one_done_by_hand(row: VideoRow, measure: str, value: float | None) -> None:
    assert ratio([row], measure).value == (None if value is None else pytest.approx(value))


def test_switches_are_found_when_both_sides_are_right_and_unclear_seconds_lie_between() -> None:
    seconds = judged(
        frames(0, 5, 0, 5, 0, 0, 5, fps=1.0),
        LabelledSecond(0, "silent"),
        visible(1),  # an onset, found
        LabelledSecond(2, "unclear"),
        visible(3),  # none: it sounded before
        LabelledSecond(4, "silent"),  # an offset, found
        visible(5),  # an onset, missed
        LabelledSecond(6, "silent"),  # an offset, missed
    )
    row = VideoRow.of("a", seconds)
    assert (row.num_onsets, row.onsets_found, row.num_offsets, row.offsets_found) == (2, 1, 2, 1)


def test_a_result_adds_up_clips_and_keeps_every_second(mask: Path) -> None:
    protocol = ClipsProtocol("by hand")
    protocol.add("a", judged(frames(8, fps=1.0), visible(0, mask, "dog")))
    protocol.add("b", judged(frames(10, 0, fps=1.0), visible(0, mask, "dog", "cat"), visible(1)))
    protocol.add("c", judged(frames(0, fps=1.0), LabelledSecond(0, "unclear")))
    told = protocol.result()
    scores = told["scores"]
    assert scores["mean_iou"]["value"] == pytest.approx(0.9)
    assert scores["mean_iou"]["interval"] == interval(ratio(protocol.rows, "mean_iou"))
    assert (told["num_clips"], told["num_seconds"], told["num_masked"]) == (3, 3, 2)
    assert {name: group["mean_iou"] for name, group in told["per_category"].items()} == {
        "cat": 1.0, "dog": pytest.approx(0.9), "person": None,
    }  # fmt: skip
    assert told["per_category"]["person"]["detection_recall"] == 0.0
    assert [(s["clip_id"], s["second"], s["is_marked"], s["iou"]) for s in told["per_second"]] == [
        ("a", 0, True, 0.8), ("b", 0, True, 1.0), ("b", 1, False, None), ("c", 0, False, None),
    ]  # fmt: skip

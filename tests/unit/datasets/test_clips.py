"""A folder of labelled videos is read as its format says, and every fault of it is named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avscli.config import DataSelection
from avscli.datasets.checking import check_data
from avscli.datasets.clips import ClipsFolder, source_of
from avscli.datasets.contract import VideoSet
from avscli.datasets.kinds.clips import open_set
from avscli.datasets.labelled_video import LabelledSecond
from avscli.errors import DataError, UsageError
from tests.builders import make_video, truncated_copy
from tests.clip_folders import FPS, SIZE_HW, change_row, write_clips
from tests.miniatures import write_picture


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_clips(tmp_path / "clips")


def test_the_tables_are_read_as_videos_with_their_seconds(root: Path) -> None:
    folder = ClipsFolder.open(root)
    assert folder.problems == ()
    assert [video.clip_id for video in folder.videos] == ["videos/a.mp4", "videos/b.mp4"]
    assert folder.videos[0].seconds == (
        LabelledSecond(0, "visible", ("person",), root / "masks/a_0.png", "voice"),
        LabelledSecond(1, "silent"),
        LabelledSecond(2, "off_screen", (), None, "music"),
    )
    assert folder.videos[1].seconds[1].classes == ("dog", "cat")


def test_the_set_is_one_of_videos_and_its_limit_counts_them(root: Path) -> None:
    data = open_set(DataSelection("clips", root, limit=1))
    assert isinstance(data, VideoSet)
    assert [video.clip_id for video in data.videos] == ["videos/a.mp4"]
    assert data.problems(0) == []


@pytest.mark.parametrize(
    ("classes", "heard", "source"),
    [
        ((), "Speech 0.98; Music 0.10", "voice"),
        ((), "Male speech, man speaking 0.7", "voice"),
        ((), "Singing 0.9; Music 0.8", "voice"),
        ((), "Background music 0.8; Speech 0.7", "music"),
        ((), "Musical instrument 0.6", "music"),
        ((), "Applause 0.97", "other"),
        ((), "Speedboat 0.97", "other"),
        ((), "", "other"),
        (("person",), "Music 0.9", "voice"),
        (("dog",), "Speech 0.9", "other"),
    ],
)
def test_sound_off_screen_is_told_apart_by_its_first_name(classes, heard, source) -> None:
    assert source_of(classes, heard) == source


def test_a_whole_folder_has_no_problems(root: Path) -> None:
    found = check_data("clips", root)
    assert found.problems == ()
    assert found.num_items == {"test": 2}


def _halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _mask_of_another_size(root: Path) -> None:
    write_picture(root / "masks/a_0.png", np.full((24, 32), 255, np.uint8))


def _empty_mask(root: Path) -> None:
    write_picture(root / "masks/a_0.png", np.zeros(SIZE_HW, np.uint8))


def _mute(root: Path) -> None:
    make_video(root / "videos/a.mp4", seconds=3, fps=FPS, size_hw=SIZE_HW, audio=None)


def _cut_off(root: Path) -> None:
    """Keep the header's three seconds, and lose the last one's pictures."""
    video = root / "videos/a.mp4"
    whole = make_video(
        root.parent / "whole.mp4", seconds=3, fps=FPS, size_hw=SIZE_HW, faststart=True
    )
    truncated_copy(whole, video, 0.55)


@pytest.mark.parametrize(
    ("breaks", "file", "told"),
    [
        (lambda r: (r / "videos/a.mp4").unlink(), "videos/a.mp4", "is missing"),
        (lambda r: _halve(r / "videos/a.mp4"), "videos/a.mp4", "a.mp4"),
        (_cut_off, "videos/a.mp4", "truncated"),
        (_mute, "videos/a.mp4", "has no sound, yet seconds.csv says that something sounds"),
        (lambda r: (r / "masks/a_0.png").unlink(), "masks/a_0.png", "is missing"),
        (lambda r: _halve(r / "masks/a_0.png"), "masks/a_0.png", "damaged"),
        (_mask_of_another_size, "masks/a_0.png", "24×32, expected 48×64 as a.mp4"),
        (_empty_mask, "masks/a_0.png", "marks nothing"),
        (
            lambda r: change_row(r, 2, second=3),
            "videos/a.mp4",
            "second 3 of videos/a.mp4, which ends at 3.00 s",
        ),
        (lambda r: change_row(r, 1, state="loud"), "seconds.csv", "line 3: the state is 'loud'"),
        (lambda r: change_row(r, 1, second=2), "seconds.csv", "line 4: second 2 of videos/a.mp4"),
        (lambda r: change_row(r, 1, second="-1"), "seconds.csv", "line 3: the second is '-1'"),
        (lambda r: change_row(r, 1, second="1.5"), "seconds.csv", "line 3: the second is '1.5'"),
        (lambda r: change_row(r, 0, classes=""), "seconds.csv", "line 2: something visible"),
        (lambda r: change_row(r, 1, classes="dog"), "seconds.csv", "line 3: it is silent"),
        (lambda r: change_row(r, 0, state="off_screen"), "seconds.csv", "line 2: it has a mask"),
        (lambda r: change_row(r, 5, video="c.mp4"), "seconds.csv", "line 7: clips.csv has no"),
        (
            lambda r: change_row(r, 5, second=0, video="videos/a.mp4"),
            "seconds.csv",
            "line 7: second 0 of videos/a.mp4 is there twice",
        ),
    ],
)
def test_what_is_wrong_is_named_and_stops_an_evaluation(
    root: Path, breaks: Callable[[Path], None], file: str, told: str
) -> None:
    breaks(root)
    problems = check_data("clips", root).problems
    assert any(p.file == root / file and told in p.message for p in problems), problems


def test_a_clip_without_seconds_and_files_that_no_row_names_are_told(root: Path) -> None:
    text = (root / "seconds.csv").read_text().splitlines()
    (root / "seconds.csv").write_text("\n".join(line for line in text if "b.mp4" not in line))
    told = {problem.file: problem.message for problem in check_data("clips", root).problems}
    assert told.keys() == {root / "seconds.csv", root / "masks" / "b_1.png"}
    assert "no second of videos/b.mp4" in told[root / "seconds.csv"]
    assert "no usable row" in told[root / "masks" / "b_1.png"]


def test_a_video_named_twice_is_told(root: Path) -> None:
    with (root / "clips.csv").open("a") as file:
        file.write("videos/a.mp4,,,,\n")
    (problem,) = check_data("clips", root).problems
    assert problem.message == f"{root / 'clips.csv'} names the video videos/a.mp4 2 times"


@pytest.mark.parametrize("table", ["clips.csv", "seconds.csv"])
def test_a_missing_table_or_column_is_an_error_at_once(root: Path, table: str) -> None:
    (root / table).write_text("video\nvideos/a.mp4\n")
    with pytest.raises(DataError, match=f"{table} lacks the column"):
        open_set(DataSelection("clips", root))
    (root / table).unlink()
    with pytest.raises(DataError, match="cannot read"):
        check_data("clips", root)


def test_what_a_folder_of_clips_has_not_is_refused(root: Path) -> None:
    with pytest.raises(UsageError, match="needs --root"):
        open_set(DataSelection("clips"))
    with pytest.raises(UsageError, match="no --split train"):
        open_set(DataSelection("clips", root, "train"))
    with pytest.raises(UsageError, match="no --split val"):
        check_data("clips", root, splits=("val",))
    change_row(root, 0, state="loud")
    with pytest.raises(DataError, match="line 2") as caught:
        open_set(DataSelection("clips", root))
    assert caught.value.hint.endswith(f"avs data check clips {root}")

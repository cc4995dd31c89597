import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avscli.datasets.avsbench import AvsBenchKind
from avscli.datasets.checking import check_data, require_sound_data
from avscli.errors import DataError
from tests.avsbench_copies import write_avss, write_ms3, write_s4
from tests.miniatures import write_avsmix, write_picture, write_sound

WRITERS: dict[AvsBenchKind, Callable[..., Path]] = {
    "avsbench-s4": write_s4,
    "avsbench-ms3": write_ms3,
    "avsbench-avss": write_avss,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_whole_copy_has_no_problems(tmp_path: Path, kind: AvsBenchKind) -> None:
    root = WRITERS[kind](tmp_path)
    seen: list[tuple[int, int]] = []
    found = check_data(kind, root, on_progress=lambda done, total: seen.append((done, total)))
    assert found.problems == ()
    per_split = 3 if kind == "avsbench-avss" else 1
    assert found.num_items == {"train": 2 * per_split, "val": per_split, "test": per_split}
    assert seen[-1] == (4 * per_split, 4 * per_split)
    require_sound_data(found, kind, root)


def _halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _shrink(path: Path) -> None:
    write_picture(path, np.zeros((16, 64), np.uint8))


def _mute(path: Path) -> None:
    write_sound(path, np.zeros(8_000))


def _colour(path: Path) -> None:
    picture = np.zeros((48, 80, 3), np.uint8)
    picture[3, 7] = (128, 0, 1)
    write_picture(path, picture)


@pytest.mark.parametrize(
    ("kind", "file", "breaks", "told"),
    [
        ("avsbench-s4", "visual_frames/**/*_val_3.png", Path.unlink, "is missing"),
        ("avsbench-s4", "visual_frames/**/*_val_3.png", _halve, "damaged"),
        ("avsbench-s4", "visual_frames/**/*_val_3.png", _shrink, "16×64, expected 64×64"),
        ("avsbench-s4", "gt_masks/**/*_train_1.png", Path.unlink, "is missing"),
        ("avsbench-s4", "gt_masks/**/*_test_5.png", _halve, "damaged"),
        ("avsbench-s4", "gt_masks/**/*_test_5.png", _shrink, "16×64, expected 64×64"),
        ("avsbench-s4", "**/*_train.wav", Path.unlink, "is missing"),
        ("avsbench-s4", "**/*_train.wav", _mute, "shorter than one patch"),
        ("avsbench-ms3", "visual_frames/**/*_train.mp4_2.png", Path.unlink, "is missing"),
        ("avsbench-ms3", "**/*_val.pkl", _halve, "cannot be read safely"),
        ("avsbench-avss", "v2/*_train/frames/9.jpg", Path.unlink, "is missing"),
        ("avsbench-avss", "v1m/*_val/labels_rgb/4.png", Path.unlink, "is missing"),
        (
            "avsbench-avss",
            "v2/*_val/labels_rgb/4.png",
            _colour,
            r"colour \(128, 0, 1\) at row 3, column 7 is not in the palette",
        ),
    ],
)
def test_one_broken_file_is_named(
    tmp_path: Path, kind: AvsBenchKind, file: str, breaks: Callable[[Path], None], told: str
) -> None:
    root = WRITERS[kind](tmp_path)
    path = min(root.rglob(file))
    breaks(path)
    found = check_data(kind, root)
    # A frame in the dialect of a neighbour is looked for under its first name.
    assert [problem.file for problem in found.problems] == [path]
    with pytest.raises(DataError, match=told) as caught:
        require_sound_data(found, kind, root)
    assert str(path) in str(caught.value)


def test_a_picture_too_many_is_named(tmp_path: Path) -> None:
    root = write_avss(tmp_path, clips={"val": 1})
    strange = next(root.glob("v1s/*/frames")) / "5.jpg"
    write_picture(strange, np.zeros((48, 80, 3), np.uint8))
    found = check_data("avsbench-avss", root, splits=("val",))
    assert [(p.file, p.message) for p in found.problems] == [
        (strange, f"clip {strange.parent.parent.name}: {strange} is an extra frame")
    ]


def test_a_missing_folder_of_pictures_is_one_problem(tmp_path: Path) -> None:
    root = write_ms3(tmp_path, clips={"val": 1})
    folder = next((root / "ms3_data" / "visual_frames").iterdir())
    folder.rename(root / "elsewhere")
    found = check_data("avsbench-ms3", root, splits=("val",))
    assert len(found.problems) == 1
    assert "there is no folder of pictures" in found.problems[0].message


def test_every_problem_of_a_copy_is_told(tmp_path: Path) -> None:
    root = write_s4(tmp_path, clips={"train": 1, "val": 1})
    paths = {*root.rglob("*_val_2.png"), *root.rglob("*_train.wav")}
    for path in paths:
        path.unlink()
    found = check_data("avsbench-s4", root, splits=("train", "val"))
    assert {problem.file for problem in found.problems} == paths
    with pytest.raises(DataError, match="3 problems, the first") as caught:
        require_sound_data(found, "avsbench-s4", root)
    assert caught.value.hint == f"all of them: avs data check avsbench-s4 {root}"


def test_a_whole_copy_of_avsmix_has_no_problems(tmp_path: Path) -> None:
    found = check_data("avsmix", write_avsmix(tmp_path), splits=("test",))
    assert found.problems == ()
    assert found.num_items == {"test": 6 + 9 + 3 * 6}  # pictures, recordings, pairs


def _index(path: Path) -> None:
    write_picture(path, np.full((60, 80), 77, np.uint8))


@pytest.mark.parametrize(
    ("file", "breaks", "told"),
    [
        ("images/3.png", Path.unlink, "is missing"),
        ("images/3.png", _halve, "damaged"),
        ("masks/3.png", _shrink, "16×64, expected 60×80"),
        ("masks/3.png", _index, "holds 77, which classes.csv does not name"),
        ("audio/bell.wav", Path.unlink, "is missing"),
        ("audio/bell.wav", lambda path: path.write_bytes(b"RIFF"), "is damaged or of another kind"),
    ],
)
def test_one_broken_file_of_avsmix_is_named(
    tmp_path: Path, file: str, breaks: Callable[[Path], None], told: str
) -> None:
    root = write_avsmix(tmp_path)
    breaks(root / file)
    found = check_data("avsmix", root, splits=("test",))
    assert [problem.file for problem in found.problems] == [root / file]
    assert told in found.problems[0].message
    assert str(root / file) in found.problems[0].message


def test_a_pair_of_avsmix_is_told_by_its_file_and_class(tmp_path: Path) -> None:
    root = write_avsmix(tmp_path, num_pictures=1)
    header, first, *rest = (root / "pairs_test.csv").read_text().splitlines()
    first = re.sub(r"masks/0\.png(.*),[^,]+$", r"masks/none.png\1,zebra", first)
    (root / "pairs_test.csv").write_text("\n".join([header, first, *rest]))
    found = check_data("avsmix", root, splits=("test",))
    picture, mask = root / "images" / "0.png", root / "masks" / "none.png"
    table = root / "pairs_test.csv"
    assert [(p.file, p.message) for p in found.problems] == [
        (
            picture,
            f"{table}, pair test00000: its row names the class 'zebra', classes.csv does not",
        ),
        (mask, f"{table}, pair test00000: {mask} is missing"),
    ]


def test_a_class_that_nobody_names_is_told_with_its_file(tmp_path: Path) -> None:
    root = write_avsmix(tmp_path)
    table = (root / "audio.csv").read_text().replace("test,bell", "test,gong")
    (root / "audio.csv").write_text(table)
    found = check_data("avsmix", root, splits=("test",))
    assert [problem.file for problem in found.problems] == [root / "audio" / "bell.wav"]
    assert "names the class 'gong'" in found.problems[0].message

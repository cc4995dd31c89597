"""Copies and masks that are not as their format says, given to ``avs eval`` in both ways."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from avscli.masks import encode_mask
from tests.avsbench_copies import write_avss, write_ms3, write_s4
from tests.conftest import Avs
from tests.miniatures import write_avsmix, write_picture

ONE = {"test": 1}


@dataclass(frozen=True)
class Layout:
    """A miniature, and where in it things can be broken."""

    write: Callable[[Path], Path]
    table: str
    column: str
    mask: str
    extra: str | None  # None: tables name the files, and nothing else is looked at
    off_palette: np.ndarray
    told_of_palette: str


def strange(size_hw: tuple[int, int], *values: int) -> np.ndarray:
    """A mask or label map with one strange pixel, in row 5 and column 6."""
    picture = np.zeros(size_hw if len(values) == 1 else (*size_hw, 3), np.uint8)
    picture[5, 6] = values[0] if len(values) == 1 else values
    return picture


LAYOUTS = {
    "avsbench-s4": Layout(
        lambda root: write_s4(root, clips=ONE),
        "s4_meta_data.csv",
        "category",
        "s4_data/gt_masks/**/*_3.png",
        "{stem}6.png",
        strange((64, 64), 7),
        "values up to 7",
    ),
    "avsbench-ms3": Layout(
        lambda root: write_ms3(root, clips=ONE),
        "ms3_meta_data.csv",
        "video_id",
        "ms3_data/gt_masks/**/*_3.png",
        "{stem}6.png",
        strange((64, 64), 7),
        "values up to 7",
    ),
    "avsbench-avss": Layout(
        lambda root: write_avss(root, clips=ONE),
        "metadata.csv",
        "a_obj",
        "v1m/*/labels_rgb/2.png",
        "5.png",
        strange((48, 80), 1, 2, 3),
        "colour (1, 2, 3) at row 5, column 6",
    ),
    "avsmix": Layout(
        lambda root: write_avsmix(root, num_pictures=2),
        "pairs_test.csv",
        "sounding_classes",
        "masks/1.png",
        None,
        strange((60, 80), 77),
        "holds 77, which classes.csv does not name",
    ),
}
KINDS = (
    "missing column",
    "missing mask",
    "extra frame",
    "wrong size",
    "unreadable",
    "palette off",
)


def break_mask(path: Path, kind: str, layout: Layout) -> tuple[Path, str]:
    """Break one mask; return the file and what else the message must name."""
    if kind == "missing mask":
        path.unlink()
        return path, ""
    if kind == "extra frame":
        assert layout.extra is not None
        path = path.with_name(layout.extra.format(stem=path.stem[:-1]))
        write_picture(path, np.zeros((64, 64), np.uint8))
        return path, "extra frame"
    if kind == "wrong size":
        write_picture(path, np.zeros((8, 10), np.uint8))
        return path, "8×10"
    if kind == "unreadable":
        path.write_bytes(path.read_bytes()[:50])
        return path, "damaged"
    write_picture(path, layout.off_palette)
    return path, layout.told_of_palette


def refused(avs: Avs, tmp_path: Path, *options: object) -> str:
    """Run ``avs eval``, which must refuse and write nothing; return what it says."""
    done = avs("eval", "-o", tmp_path / "out", *options)
    assert done.code == 3, done.err
    assert not (tmp_path / "out").exists()
    return " ".join(done.err.split())


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (data, kind)
        for data, layout in LAYOUTS.items()
        for kind in KINDS
        if kind != "extra frame" or layout.extra
    ],
)
def test_a_broken_copy_is_told_by_file_and_field(
    avs: Avs, weights: Path, tmp_path: Path, data: str, kind: str
):
    layout = LAYOUTS[data]
    root = layout.write(tmp_path / "copy")
    if kind == "missing column":
        file, field = root / layout.table, f"lacks the column {layout.column!r}"
        file.write_text(file.read_text().replace(layout.column, "other", 1))
    else:
        file, field = break_mask(min(root.glob(layout.mask)), kind, layout)
    told = refused(avs, tmp_path, "--data", data, "--root", root, "-w", weights)
    assert str(file) in told
    assert field in told


@pytest.mark.parametrize(
    ("table", "place", "cell", "field"),
    [
        ("pairs_test.csv", r"[^,\n]+$", "zebra", "names the class 'zebra'"),
        ("classes.csv", r"^\d+", "one", "index is 'one'"),
        ("pairs_test.csv", r"^test.*\n", "", "has no pair"),
    ],
)
def test_a_table_of_avsmix_is_told_by_its_field(
    avs: Avs, weights: Path, tmp_path: Path, table: str, place: str, cell: str, field: str
):
    root = write_avsmix(tmp_path / "copy", num_pictures=2)
    header, _, rows = (root / table).read_text().partition("\n")
    rows = re.sub(place, cell, rows, flags=re.MULTILINE)
    (root / table).write_text(f"{header}\n{rows}")
    told = refused(avs, tmp_path, "--data", "avsmix", "--root", root, "-w", weights)
    assert str(root / table) in told
    assert field in told


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("data", ["avsbench-s4", "avsbench-avss"])
def test_broken_predictions_are_told_by_file(avs: Avs, tmp_path: Path, data: str, kind: str):
    layout = LAYOUTS[data]
    predicted, true = (layout.write(tmp_path / side) for side in ("predicted", "true"))
    if data == "avsbench-s4":  # the pictures are PNGs too
        predicted, true = (root / "s4_data" / "gt_masks" for root in (predicted, true))
    mask = layout.mask.removeprefix("s4_data/gt_masks/")
    file, field = break_mask(min(predicted.glob(mask)), kind, layout)
    if (data, kind) == ("avsbench-s4", "palette off"):  # single values are read, whatever they are
        write_picture(file, 1 + strange((64, 64), 1))
        field = "2 greys from 1 to 2"
    if kind == "missing mask":  # the truth that nothing belongs to is what can be named
        file, field = true / file.relative_to(predicted), "no prediction"
    told = refused(
        avs, tmp_path, "--pred", predicted, "--gt", true, "--classes", 71 if "v1m" in mask else 2
    )
    assert str(file) in told
    assert field in told


def coco_file(path: Path, **changes: object) -> Path:
    """A file with one mask, in which one field is something else."""
    mask = np.zeros((6, 8), np.bool_)
    mask[2:4, 2:5] = True
    image = {"id": 1, "file_name": "clip_1.jpg", "height": 6, "width": 8}
    segmentation = {"size": [6, 8], "counts": encode_mask(mask).counts}
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": segmentation}
    for field, value in changes.items():
        for part in (image, annotation, segmentation):
            if field in part or (part is annotation and field in ("score", "iscrowd")):
                part[field] = value
    path.write_text(json.dumps({"images": [image], "annotations": [annotation]}))
    return path


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", [1, 2, 3]),
        ("size", [-6, -8]),
        ("size", ["six", "8"]),
        ("size", [8, 6]),
        ("counts", "zz"),
        ("segmentation", [[1, 2, 3, 4, 5]]),
        ("segmentation", [[1, 2, 3, 4]]),
        ("segmentation", [[1, 2, 3, 4, 5, float("nan")]]),
        ("segmentation", [[1, 2, 30, 4, 5, 6]]),
        ("segmentation", [[[1, 2], [3, 4], [5, 6]]]),
        ("segmentation", []),
        ("counts", [1, 2.5]),
        ("counts", []),
        ("counts", [48, -1, 1]),
        ("iscrowd", 2),
        ("category_id", -1),
        ("category_id", None),
        ("score", "high"),
        ("score", float("nan")),
        ("height", 0),
        ("width", 7.5),
        ("image_id", 9),
        ("id", ["first"]),
    ],
)
def test_a_coco_file_is_told_by_its_field(avs: Avs, tmp_path: Path, field: str, value: object):
    right, wrong = coco_file(tmp_path / "gt.json"), tmp_path / "pred.json"
    coco_file(wrong, **{field: value})
    told = refused(avs, tmp_path, "--pred", wrong, "--gt", right)
    assert str(wrong) in told
    assert (field if field != "counts" else "run lengths") in told

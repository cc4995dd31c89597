"""Exports as pictures and as COCO, read back by other libraries and by avs eval."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from avscli.media.stills import read_png
from tests.conftest import Avs
from tests.run_folders import SIZE_HW, Frame, scene, write_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "runs" / "clip.mp4", scene())


def iou_by_eval(avs: Avs, predicted: Path, true: Path, output: Path) -> float:
    done = avs("eval", "--pred", predicted, "--gt", true, "-o", output, "--json", "-q")
    assert done.code == 0, done.err
    return json.loads(done.out)["protocols"]["avs"]["scores"]["mean_iou"]["value"]


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools with numpy 2
def test_polygons_are_the_masks_pixel_by_pixel(avs: Avs, run: Path, tmp_path: Path) -> None:
    done = avs("export", run, "--to", "coco-polygons", "-o", tmp_path / "out")
    assert done.code == 0
    assert "3 masks have holes" in done.err
    coco = COCO(str(tmp_path / "out" / "masks.coco.json"))
    truth = {f.index: f for f in scene() if not f.is_held}
    assert [image["frame_id"] for image in coco.loadImgs(coco.getImgIds())] == list(truth)
    for image in coco.loadImgs(coco.getImgIds()):
        frame = truth[image["frame_id"]]
        found = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        assert image["time"] == pytest.approx(frame.seconds)
        assert {each["category_id"] for each in found} == set(frame.masks)
        for each in found:
            assert np.array_equal(coco.annToMask(each), frame.masks[each["category_id"]])
            assert each["area"] == frame.masks[each["category_id"]].sum()
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["dog", "person"]


def test_davis_has_a_palette_picture_per_source_frame(avs: Avs, run: Path, tmp_path: Path) -> None:
    assert avs("export", run, "--to", "davis", "-o", tmp_path / "out").code == 0
    folder = tmp_path / "out" / "Annotations" / "480p" / "clip.mp4"
    assert [path.name for path in sorted(folder.iterdir())] == [f"{k:05d}.png" for k in range(12)]
    for frame in scene():
        png = read_png(folder / f"{frame.index:05d}.png")
        assert png.palette is not None
        assert np.array_equal(png.samples, numbered(frame))
    assert (tmp_path / "out" / "ImageSets" / "2017" / "val.txt").read_text() == "clip.mp4\n"


def test_png_has_the_classes_of_the_analysed_frames(avs: Avs, run: Path, tmp_path: Path) -> None:
    assert avs("export", run, "--to", "png", "-o", tmp_path / "out").code == 0
    found = sorted((tmp_path / "out" / "clip.mp4").iterdir())
    assert [path.name for path in found] == [f"frame_{k:06d}.png" for k in (0, 3, 6, 9)]
    for path, frame in zip(found, [f for f in scene() if not f.is_held], strict=True):
        assert np.array_equal(read_png(path).samples, numbered(frame))
        assert cv2.imread(str(path)).any() == bool(frame.masks)


@pytest.mark.parametrize("to", ["coco-polygons", "davis", "png", "ytvis"])
def test_what_is_exported_scores_1_against_its_run(
    avs: Avs, run: Path, tmp_path: Path, to: str
) -> None:
    assert avs("export", run, "--to", to, "-o", tmp_path / "out").code == 0
    exported = tmp_path / "out" / ("instances.json" if to == "ytvis" else "")
    assert iou_by_eval(avs, run, exported, tmp_path / "eval") == 1.0


def test_a_batch_folder_is_exported_with_its_tree(avs: Avs, tmp_path: Path) -> None:
    for name in ("day/a.mp4", "night/a.mp4"):
        write_run(tmp_path / "runs" / name, scene(6))
    assert avs("export", tmp_path / "runs", "--to", "davis", "-o", tmp_path / "out").code == 0
    folder = tmp_path / "out" / "Annotations" / "480p"
    assert {p.parent.relative_to(folder).as_posix() for p in folder.rglob("*.png")} == {
        "day/a.mp4",
        "night/a.mp4",
    }
    assert iou_by_eval(avs, tmp_path / "runs", folder, tmp_path / "eval") == 1.0


def test_more_tracks_than_a_palette_holds_use_numbers_again(avs: Avs, tmp_path: Path) -> None:
    spots = [np.zeros(SIZE_HW, np.bool_) for _ in range(255)]
    for k, spot in enumerate(spots):
        spot.flat[k] = True
    frames = [Frame(k, k, k / 30, {k + 1: spot}) for k, spot in enumerate(spots)]
    write_run(tmp_path / "a.mp4", frames, names=[f"thing {k}" for k in range(255)])
    done = avs("export", tmp_path / "a.mp4", "--to", "davis", "-o", tmp_path / "out")
    assert done.code == 0
    assert "255 tracks" in done.err
    folder = tmp_path / "out" / "Annotations" / "480p" / "a.mp4"
    last = read_png(folder / "00254.png").samples
    assert last.flat[254] == 1
    assert np.count_nonzero(last) == 1


def numbered(frame: Frame) -> np.ndarray:
    labels = np.zeros(SIZE_HW, np.uint8)
    for label, mask in frame.masks.items():
        labels[mask] = label
    return labels

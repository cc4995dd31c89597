"""Stored masks of every style against each other, and every way in which they can be broken."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from avscli.config import EvalOptions, StoredOptions
from avscli.datasets.label_files import label_palette, labels_of
from avscli.datasets.mask_pictures import read_marked
from avscli.errors import DataError
from avscli.evaluation.protocols import AvsProtocol
from avscli.evaluation.stored import opening
from avscli.evaluation.stored.clips import StoredClip
from avscli.evaluation.stored.pairing import check_pairs, judged_masks, pair_clips
from avscli.masks import encode_mask
from avscli.outputs.journal import JournalEntry, JournalObject
from tests.miniatures import write_picture
from tests.networks_for_tests import TINY_SPEC
from tests.pngs import write_png
from tests.run_folders import recorded_source, write_record

SIZE_HW = (12, 16)
CLIPS = ("alpha", "beta")
STEPS = 5
VOC = label_palette(256)


def open_masks(path: Path, num_classes: int = 2) -> list[StoredClip]:
    return opening.open_masks(path, num_classes, StoredOptions(), images_of=path)


def mask(clip: int, step: int) -> np.ndarray:
    """A block that moves; nothing in beta's last step."""
    drawn = np.zeros(SIZE_HW, bool)
    if (clip, step) != (1, STEPS - 1):
        drawn[2 + clip : 8, step : step + 6] = True
    return drawn


def drawn_masks() -> dict[tuple[str, int], np.ndarray]:
    return {(name, k): mask(c, k) for c, name in enumerate(CLIPS) for k in range(STEPS)}


def write_avsbench(root: Path) -> Path:
    for (clip, k), drawn in drawn_masks().items():
        write_picture(root / "violin" / clip / f"{clip}_{k + 1}.png", drawn.astype(np.uint8) * 255)
    return root


def write_numbered(root: Path) -> Path:
    """DAVIS style."""
    for (clip, k), drawn in drawn_masks().items():
        write_png(root / clip / f"{k + 1:05d}.png", drawn.astype(np.uint8), palette=VOC)
    return root


def write_coloured(root: Path) -> Path:
    for (clip, k), drawn in drawn_masks().items():
        colours = label_palette(71)[drawn * 9]
        write_picture(root / "v2" / clip / "labels_rgb" / f"{k}.png", colours)
    return root


def write_coco(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for (clip, k), drawn in drawn_masks().items():
        images.append(
            {
                "id": len(images) + 1,
                "file_name": f"{clip}_{k + 1}.jpg",
                "video_id": CLIPS.index(clip) + 1,
                "height": SIZE_HW[0],
                "width": SIZE_HW[1],
                "time": k + 0.9375,
            }
        )
        if drawn.any():
            segmentation = {"size": SIZE_HW, "counts": encode_mask(drawn).counts}
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": len(images),
                    "category_id": 1,
                    "segmentation": segmentation,
                }
            )
    videos = [{"id": i + 1, "file_name": name} for i, name in enumerate(CLIPS)]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "videos": videos}))
    return path


def write_runs(root: Path) -> Path:
    """Two frames a second, so that only every other one meets the truth."""
    for clip in CLIPS:
        (root / clip).mkdir(parents=True)
        lines = []
        for frame in range(2 * STEPS):
            drawn = mask(CLIPS.index(clip), frame // 2)
            entry = JournalEntry(
                frame=frame,
                pts=frame,
                time_seconds=frame / 2 + 0.45,
                state="sounding" if drawn.any() else "nothing_sounds",
                interpolated=False,
                score=0.9,
                audio_dbfs=-20.0,
                flags=(),
                heard=(),
                objects=(JournalObject(1, 1, 1.0, 0.9, encode_mask(drawn)),) if drawn.any() else (),
            )
            lines.append(entry.to_line() + "\n")
        (root / clip / "frames.jsonl").write_text("".join(lines))
        source = recorded_source(Path(clip), size_hw=SIZE_HW)
        write_record(root / clip, source=source, spec=TINY_SPEC, num_frames=len(lines))
    return root


WRITERS = {
    "avsbench": lambda root: write_avsbench(root / "gt_masks"),
    "numbered": lambda root: write_numbered(root / "davis"),
    "coloured": lambda root: write_coloured(root / "avss"),
    "coco": lambda root: write_coco(root / "coco" / "masks.json"),
    "runs": lambda root: write_runs(root / "avs_out"),
}


def scores_of(predicted: Path, true: Path, tolerance: float = 0.05) -> dict:
    pairs = pair_clips(open_masks(predicted, 2), open_masks(true, 2))
    options = EvalOptions(tolerance_seconds=tolerance)
    assert check_pairs(pairs, options)["num_true"] == len(CLIPS) * STEPS
    protocol = AvsProtocol()
    for clip in judged_masks(pairs, options):
        protocol.add(clip)
    return protocol.result()


@pytest.mark.parametrize("predicted", WRITERS)
@pytest.mark.parametrize("true", ["avsbench", "coco"])
def test_every_style_reads_the_same_masks(tmp_path, predicted, true):
    result = scores_of(
        WRITERS[predicted](tmp_path / "predicted"), WRITERS[true](tmp_path / "true"), 0.1
    )
    assert result["num_clips"] == 2
    assert result["num_sounding_frames"] == 9
    assert {name: told["value"] for name, told in result["scores"].items()} == {
        "mean_iou": 1.0,
        "f_score": 1.0,
        "f_at_half": 1.0,
        "boundary_f": 1.0,
        "j_and_boundary_f": 1.0,
        "dataset_iou": 1.0,
        "false_discovery_rate": 0.0,
        "false_positive_area": 0.0,
        "false_positive_rate": 0.0,
        "kept_empty": 1.0,
        "detection_precision": 1.0,
        "detection_recall": 1.0,
    }
    assert result["coco"]["ap"] == pytest.approx(1.0)


def test_two_runs_are_scored_against_each_other(tmp_path):
    runs = write_runs(tmp_path)  # beta ends with two frames without a mask, and so without a size
    pairs = pair_clips(open_masks(runs, 2), open_masks(runs, 2))
    protocol = AvsProtocol()
    for clip in judged_masks(pairs, EvalOptions(tolerance_seconds=0.0)):
        assert clip.targets.shape[1:] == SIZE_HW
        protocol.add(clip)
    assert protocol.result()["num_frames"] == 2 * len(CLIPS) * STEPS
    assert protocol.result()["scores"]["mean_iou"]["value"] == 1.0


def test_runs_without_any_mask_agree(tmp_path):
    runs = write_runs(tmp_path)
    for journal in runs.rglob("frames.jsonl"):
        emptied = re.sub(r'"objects":\[.*\]', '"objects":[]', journal.read_text())
        journal.write_text(emptied)
    protocol = AvsProtocol()
    for clip in judged_masks(pair_clips(open_masks(runs, 2), open_masks(runs, 2)), EvalOptions()):
        protocol.add(clip)
    assert protocol.result()["scores"]["kept_empty"]["value"] == 1.0


def test_runs_are_found_below_folders_and_without_the_unfinished(tmp_path):
    write_runs(tmp_path / "day")
    (tmp_path / "day" / "beta").rename(tmp_path / "beta.mp4")
    shutil.copytree(tmp_path / "beta.mp4", tmp_path / "gamma.mp4.partial")
    assert [clip.clip_id for clip in open_masks(tmp_path, 2)] == ["beta.mp4", "alpha"]
    assert scores_of(tmp_path, write_avsbench(tmp_path / "true"), 0.1)["num_clips"] == 2


def test_labels_that_are_there_in_colour_and_as_indices_are_one_clip(tmp_path):
    write_coloured(tmp_path)
    for folder in list(tmp_path.rglob("labels_rgb")):
        shutil.copytree(folder, folder.with_name("labels_semantic"))
    assert sorted(clip.clip_id for clip in open_masks(tmp_path, 2)) == list(CLIPS)


@pytest.mark.parametrize("joint", ["/", "_"])
def test_images_of_a_coco_file_without_videos_belong_to_the_clip_they_are_named_after(
    tmp_path, joint
):
    path = write_coco(tmp_path / "masks.json")
    told = json.loads(path.read_text())
    del told["videos"]
    for image in told["images"]:
        image["file_name"] = image["file_name"].replace("_", joint)
        del image["time"]
    path.write_text(json.dumps(told))
    assert scores_of(path, path)["scores"]["mean_iou"]["value"] == 1.0
    assert scores_of(path, write_avsbench(tmp_path / "true"))["num_clips"] == 2


def test_two_masks_of_one_frame_are_told(tmp_path):
    true = write_avsbench(tmp_path / "true")
    file = true / "violin" / "beta" / "beta_3.png"
    shutil.copy(file, file.with_name("beta_03.png"))
    with pytest.raises(DataError, match=r"beta_03\.png and .*beta_3\.png are both frame 3"):
        scores_of(true, true)


def test_crowds_are_void_whatever_comes_later(tmp_path):
    path = write_coco(tmp_path / "masks.json")
    told = json.loads(path.read_text())
    told["annotations"] = [a for a in told["annotations"] for a in (a | {"iscrowd": 1}, a)]
    path.write_text(json.dumps(told))
    frame = open_masks(path, 2)[0].frames()[0]
    assert set(np.unique(frame.read())) == {0, 255}


def test_the_surest_mask_of_an_image_tells_how_sure_it_is(tmp_path):
    path = write_coco(tmp_path / "masks.json")
    told = json.loads(path.read_text())
    told["annotations"] = [
        a | {"score": score} for a in told["annotations"] for score in (0.25, 0.75, 0.5)
    ]
    path.write_text(json.dumps(told))
    scores = [frame.score for clip in open_masks(path, 2) for frame in clip.frames()]
    assert scores == [0.75] * 9 + [0.0]  # nothing is marked in the last one


def break_it(kind: str, root: Path) -> Path:
    """Break a folder of predictions and return the file that a message must name."""
    file = root / "violin" / "beta" / "beta_3.png"
    if kind == "missing mask":
        file.unlink()
    elif kind == "extra frame":
        file = file.with_name("beta_6.png")
        write_picture(file, np.zeros(SIZE_HW, np.uint8))
    elif kind == "wrong size":
        write_picture(file, np.zeros((6, 8), np.uint8))
    elif kind == "unreadable png":
        file.write_bytes(file.read_bytes()[:40])
    elif kind == "not a png":
        file.write_text("mask")
    elif kind == "doubtful greys":
        write_picture(
            file, np.kron(np.array([[1, 2], [2, 1]], np.uint8), np.ones((6, 8), np.uint8))
        )
    return file


@pytest.mark.parametrize(
    "kind",
    [
        "missing mask",
        "extra frame",
        "wrong size",
        "unreadable png",
        "not a png",
        "doubtful greys",
    ],
)
def test_a_broken_folder_is_told_with_its_file(tmp_path, kind):
    true = write_avsbench(tmp_path / "true")
    predicted = write_avsbench(tmp_path / "predicted")
    file = break_it(kind, predicted)
    with pytest.raises(DataError) as caught:
        scores_of(predicted, true)
    assert file.name in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_colour_beyond_the_palette_is_told_with_its_place(tmp_path):
    picture = np.zeros((*SIZE_HW, 3), np.uint8)
    picture[3, 4] = (1, 2, 3)
    write_picture(tmp_path / "0.png", picture)
    with pytest.raises(DataError, match=r"0\.png.*row 3, column 4"):
        labels_of(tmp_path / "0.png", 71)


def test_void_of_a_palette_is_scored_nowhere(tmp_path):
    indices = np.zeros(SIZE_HW, np.uint8)
    indices[0], indices[1] = 255, 7
    write_png(tmp_path / "0.png", indices, palette=VOC)
    read = read_marked(tmp_path / "0.png").labels
    assert read[:3, 0].tolist() == [255, 1, 0]


def test_times_that_lie_too_far_apart_are_told_with_the_way_out(tmp_path):
    with pytest.raises(DataError, match=r"no prediction within 0\.001 s") as caught:
        scores_of(write_runs(tmp_path / "runs"), write_avsbench(tmp_path / "true"), 0.001)
    assert "--tolerance" in caught.value.hint


def test_clips_without_predictions_are_told(tmp_path):
    true = write_avsbench(tmp_path / "true")
    predicted = write_avsbench(tmp_path / "predicted")
    (predicted / "violin" / "alpha").rename(predicted / "violin" / "gamma")
    with pytest.raises(DataError, match="alpha"):
        scores_of(predicted, true)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot read"),
        ('{"images": []}', "annotations"),
        ('{"images": [], "annotations": [{"image_id": 1}]}', "category_id is None"),
        ('{"images": [], "annotations": [{"image_id": 1, "category_id": 1}]}', "segmentation"),
        (
            '{"images": [], "annotations": '
            '[{"image_id": 1, "category_id": 1, "segmentation": [[1, 2]]}]}',
            "no polygon of three points",
        ),
    ],
)
def test_a_broken_coco_file_is_told_with_its_field(tmp_path, text, told):
    path = tmp_path / "masks.json"
    path.write_text(text)
    with pytest.raises(DataError, match=told) as caught:
        open_masks(path, 2)
    assert "masks.json" in str(caught.value)


def test_a_folder_without_masks_is_told(tmp_path):
    with pytest.raises(DataError, match="no masks in"):
        open_masks(tmp_path, 2)


@pytest.mark.parametrize("suffix", [".PNG", ".Png"])
def test_the_case_of_the_suffix_does_not_matter(tmp_path, suffix):
    true = write_avsbench(tmp_path / "true")
    for file in list(true.rglob("*.png")):
        file.rename(file.with_suffix(suffix))
    assert scores_of(true, true)["scores"]["mean_iou"]["value"] == 1.0


def test_what_a_mac_leaves_beside_files_is_no_mask(tmp_path):
    true = write_avsbench(tmp_path / "true")
    for file in list(true.rglob("*.png")):
        file.with_name(f"._{file.name}").write_bytes(b"\0\5\x16\7")
    assert scores_of(true, true)["num_frames"] == len(CLIPS) * STEPS


@pytest.mark.parametrize(
    "names", [("SegmentationClass", "SegmentationObject"), ("masks_machine", "masks_human")]
)
def test_masks_that_a_tool_exports_twice_are_one_clip(tmp_path, names):
    for (clip, k), drawn in drawn_masks().items():
        for name in names:
            write_png(tmp_path / clip / name / f"{k:05d}.png", drawn.astype(np.uint8), palette=VOC)
    clips = open_masks(tmp_path)
    assert sorted(clip.clip_id for clip in clips) == list(CLIPS)
    assert {Path(f.name).parent.name for c in clips for f in c.frames()} == {names[0]}


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif", ".npy"])
def test_a_folder_of_other_pictures_is_told_by_one_of_them(tmp_path, suffix):
    (tmp_path / f"00000{suffix}").write_bytes(b"anything")
    with pytest.raises(DataError, match=rf"no PNG, but 1 other files such as .*00000\{suffix}"):
        open_masks(tmp_path)


def test_a_clip_whose_masks_are_meant_in_two_ways_is_told_by_both_files(tmp_path):
    write_png(tmp_path / "clip" / "0.png", mask(0, 0) * 255)
    write_png(tmp_path / "clip" / "1.png", mask(0, 1) * 0)
    write_png(tmp_path / "clip" / "2.png", mask(0, 2) * 1)
    frames = open_masks(tmp_path)[0].frames()
    assert [frame.read().max() for frame in frames[:2]] == [1, 0]
    with pytest.raises(DataError, match=r"0\.png looks black and white, .*2\.png numbered"):
        frames[2].read()

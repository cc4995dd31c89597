"""COCO files as annotation programs write them, all of one mask, against pycocotools."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from avscli.config import StoredOptions
from avscli.errors import DataError
from avscli.evaluation.stored.clips import StoredClip
from avscli.evaluation.stored.coco import CocoReading, coco_clips, json_document
from avscli.evaluation.stored.opening import open_masks

# pycocotools' own decoder copies in a way that numpy 2 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SIZE_HW = (20, 30)
MASK = np.zeros(SIZE_HW, np.uint8)
MASK[4:14, 6:21] = 1
OUTLINE = [6, 4, 21, 4, 21, 14, 6, 14]
ENCODED = coco_mask.encode(np.asfortranarray(MASK))
COUNTS = ENCODED["counts"].decode()
COMPRESSED = {"size": list(SIZE_HW), "counts": COUNTS}
NAMES = ("frame_0.png", "frame_1.png", "frame_2.png")


def plain_counts(mask: np.ndarray) -> list[int]:
    flat = np.concatenate(([0], mask.ravel(order="F"), [2]))
    changes = np.flatnonzero(np.diff(flat))
    return np.diff(changes, prepend=0).tolist()


PLAIN = {"size": list(SIZE_HW), "counts": plain_counts(MASK)}


def document(
    segmentation: object = COMPRESSED,
    names: tuple[str, ...] = NAMES,
    ids: tuple = (1, 2, 3),
    image: dict | None = None,
    annotation: dict | None = None,
) -> dict:
    size = {"height": SIZE_HW[0], "width": SIZE_HW[1]}
    return {
        "images": [
            {"id": i, "file_name": name, **size, **(image or {})}
            for i, name in zip(ids, names, strict=True)
        ],
        "annotations": [
            {"id": k, "image_id": i, "category_id": 1, "iscrowd": 0, "segmentation": segmentation}
            | (annotation or {})
            for k, i in enumerate(ids)
        ],
    }


def clips_of(folder: Path, data: object, reading: CocoReading | None = None) -> list[StoredClip]:
    path = folder / "masks.json"
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return coco_clips(path, json_document(path), reading or CocoReading(2))


def read(folder: Path, data: object, reading: CocoReading | None = None) -> list[np.ndarray]:
    (clip,) = clips_of(folder, data, reading)
    return [frame.read() for frame in clip.frames()]


WRITTEN = {
    "compressed": document(),
    "plain counts": document(PLAIN),
    "plain counts as floats": document({**PLAIN, "counts": [float(n) for n in PLAIN["counts"]]}),
    "quoted bytes": document({**COMPRESSED, "counts": str(ENCODED["counts"])}),
    "quoted bytes with a backslash": document({**COMPRESSED, "counts": repr(COUNTS.encode())}),
    "polygon": document([OUTLINE]),
    "polygon without a list around it": document(OUTLINE),
    "polygon twice": document([OUTLINE, OUTLINE]),
    "polygon and a point": document([OUTLINE, [3, 3]]),
    "two polygons": document([[6, 4, 13, 4, 13, 14, 6, 14], [13, 4, 21, 4, 21, 14, 13, 14]]),
    "numbered by text": document(ids=("1", "2", "3")),
    "numbered by text on one side": {
        "images": document()["images"],
        "annotations": document(ids=("1", "2", "3"))["annotations"],
    },
    "named by text": document(ids=("a", "b", "c")),
    "numbered from 0": document(ids=(0, 1, 2), annotation={"category_id": 0}),
    "sizes as floats": document(image={"height": 20.0, "width": 30.0}),
    "sizes in the masks only": document(image={"height": None, "width": None}),
    "area not a number": document(annotation={"area": float("nan")}),
    "no iscrowd": document(annotation={"iscrowd": None}),
    "crowd told by text": document(annotation={"iscrowd": "0"}),
    "categories null": document() | {"categories": None, "videos": None},
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(document()).encode(),
    "UTF-16": json.dumps(document()).encode("utf-16"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRITTEN)
def test_the_mask_is_read_from(tmp_path: Path, kind: str):
    frames = read(tmp_path, WRITTEN[kind])
    assert len(frames) == 3
    for frame in frames:
        assert np.array_equal(frame, MASK)


@pytest.mark.parametrize("seed", range(5))
def test_polygons_are_filled_as_pycocotools_does(tmp_path: Path, seed: int):
    rng = np.random.default_rng(seed)
    outlines = [(rng.random(2 * n) * 20).round(2).tolist() for n in (3, 5, 8)]
    encoded = coco_mask.merge(coco_mask.frPyObjects(outlines, *SIZE_HW))
    expected = coco_mask.decode(encoded)
    assert np.array_equal(read(tmp_path, document(outlines))[0], expected)


@pytest.mark.parametrize("seed", range(5))
def test_plain_counts_are_those_of_pycocotools(tmp_path: Path, seed: int):
    mask = (np.random.default_rng(seed).random(SIZE_HW) > 0.7).astype(np.uint8)
    plain = {"size": list(SIZE_HW), "counts": plain_counts(mask)}
    assert np.array_equal(coco_mask.decode(coco_mask.frPyObjects(plain, *SIZE_HW)), mask)
    assert np.array_equal(read(tmp_path, document(plain))[0], mask)


@pytest.mark.parametrize("segmentation", [COMPRESSED, PLAIN, [OUTLINE]])
def test_a_crowd_is_void_unless_told_to_be_a_thing(tmp_path: Path, segmentation: object):
    crowds = document(segmentation, annotation={"iscrowd": 1})
    assert np.array_equal(read(tmp_path, crowds)[0], MASK * 255)
    marked = CocoReading(2, crowds_marked=True)
    assert np.array_equal(read(tmp_path, crowds, marked)[0], MASK)


@pytest.mark.parametrize(
    "names",
    [
        ("mp4-00_jpg.rf.3fa9c1.jpg", "mp4-01_jpg.rf.9c2b77.jpg", "mp4-02_jpg.rf.77b0.jpg"),
        ("images\\clip\\f0.png", "images\\clip\\f1.png", "images\\clip\\f2.png"),
        ("http://x.example/v/f0.png?sig=8.1", "http://x.example/v/f1.png?sig=8", "http://x.example/v/f2.png"),
        ("upload/3/1a2b3c4d-f0.png", "upload/3/9f8e7d6c-f1.png", "upload/3/55aa55aa-f2.png"),
        ("f0_a91c.png", "f1_77e2.png", "f2_0b1d.png"),
        ("v/take2_0_final3.png", "v/take2_1_final3.png", "v/take2_2_final3.png"),
        ("9f_0000.png", "a1_0001.png", "77_0002.png"),
    ],
)  # fmt: skip
def test_frames_are_numbered_by_names_of_every_service(tmp_path: Path, names: tuple[str, ...]):
    (clip,) = clips_of(tmp_path, document(names=names))
    assert [frame.index for frame in clip.frames()] == [0, 1, 2]


def test_images_in_another_order_keep_their_masks(tmp_path: Path):
    data = document()
    data["annotations"][1]["segmentation"] = [[0, 0, 5, 0, 5, 5, 0, 5]]
    expected = read(tmp_path, data)
    data["images"].reverse()
    data["annotations"].reverse()
    (clip,) = clips_of(tmp_path, data)
    frames = sorted(clip.frames(), key=lambda frame: frame.index)
    for frame, label_map in zip(frames, expected, strict=True):
        assert np.array_equal(frame.read(), label_map)


def test_an_image_without_size_or_mask_is_of_no_size(tmp_path: Path):
    data = document(image={"height": None, "width": None})
    del data["annotations"][2]
    assert [frame.shape for frame in read(tmp_path, data)] == [SIZE_HW, SIZE_HW, (0, 0)]


def test_a_thing_of_no_area_marks_nothing(tmp_path: Path):
    frames = read(tmp_path, document([], annotation={"area": 0}))
    assert not any(frame.any() for frame in frames)


def test_a_list_per_thing_is_read_as_youtube_vis_writes_it(tmp_path: Path):
    names = ["c/00000.jpg", "c/00005.jpg", "c/00010.jpg"]
    data = {
        "videos": [{"id": 1, "file_names": names, "height": SIZE_HW[0], "width": SIZE_HW[1]}],
        "annotations": [
            {"id": 1, "video_id": 1, "category_id": 3, "segmentations": [COMPRESSED, None, PLAIN]}
        ],
    }
    (clip,) = clips_of(tmp_path, data)
    assert clip.clip_id == "c"
    assert [frame.index for frame in clip.frames()] == [0, 5, 10]
    for frame, seen in zip(clip.frames(), (1, 0, 1), strict=True):
        assert np.array_equal(frame.read(), MASK * seen)
    data["annotations"][0]["segmentations"].pop()
    with pytest.raises(DataError, match="annotation 0: segmentations are not one per file name"):
        clips_of(tmp_path, data)


def test_a_list_of_results_means_the_images_of_the_truth(tmp_path: Path):
    true, predicted = tmp_path / "true.json", tmp_path / "results.json"
    true.write_text(json.dumps(document()))
    results = [{"image_id": 2, "category_id": 1, "segmentation": COMPRESSED, "score": 0.75}]
    predicted.write_text(json.dumps(results))
    (clip,) = open_masks(predicted, 2, StoredOptions(), images_of=true)
    frames = clip.frames()
    assert [frame.read().any() for frame in frames] == [False, True, False]
    assert [frame.score for frame in frames] == [0.0, 0.75, 0.0]
    with pytest.raises(DataError, match="is a list of results") as caught:
        open_masks(predicted, 2, StoredOptions())
    assert "--pred" in caught.value.hint


def test_scores_of_the_truth_do_not_matter(tmp_path: Path):
    data = document(annotation={"score": 93.0})
    assert np.array_equal(read(tmp_path, data, CocoReading(2, scored=False))[0], MASK)
    with pytest.raises(DataError, match=r"annotation 0: score is 93\.0, expected 0 … 1"):
        read(tmp_path, data)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (document([]), r"annotation 0: segmentation is \[\]: a box at most"),
        (document(None), "annotation 0: segmentation is None: a box at most"),
        (document("mask.png"), "annotation 0: segmentation holds 'mask.png'"),
        (document([[1, 2, 3]]), r"annotation 0: segmentation holds \[1, 2, 3\]"),
        (document([OUTLINE], image={"height": None}), "image 1: height is None"),
        (document([[6, 4, 45, 4, 45, 14]]), "image 1: segmentation: a polygon reaches x = 6 … 45"),
        (document(image={"height": 30, "width": 20}), "image 1: segmentation size 20×30, its"),
        (document({**PLAIN, "counts": [5, 6]}), "image 1: segmentation: run lengths cover 11"),
        (document({**COMPRESSED, "counts": "b'zz"}), "image 1: segmentation: not COCO compr"),
        (document(ids=(1, 1, 2)), "two images have the id 1"),
        (document(annotation={"iscrowd": "yes"}), "annotation 0: iscrowd is 'yes'"),
        (document(annotation={"image_id": None}), "annotation 0: image_id is None"),
        (document(names=("a.png", "b.png", "c.png")), "has no frame number"),
        (document(names=("a1b7.png", "c3d9.png", "e2f5.png")), "which number counts the frames"),
    ],
)
def test_what_cannot_be_read_is_told_by_its_field(tmp_path: Path, data: dict, told: str):
    with pytest.raises(DataError, match=told) as caught:
        read(tmp_path, data)
    assert caught.value.exit_code == 3


def test_a_category_that_is_the_background_among_classes_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="category_id 0, there are 3 classes") as caught:
        read(tmp_path, document(annotation={"category_id": 0}), CocoReading(3))
    assert "from 1" in caught.value.hint

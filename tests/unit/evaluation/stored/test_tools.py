"""Files of CVAT and Label Studio as their programs write them, and as they come damaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from avscli.config import StoredOptions
from avscli.errors import DataError
from avscli.evaluation.stored.brush import encode_brush
from avscli.evaluation.stored.opening import open_masks

META = """<meta><{kind}><id>7</id><name>my task</name><size>4</size><mode>interpolation</mode>
<start_frame>0</start_frame><stop_frame>3</stop_frame><frame_filter></frame_filter>
<labels><label><name>dog</name></label><label><name>cat</name></label></labels>
<original_size><width>6</width><height>4</height></original_size>
<source>street.mp4</source></{kind}></meta>"""


def cvat(path: Path, inside: str, kind: str = "task") -> Path:
    meta = META.format(kind=kind)
    path.write_text(f"<annotations><version>1.1</version>{meta}{inside}</annotations>")
    return path


def maps(path: Path, num_classes: int = 2) -> list[list[list[int]]]:
    (clip,) = open_masks(path, num_classes, StoredOptions())
    return [frame.read().tolist() for frame in clip.frames()]


def mask(frame: int | None, rle: str, box: tuple[int, int, int, int], **more: str) -> str:
    left, top, width, height = box
    told = {"left": left, "top": top, "width": width, "height": height, "rle": rle, **more}
    if frame is not None:
        told |= {"frame": frame, "keyframe": 1}
    attributes = " ".join(f'{name}="{value}"' for name, value in told.items())
    return f"<mask {attributes}></mask>"


@pytest.mark.parametrize("kind", ["task", "job"])
def test_tracks_as_cvat_exports_masks_of_videos(tmp_path: Path, kind: str) -> None:
    first = mask(1, "0, 2", (2, 1, 2, 1), outside="0") + mask(2, "0, 2", (2, 1, 2, 1), outside="1")
    second = mask(3, "1, 2, 1", (0, 0, 2, 2), outside="0")
    tracks = f'<track id="0" label="dog">{first}</track><track id="1" label="cat">{second}</track>'
    path = cvat(tmp_path / "annotations.xml", tracks, kind)
    (clip,) = open_masks(tmp_path, 2, StoredOptions())
    assert clip.clip_id == "street.mp4"
    empty = np.zeros((4, 6), int).tolist()
    one, two = np.zeros((2, 4, 6), int)
    one[1, 2:4] = 1
    two[0, 1] = two[1, 0] = 1
    assert maps(path) == [empty, one.tolist(), empty, two.tolist()]
    assert maps(path, 3)[3] == (2 * two).tolist()
    assert [mask.track_id for frame in clip.frames() for mask in frame.masks or ()] == [1, 2]


def test_a_frame_step_leaves_out_the_frames_between(tmp_path: Path) -> None:
    path = cvat(tmp_path / "a.xml", "")
    path.write_text(path.read_text().replace("<frame_filter>", "<frame_filter>step=3"))
    (clip,) = open_masks(path, 2, StoredOptions())
    assert [frame.index for frame in clip.frames()] == [0, 3]


def test_images_are_numbered_by_name_and_painted_from_the_lowest_up(tmp_path: Path) -> None:
    shapes = (
        mask(None, "0, 4", (0, 0, 2, 2), label="dog", z_order="1")
        + '<polygon label="cat" points="0,0;4,0;4,4;0,4" z_order="0" group_id="5"></polygon>'
        + '<tag label="dog"></tag>'
    )
    image = f'<image id="0" name="a/frame_000002.png" width="6" height="4">{shapes}</image>'
    path = cvat(tmp_path / "a.xml", image)
    (clip,) = open_masks(path, 3, StoredOptions())
    (frame,) = clip.frames()
    assert frame.index == 2
    assert frame.read()[:, :5].tolist() == [[1, 1, 2, 2, 0]] * 2 + [[2, 2, 2, 2, 0]] * 2
    assert [mask.track_id for mask in frame.masks or ()] == [5, None]


IMAGE = '<image id="0" name="frame_000000" width="6" height="4">{}</image>'


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        ("<image", "cannot read"),
        (IMAGE.format('<box label="dog" xtl="1" ytl="1" xbr="2" ybr="2"/>'), "<box>, which is no"),
        (IMAGE.format(mask(None, "0, 4", (0, 0, 2, 2), label="cow")), "label 'cow' is not among"),
        (IMAGE.format(mask(None, "0, x", (0, 0, 2, 2), label="dog")), "rle is no list"),
        (IMAGE.format(mask(None, "0, 9", (0, 0, 2, 2), label="dog")), "cover 9 pixels"),
        (IMAGE.format(mask(None, "-1, 5", (0, 0, 2, 2), label="dog")), "cover 4 pixels"),
        (IMAGE.format(mask(None, "0, 4", (5, 0, 2, 2), label="dog")), "outside of a frame"),
        (IMAGE.format('<mask label="dog" rle="1" left="a"/>'), "left is 'a'"),
        (IMAGE.format('<polygon label="dog" points="1,2;3,4"/>'), "three points"),
        (IMAGE.format('<polygon label="dog" points="1,2;3,4;nan,1"/>'), "three points"),
        (IMAGE.format('<polygon label="dog" points="1,2;3,4;99,1"/>'), "reaches x"),
        ('<image id="0" name="first" width="6" height="4"/>', "has no frame number"),
        ('<track id="0" label="dog"><mask rle="1"/></track>', "frame is None"),
    ],
)
def test_what_is_not_as_cvat_writes_it_is_told(tmp_path: Path, inside: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        maps(cvat(tmp_path / "a.xml", inside))


def test_a_document_that_defines_entities_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text('<!DOCTYPE a [<!ENTITY x "xxxx">]><annotations>&x;</annotations>')
    with pytest.raises(DataError, match="declares a type of documents"):
        maps(path)


def test_another_xml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text("<html/>")
    with pytest.raises(DataError, match="is no XML of CVAT"):
        maps(path)


def region(value: dict[str, object], **more: object) -> dict[str, object]:
    return {
        "id": "r1",
        "type": "brushlabels",
        "original_width": 6,
        "original_height": 4,
        "value": value,
        **more,
    }


def tasks(path: Path, *results: list[dict[str, object]]) -> Path:
    told = [
        {
            "id": k,
            "data": {"image": f"/data/upload/1/1a2b3c4d-frame_{k:06d}.jpg"},
            "annotations": [{"result": result}],
        }
        for k, result in enumerate(results)
    ]
    path.write_text(json.dumps(told))
    return path


def brushed() -> dict[str, object]:
    marked = np.zeros((4, 6), np.bool_)
    marked[1, 2:5] = True
    return {"format": "rle", "rle": encode_brush(marked), "brushlabels": ["dog"]}


def test_brushed_masks_and_polygons_as_label_studio_exports_them(tmp_path: Path) -> None:
    polygon = {
        "points": [[0, 0], [50, 0], [50, 100], [0, 100]],
        "polygonlabels": ["cat"],
        "closed": True,
    }
    path = tasks(
        tmp_path / "a.json",
        [region(brushed()), region(polygon, id="r2", meta={"text": ["track 8"]})],
        [],
        [region({"choices": ["fine"]}, type="choices")],
    )
    (clip,) = open_masks(path, 2, StoredOptions())
    frames = clip.frames()
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert frames[0].read().tolist() == [
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 1, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
    ]
    assert not frames[1].read().any()
    assert frames[1].read().shape == (4, 6)
    assert [mask.track_id for mask in frames[0].masks or ()] == [None, 8]
    assert clip.class_names == {1: "dog", 2: "cat"}


def test_a_label_may_stand_in_a_result_of_its_own(tmp_path: Path) -> None:
    value = brushed()
    del value["brushlabels"]
    path = tasks(tmp_path / "a.json", [region(value), region({"labels": ["bird"]}, type="labels")])
    (clip,) = open_masks(path, 2, StoredOptions())
    assert clip.class_names == {1: "bird"}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"x": 1, "y": 1, "width": 2, "height": 2, "rectanglelabels": ["dog"]}, "a box"),
        ({"sequence": [], "labels": ["dog"]}, "a box"),
        ({"rle": [1, 2, 999]}, "no list of bytes"),
        ({"rle": "abc"}, "no list of bytes"),
        ({"rle": [0, 0, 0]}, "end early"),
        ({"points": [[1, 2], [3, 4]]}, "three points"),
        ({"points": "x"}, "three points"),
    ],
)
def test_what_is_not_as_label_studio_writes_it_is_told(
    tmp_path: Path, value: dict[str, object], says: str
) -> None:
    path = tasks(tmp_path / "a.json", [region(value)])
    with pytest.raises(DataError, match=says):
        maps(path)


def test_names_of_classes_without_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="names of classes, and no numbers"):
        maps(tasks(tmp_path / "a.json", [region(brushed())]), 3)

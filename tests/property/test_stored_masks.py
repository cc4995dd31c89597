"""Whatever a tool's file says, it is read or refused by name, never stumbled over."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from avscli.errors import DataError
from avscli.evaluation.stored.brush import encode_brush
from avscli.evaluation.stored.coco import CocoReading
from avscli.evaluation.stored.opening import annotated_clips
from avscli.masks import encode_mask

SIZE_HW = (6, 8)
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-(2**40), 2**31, 2**40]),
    st.integers(-1, 9),
    st.floats(),
    st.text(max_size=4),
    st.lists(st.integers(-1, 9), max_size=3),
    st.dictionaries(st.sampled_from(["size", "counts"]), st.integers(0, 9), max_size=2),
)


def document() -> dict[str, list[dict[str, object]]]:
    mask = np.zeros(SIZE_HW, np.bool_)
    mask[2:4, 2:5] = True
    segmentation = {"size": list(SIZE_HW), "counts": encode_mask(mask).counts}
    image = {"height": SIZE_HW[0], "width": SIZE_HW[1], "video_id": 1}
    return {
        "videos": [{"id": 1, "file_name": "clip.mp4"}],
        "images": [
            image | {"id": k, "file_name": f"{k}.jpg", "frame_id": k, "time": k / 2} for k in (1, 2)
        ],
        "annotations": [
            {
                "id": k,
                "image_id": k,
                "category_id": 1,
                "score": 0.5,
                "iscrowd": 0,
                "segmentation": segmentation,
            }
            for k in (1, 2)
        ],
    }


def tasks() -> list[dict[str, object]]:
    """What Label Studio exports."""
    mask = np.zeros(SIZE_HW, np.bool_)
    mask[2:4, 2:5] = True
    size = {"original_height": SIZE_HW[0], "original_width": SIZE_HW[1]}
    brushed = {"rle": encode_brush(mask), "brushlabels": ["dog"]}
    outlined = {"points": [[10, 10], [90, 10], [90, 90]], "polygonlabels": ["cat"]}
    regions = [
        {"id": "a", "type": "brushlabels", "meta": {"text": ["track 1"]}, "value": brushed} | size,
        {"id": "b", "type": "polygonlabels", "value": outlined} | size,
    ]
    annotation = {"result": regions, "was_cancelled": False, "updated_at": "2026-01-01"}
    return [
        {"id": k, "data": {"image": f"clip/{k}.jpg"}, "annotations": [annotation]} for k in (1, 2)
    ]


CVAT = """<annotations><meta><task><start_frame>0</start_frame><stop_frame>2</stop_frame>
<labels><label><name>dog</name></label></labels>
<original_size><width>8</width><height>6</height></original_size></task></meta>
<track id="0" label="dog" group_id="1"><mask frame="0" outside="0" rle="1, 3" left="1" top="1"
width="2" height="2" z_order="0"/><mask frame="2" outside="1" rle="0, 1" left="0" top="0"
width="1" height="1" z_order="0"/></track><image id="1" name="frame_000001" width="8" height="6">
<polygon label="dog" points="1,1;5,1;5,5" z_order="1"/></image></annotations>"""
_VALUES = re.compile(r'(?<=")[^"<>]*(?=")|(?<=>)[^<>]+(?=<)')


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from([document, tasks]))
def test_a_file_with_one_strange_field_is_read_or_refused(
    data: st.DataObject, make: Callable[[], Any]
) -> None:
    told = {"whole": make()}
    part: dict[str, Any] = told
    while True:  # walk to a field: of the whole, of a list's entry, of a segmentation
        field = data.draw(st.sampled_from(sorted(part)))
        inside = part[field]
        deeper = inside[0] if isinstance(inside, list) and isinstance(inside[0], dict) else inside
        if not isinstance(deeper, dict) or (part is not told and data.draw(st.booleans())):
            break
        part = deeper
    part[field] = data.draw(ANYTHING)
    read_or_refused("masks.json", json.dumps(told["whole"]))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_an_xml_with_one_strange_value_is_read_or_refused(data: st.DataObject) -> None:
    place = data.draw(st.sampled_from([*_VALUES.finditer(CVAT)]))
    numbers = st.sampled_from(["-1", "0", "7", "9" * 30, "1e9", "nan", "0, 4", "999999999", "²"])
    value = data.draw(st.one_of(numbers, st.text("0123456789,;. xé", max_size=6)))
    text = CVAT[: place.start()] + value + CVAT[place.end() :]
    read_or_refused("masks.xml", text)


def read_or_refused(name: str, text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text, "utf-8")
        refusal = name
        for num_classes in (2, 71):
            try:
                clips = annotated_clips(path, CocoReading(num_classes))
                assert all(f.read().dtype == np.uint8 for clip in clips for f in clip.frames())
            except DataError as err:
                refusal = str(err)
            assert name in refusal

"""Whatever a COCO file says, it is read or refused by name, never stumbled over."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from avscli.errors import DataError
from avscli.evaluation.stored.coco import CocoReading, coco_clips, json_document
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


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_file_with_one_strange_field_is_read_or_refused(data: st.DataObject) -> None:
    told: dict[str, object] = document()
    part: dict[str, object] = told
    while True:  # walk to a field: of the whole, of a list's entry, of a segmentation
        field = data.draw(st.sampled_from(sorted(part)))
        inside = part[field]
        deeper = inside[0] if isinstance(inside, list) and isinstance(inside[0], dict) else inside
        if not isinstance(deeper, dict) or data.draw(st.booleans()):
            break
        part = deeper
    part[field] = data.draw(ANYTHING)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "masks.json"
        path.write_text(json.dumps(told))
        refusal = "masks.json"
        try:
            clips = coco_clips(path, json_document(path), CocoReading(71))
            assert all(f.read().dtype == np.uint8 for clip in clips for f in clip.frames())
        except DataError as err:
            refusal = str(err)
        assert "masks.json" in refusal

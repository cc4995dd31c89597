"""Print what other programs read from an export: ``python reading.py PROGRAM FOLDER``.

It runs in an environment of its own (.ci/importers.txt), in which there is no avscli. A line of
JSON per object: frame, track, class, size and the mask, packed by rows; `None` where the
program does not say.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Line = dict[str, Any]


def line(frame: int, track: int | None, name: str, mask: np.ndarray) -> Line:
    marked = np.asarray(mask, np.bool_)
    packed = np.packbits(marked).tobytes().hex()
    return {"frame": frame, "track": track, "class": name, "size": marked.shape, "mask": packed}


def by_datumaro(folder: Path, form: str, *, track: str) -> Iterator[Line]:
    import datumaro
    from datumaro.components.annotation import AnnotationType

    data = datumaro.Dataset.import_from(str(folder), form)
    labels = data.categories()[AnnotationType.label]
    for item in data:
        for annotation in item.annotations:
            if annotation.type != AnnotationType.mask:
                continue  # the boxes of COCO
            attributes = annotation.attributes
            yield line(
                int(item.attributes.get("frame", item.id.rpartition("_")[2])),
                int(attributes[track]) if track in attributes else None,
                labels[annotation.label].name,
                annotation.image,
            )


def datumaro_coco(folder: Path) -> Iterator[Line]:
    """Read polygons, of which each is an annotation, and those of one mask are a group."""
    import datumaro
    from datumaro.components.annotation import AnnotationType
    from pycocotools import mask as coco_mask

    for name in ("annotations", "images"):  # where it looks
        (folder / name).mkdir()
    (folder / "masks.coco.json").rename(folder / "annotations" / "instances_default.json")
    data = datumaro.Dataset.import_from(str(folder), "coco_instances")
    labels = data.categories()[AnnotationType.label]
    for item in data:
        height, width = item.media.size
        parts: dict[int, list[Any]] = {}
        for each in item.annotations:
            if each.type == AnnotationType.polygon:
                parts.setdefault(each.group, []).append(each)
        for polygons in parts.values():
            rles = [r for p in polygons for r in coco_mask.frPyObjects([p.points], height, width)]
            mask = coco_mask.decode(coco_mask.merge(rles))
            frame, first = int(item.id.rpartition("_")[2]), polygons[0]
            yield line(frame, first.attributes.get("track_id"), labels[first.label].name, mask)


def label_studio(folder: Path) -> Iterator[Line]:
    from label_studio_sdk.converter.brush import decode_rle

    for data, region in regions(folder, "pictures"):
        size = (region["original_height"], region["original_width"], 4)
        values = decode_rle(region["value"]["rle"]).reshape(size)
        (name,) = region["value"]["brushlabels"]
        yield line(data["frame"], track_of(region), name, values[..., 3] > 0)


def label_studio_boxes(folder: Path) -> Iterator[Line]:
    """Read the box of each frame in per cent, as Label Studio fills in those between keyframes."""
    from label_studio_sdk._extensions.label_studio_tools.postprocessing.video import (
        extract_key_frames,
    )

    for data, region in regions(folder, "videos"):
        (filled,) = extract_key_frames([region])
        for key in filled["value"]["sequence"]:
            box = [key[side] for side in ("x", "y", "width", "height")]
            yield {
                "frame": key["frame"] - 1,
                "track": track_of(region),
                "class": filled["value"]["labels"][0],
                "box": box,
                "video": data["name"],
            }


def regions(folder: Path, kind: str) -> Iterator[tuple[Line, Line]]:
    """Return the regions of tasks that suit their labelling interface."""
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface((folder / f"{kind}.xml").read_text("utf-8"))
    for task in json.loads((folder / f"{kind}.json").read_text("utf-8")):
        (prediction,) = task["predictions"]
        errors = interface.validate_prediction(prediction, return_errors=True)
        assert not errors, errors
        for region in prediction["result"]:
            yield task["data"], region


def track_of(region: Line) -> int:
    return int(region["meta"]["text"][0].removeprefix("track "))


def datumaro(folder: Path) -> Iterator[Line]:
    return by_datumaro(folder, "datumaro", track="track_id")


def cvat(folder: Path) -> Iterator[Line]:
    return by_datumaro(folder, "cvat", track="object")


def supervision(folder: Path) -> Iterator[Line]:
    from supervision import Detections

    for path in sorted(folder.rglob("*.jsonl")):
        for text in path.read_text("utf-8").splitlines():
            told = json.loads(text)
            found = Detections.from_inference(told)
            for k in range(len(found)):
                name = str(found.data["class_name"][k])
                yield line(told["frame"], int(found.tracker_id[k]), name, found.mask[k])


def trackeval(folder: Path) -> Iterator[Line]:
    """Read YouTube-VIS as the truth of an evaluation."""
    from pycocotools import mask as coco_mask
    from trackeval.datasets import YouTubeVIS

    (folder / "trackers").mkdir()
    config = {
        "GT_FOLDER": f"{folder}/",
        "TRACKERS_FOLDER": f"{folder}/",
        "SPLIT_TO_EVAL": "x",
        "PRINT_CONFIG": False,
    }
    (folder / "youtube_vis_x").mkdir()
    (folder / "instances.json").rename(folder / "youtube_vis_x" / "instances.json")
    data = YouTubeVIS({**config, "TRACKERS_TO_EVAL": []})
    names = {number: name for name, number in data.class_name_to_class_id.items()}
    for video in data.gt_data["videos"]:
        raw = data._load_raw_file("", video["file_names"][0].split("/")[0], True)
        for step, path in enumerate(video["file_names"]):
            frame = int(Path(path).stem.rpartition("_")[2])
            found = (raw["gt_ids"][step], raw["gt_classes"][step], raw["gt_dets"][step])
            for track, label, mask in zip(*found, strict=True):
                yield line(frame, int(track), names[int(label)], coco_mask.decode(mask))


PROGRAMS: dict[str, Callable[[Path], Iterator[Line]]] = {
    each.__name__: each
    for each in (
        datumaro,
        datumaro_coco,
        cvat,
        supervision,
        trackeval,
        label_studio,
        label_studio_boxes,
    )
}

if __name__ == "__main__":
    for each in PROGRAMS[sys.argv[1]](Path(sys.argv[2])):
        sys.stdout.write(json.dumps(each) + "\n")

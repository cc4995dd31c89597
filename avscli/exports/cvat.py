"""CVAT 1.1: ``NAME.xml`` with the masks of each source frame, in the form that CVAT imports.

CVAT knows no tracks of masks: of a track with several, its importer keeps the first mask and drops
the others (``load_anno`` in cvat/apps/dataset_manager/formats/cvat.py). So the masks stand in
``<image>`` elements, named as CVAT names the frames of a video, and an object is known by its
group and by its attribute ``object``. `cvat_tracks` writes tracks of masks for what reads them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from avscli.evaluation.stored.cvat import OBJECT
from avscli.exports.places import file_for, picture_name
from avscli.exports.xml_files import xml_file
from avscli.masks import decode_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from avscli.config import ExportOptions
    from avscli.exports.video import MarkedFrame, MarkedVideo
    from avscli.exports.xml_files import Xml
    from avscli.masks import EncodedMask


def write(
    videos: Sequence[MarkedVideo],
    folder: Path,
    _options: ExportOptions,
    _on_note: Callable[[str], None],
) -> None:
    """Write a file per video; see `Writer.write`."""
    for video in videos:
        with cvat_file(video, folder) as xml:
            for frame in video.frames():
                _write_image(xml, video, frame)


def _write_image(xml: Xml, video: MarkedVideo, frame: MarkedFrame) -> None:
    height, width = video.size_hw
    image = {
        "id": str(frame.index),
        "name": picture_name(frame, ""),
        "width": str(width),
        "height": str(height),
    }
    with xml.element("image", image):
        for each in frame.objects:
            attributes = {
                "label": video.categories[each.category_id],
                "source": "auto",
                "occluded": "0",
                **shape_of(each.mask),
                "group_id": str(each.track_id),
            }
            with xml.element("mask", attributes):
                xml.text("attribute", str(each.track_id), {"name": OBJECT})


@contextmanager
def cvat_file(video: MarkedVideo, folder: Path) -> Iterator[Xml]:
    """Open the file of a video, with all that stands before its annotations."""
    with xml_file(file_for(video, folder, ".xml")) as xml, xml.element("annotations"):
        xml.text("version", "1.1")
        _write_meta(xml, video)
        yield xml


def _write_meta(xml: Xml, video: MarkedVideo) -> None:
    last = 0
    for frame in video.frames():
        last = frame.index
    height, width = video.size_hw
    with xml.element("meta"), xml.element("task"):
        xml.text("name", video.name)
        xml.text("size", str(last + 1))
        xml.text("mode", "interpolation")
        xml.text("start_frame", "0")
        xml.text("stop_frame", str(last))
        with xml.element("labels"):
            for name in video.categories.values():
                with xml.element("label"):
                    xml.text("name", name)
                    xml.text("type", "mask")
                    with xml.element("attributes"), xml.element("attribute"):
                        xml.text("name", OBJECT)
                        xml.text("mutable", "False")
                        xml.text("input_type", "text")
                        xml.text("default_value", "")
                        xml.text("values", "")
        with xml.element("original_size"):
            xml.text("width", str(width))
            xml.text("height", str(height))
        xml.text("source", video.name)


def shape_of(mask: EncodedMask) -> dict[str, str]:
    """Return a mask as CVAT's attributes: run lengths by rows, inside its box, unmarked first."""
    x, y, width, height = mask.bbox
    inside = decode_mask(mask.size_hw, mask.counts)[y : y + height, x : x + width].ravel()
    changes = np.flatnonzero(np.diff(inside, prepend=False))
    runs = np.diff(changes, prepend=0, append=inside.size)
    return {
        "rle": ", ".join(map(str, runs.tolist())),
        "left": str(x),
        "top": str(y),
        "width": str(width),
        "height": str(height),
        "z_order": "0",
    }

"""Label Studio: pictures with brushed masks, and videos with boxes that are on and off.

OUT/pictures.json, pictures.xml    a task per analysed frame, and its labelling interface
OUT/videos.json, videos.xml        a task per video, and its labelling interface
OUT/media/NAME/…                   what the tasks show, for local storage with OUT as its root

Label Studio has no masks in videos, so these have the boxes; and it finds a frame by time × rate,
so a video of variable rate would show them at the wrong time, and is refused.
"""

from __future__ import annotations

import os
import shutil
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import quote

import cv2

from avscli import __version__
from avscli.errors import DataError
from avscli.evaluation.stored.brush import encode_brush
from avscli.exports.places import folder_for, picture_name
from avscli.exports.tracks import classes_of_tracks
from avscli.exports.video import common_categories
from avscli.exports.xml_files import xml_file
from avscli.masks import decode_mask
from avscli.media.frames import upright_pictures
from avscli.outputs.coco import compact_json
from avscli.outputs.disk import LineFile
from avscli.outputs.run_source import opened_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from avscli.config import ExportOptions
    from avscli.exports.video import MarkedFrame, MarkedObject, MarkedVideo

Json = dict[str, object]
MEDIA = "media"
_MODEL = f"avs {__version__}"
_JPEG_QUALITY = 95


def write(
    videos: Sequence[MarkedVideo],
    folder: Path,
    _options: ExportOptions,
    on_note: Callable[[str], None],
) -> None:
    """Write both kinds of tasks and what they show; see `Writer.write`.

    Raises:
        DataError: a video is gone, or of variable frame rate.
    """
    for video in videos:
        require_constant_rate(video)
    names = common_categories(videos)
    on_note("Label Studio has no masks in videos: videos.json has boxes, pictures.json the masks")
    for video in videos:
        _write_media(video, folder / MEDIA)
    _write_tasks(folder / "pictures.json", _pictures(videos))
    _write_tasks(folder / "videos.json", _videos(videos, on_note))
    _write_interfaces(folder, names)


def require_constant_rate(video: MarkedVideo) -> None:
    """Make sure that frame number over frame rate is where a frame stands.

    Raises:
        DataError: it is not, by more than half a frame.
    """
    first: MarkedFrame | None = None
    for frame in video.frames():
        first = first or frame
        expected = None
        if video.frame_rate is not None:
            expected = first.seconds + float((frame.index - first.index) / video.frame_rate)
            if abs(frame.seconds - expected) * video.frame_rate <= 0.5:
                continue
        told = "unknown" if expected is None else f"{expected:.3f} s at a constant rate"
        raise DataError(
            f"{video.name} has a variable frame rate (frame {frame.index} stands at "
            f"{frame.seconds:.3f} s, {told}), and Label Studio would show it at a wrong time",
            hint="make the rate constant, ffmpeg -i IN -fps_mode cfr OUT, and segment that; or "
            "export to cvat, which counts frames",
        )


def _write_media(video: MarkedVideo, root: Path) -> None:
    """Put the video there, and its analysed frames as pictures."""
    place = folder_for(video, root)
    paths = {frame.index: place / picture_name(frame, ".jpg") for frame in video.analysed()}
    with opened_source(video.source, video.source_sha256) as media:
        for picture in upright_pictures(media, paths.keys()):
            quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
            is_encoded, data = cv2.imencode(".jpg", picture.rgb[..., ::-1], quality)
            assert is_encoded, "JPEG takes every picture of 8 bits"
            paths[picture.stamp.index].write_bytes(bytes(data))
    copy = place / _copy_name(video)
    try:
        os.link(video.source, copy)
    except OSError:  # another disk, or one without such links
        shutil.copyfile(video.source, copy)


def _copy_name(video: MarkedVideo) -> str:
    return f"video{video.source.suffix}"


def _address(video: MarkedVideo, name: str) -> str:
    path = f"{MEDIA}/{video.name}/{name}".encode(errors="surrogateescape")
    return f"/data/local-files/?d={quote(path)}"


def _write_tasks(path: Path, tasks: Iterable[Json]) -> None:
    with LineFile(path) as out:
        separator = "["
        for task in tasks:
            out.write(separator + compact_json(task))
            separator = ","
        out.write("]" if separator == "," else "[]")


def _pictures(videos: Sequence[MarkedVideo]) -> Iterator[Json]:
    ids = count(1)
    for video in videos:
        for frame in video.analysed():
            data = {
                "image": _address(video, picture_name(frame, ".jpg")),
                "name": f"{video.name}/{picture_name(frame)}",
                "frame": frame.index,
                "time": frame.seconds,
            }
            result = [_brushed(each, video, f"{next(ids)}") for each in frame.objects]
            scores = [each.score for each in frame.objects]
            yield _task(data, result, min(scores, default=1.0))


def _brushed(each: MarkedObject, video: MarkedVideo, region_id: str) -> Json:
    height, width = video.size_hw
    mask = decode_mask(each.mask.size_hw, each.mask.counts)
    return {
        "id": region_id,
        "type": "brushlabels",
        "from_name": "tag",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "score": each.score,
        "meta": {"text": [f"track {each.track_id}"]},
        "value": {
            "format": "rle",
            "rle": encode_brush(mask),
            "brushlabels": [video.categories[each.category_id]],
        },
    }


def _task(data: Json, result: Sequence[Json], score: float) -> Json:
    prediction = {"model_version": _MODEL, "score": score, "result": result}
    return {"data": data, "predictions": [prediction]}


def _videos(videos: Sequence[MarkedVideo], on_note: Callable[[str], None]) -> Iterator[Json]:
    for video in videos:
        assert video.frame_rate is not None, "require_constant_rate has seen to it"
        rate = float(video.frame_rate)
        classes = classes_of_tracks(video, video.frames(), on_note)
        tracks, length = _sequences(video, rate)
        data = {
            "video": _address(video, _copy_name(video)),
            "name": video.name,
            "fps": rate,
        }
        result: list[Json] = [
            {
                "id": f"track{track_id}",
                "type": "videorectangle",
                "from_name": "box",
                "to_name": "video",
                "meta": {"text": [f"track {track_id}"]},
                "value": {
                    "framesCount": length,
                    "duration": length / rate,
                    "sequence": tracks[track_id],
                    "labels": [video.categories[category_id]],
                },
            }
            for track_id, category_id in classes.items()
        ]
        yield _task(data, result, 1.0)


def _sequences(video: MarkedVideo, rate: float) -> tuple[dict[int, list[Json]], int]:
    """Return the keyframes of each track, and the number of frames.

    A keyframe that is not enabled is the last one before the object is off. Between two that are,
    Label Studio moves the box, so every change has one on both sides.
    """
    tracks: dict[int, list[Json]] = {}
    shown: dict[int, Json] = {}  # as the frame before has it
    length = 0
    for frame in video.frames():
        length = frame.index + 1
        now = {each.track_id: _keyframe(frame, each, video, rate) for each in frame.objects}
        for track_id, key in shown.items():
            if track_id not in now:
                _add(tracks[track_id], {**key, "enabled": False})
            elif _box(now[track_id]) != _box(key):
                _add(tracks[track_id], key)
        for track_id, key in now.items():
            if track_id not in shown or _box(shown[track_id]) != _box(key):
                _add(tracks.setdefault(track_id, []), key)
        shown = now
    for track_id, key in shown.items():
        _add(tracks[track_id], {**key, "enabled": False})
    return tracks, length


def _add(sequence: list[Json], key: Json) -> None:
    """Append a keyframe, in place of one of the same frame."""
    if sequence and sequence[-1]["frame"] == key["frame"]:
        sequence.pop()
    sequence.append(key)


def _keyframe(frame: MarkedFrame, each: MarkedObject, video: MarkedVideo, rate: float) -> Json:
    height, width = video.size_hw
    x, y, box_width, box_height = each.mask.bbox
    return {
        "frame": frame.index + 1,
        "time": frame.index / rate,
        "enabled": True,
        "rotation": 0,
        "x": 100 * x / width,
        "y": 100 * y / height,
        "width": 100 * box_width / width,
        "height": 100 * box_height / height,
    }


def _box(key: Json) -> tuple[object, ...]:
    return key["x"], key["y"], key["width"], key["height"]


def _write_interfaces(folder: Path, names: Mapping[int, str]) -> None:
    with xml_file(folder / "pictures.xml") as xml, xml.element("View"):
        xml.text("Image", "", {"name": "image", "value": "$image", "zoom": "true"})
        with xml.element("BrushLabels", {"name": "tag", "toName": "image"}):
            for name in names.values():
                xml.text("Label", "", {"value": name})
    with xml_file(folder / "videos.xml") as xml, xml.element("View"):
        with xml.element("Labels", {"name": "labels", "toName": "video"}):
            for name in names.values():
                xml.text("Label", "", {"value": name})
        xml.text("Video", "", {"name": "video", "value": "$video", "framerate": "$fps"})
        xml.text("VideoRectangle", "", {"name": "box", "toName": "video"})

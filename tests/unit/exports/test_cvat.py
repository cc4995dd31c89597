"""Exports to CVAT, read by the standard library and its own run lengths."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tests.conftest import Avs
from tests.run_folders import SIZE_HW, Frame, ring, scene, write_run


def mask_of(shape: ET.Element) -> np.ndarray:
    left, top, width, height = (int(shape.attrib[k]) for k in ("left", "top", "width", "height"))
    runs = [int(run) for run in shape.attrib["rle"].split(",")]
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    mask = np.zeros(SIZE_HW, np.bool_)
    mask[top : top + height, left : left + width] = inside
    return mask


def exported(avs: Avs, tmp_path: Path, frames: list[Frame], *arguments: str) -> ET.Element:
    write_run(tmp_path / "a.mp4", frames)
    done = avs("export", tmp_path / "a.mp4", "--to", *arguments, "-o", tmp_path / "out")
    assert done.code == 0, done.err
    return ET.parse(tmp_path / "out" / "a.mp4.xml").getroot()


def test_every_source_frame_has_its_masks(avs: Avs, tmp_path: Path) -> None:
    frames = scene()
    root = exported(avs, tmp_path, frames, "cvat")
    images = root.findall("image")
    assert [image.attrib["name"] for image in images] == [f"frame_{k:06d}" for k in range(12)]
    for image, frame in zip(images, frames, strict=True):
        found = {shape.attrib["label"]: mask_of(shape) for shape in image}
        assert found.keys() == {("dog", "person")[label - 1] for label in frame.masks}
        for label, mask in frame.masks.items():
            assert np.array_equal(found[("dog", "person")[label - 1]], mask)
    assert [each.text for each in root.findall("meta/task/labels/label/name")] == ["dog", "person"]
    assert root.findtext("meta/task/size") == "12"
    assert root.findtext("meta/task/original_size/width") == "61"


def played(track: ET.Element, num_frames: int) -> list[np.ndarray | None]:
    """Return what a track shows at each frame."""
    shapes = {int(shape.attrib["frame"]): shape for shape in track}
    shown: list[np.ndarray | None] = []
    for index in range(num_frames):
        if index in shapes:
            outside = shapes[index].attrib["outside"] == "1"
            shown.append(None if outside else mask_of(shapes[index]))
        else:
            shown.append(shown[-1] if shown else None)
    return shown


def test_a_track_shows_every_mask_with_one_keyframe_per_change(avs: Avs, tmp_path: Path) -> None:
    frames = scene()
    tracks = exported(avs, tmp_path, frames, "cvat-tracks").findall("track")
    assert [track.attrib["label"] for track in tracks] == ["dog", "person"]
    assert [len(track) for track in tracks] == [4, 2]  # three masks and a pause; two masks
    for label, track in enumerate(tracks, start=1):
        for shown, frame in zip(played(track, 12), frames, strict=True):
            expected = frame.masks.get(label)
            assert (shown is None) == (expected is None)
            assert shown is None or np.array_equal(shown, expected)


@pytest.mark.parametrize(("tolerance", "num_keyframes"), [("1", 10), ("0.8", 4), ("0.01", 1)])
def test_fewer_keyframes_where_masks_may_differ(
    avs: Avs, tmp_path: Path, tolerance: str, num_keyframes: int
) -> None:
    frames = [Frame(k, k, k / 30, {1: ring((20, 20 + k), 15)}) for k in range(10)]
    arguments = ("cvat-tracks", "--tolerance", tolerance)
    (track,) = exported(avs, tmp_path, frames, *arguments).findall("track")
    assert len(track) == num_keyframes
    for shown, frame in zip(played(track, 10), frames, strict=True):
        assert shown is not None
        both = np.count_nonzero(shown & frame.masks[1])
        assert both / np.count_nonzero(shown | frame.masks[1]) >= float(tolerance)


def test_cvat_is_said_to_drop_tracks_of_masks(avs: Avs, tmp_path: Path) -> None:
    write_run(tmp_path / "a.mp4", scene())
    done = avs("export", tmp_path / "a.mp4", "--to", "cvat-tracks", "-o", tmp_path / "out")
    assert "only the first mask of a track" in done.err


@pytest.mark.parametrize("tolerance", ["0", "1.5", "nan"])
def test_a_tolerance_must_be_an_iou(avs: Avs, tmp_path: Path, tolerance: str) -> None:
    done = avs("export", tmp_path, "--to", "cvat", "-o", tmp_path / "o", "--tolerance", tolerance)
    assert done.code == 2
    assert "--tolerance is an IoU" in done.err

"""What a run wrote, read with the plainest tools at hand, and what must always hold of it."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from tests.conftest import Outcome

ALL_FILES = [
    *("confidence.csv", "events.vtt", "frames.jsonl", "masks.coco.json", "objects.csv"),
    *("overlay.mp4", "run.json"),
]
_TICK_SLACK = Fraction(6, 10_000)  # containers with a millisecond clock round times


@dataclass(frozen=True)
class Run:
    """The folder of one ``avs segment``, and how the call ended."""

    folder: Path
    outcome: Outcome
    record: dict[str, Any]
    entries: list[dict[str, Any]]

    @property
    def analysed(self) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if not entry["interpolated"]]

    @property
    def overlay(self) -> Path:
        return self.folder / "overlay.mp4"

    @property
    def rows(self) -> list[dict[str, str]]:
        with (self.folder / "confidence.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    @property
    def coco(self) -> dict[str, Any]:
        return json.loads((self.folder / "masks.coco.json").read_text())

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Return the mask of the index-th frame written, [H, W]."""
        source = self.record["source"]
        mask = np.zeros((source["height"], source["width"]), np.bool_)
        for annotation in self.entries[index]["objects"]:
            mask |= decoded(annotation["segmentation"])
        return mask


def decoded(segmentation: dict[str, Any]) -> NDArray[np.bool_]:
    """Decode a mask by pycocotools, [H, W]."""
    with warnings.catch_warnings():
        # pycocotools 2.0 decodes through an array protocol that numpy 2 has deprecated.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        return np.asarray(coco_mask.decode(segmentation) > 0)


def read_run(folder: Path, outcome: Outcome) -> Run:
    record = json.loads((folder / "run.json").read_text())
    lines = (folder / "frames.jsonl").read_text().splitlines()
    return Run(folder, outcome, record, [json.loads(line) for line in lines])


def require_whole(run: Run, source: Path, size_hw: tuple[int, int]) -> None:
    """Check what holds of every run over a whole file, against the file itself."""
    times = frame_times(source)
    height, width = size_hw
    assert sorted(path.name for path in run.folder.parent.iterdir()) == [run.folder.name]
    assert sorted(path.name for path in run.folder.iterdir()) == ALL_FILES
    assert run.record["files"] == ALL_FILES
    assert (run.record["source"]["height"], run.record["source"]["width"]) == size_hw
    assert [entry["frame"] for entry in run.entries] == list(range(len(times)))
    assert [entry["time"] for entry in run.entries] == [round(float(t), 6) for t in times]
    assert run.record["num_frames"] == len(times) == len(run.rows)
    assert run.record["num_analysed_frames"] == len(run.analysed) == len(run.coco["images"])
    sizes = {(image["height"], image["width"]) for image in run.coco["images"]}
    rles = {tuple(a["segmentation"]["size"]) for a in run.coco["annotations"]}
    assert sizes == {size_hw}
    assert rles <= {size_hw}
    with av.open(str(run.overlay)) as container:
        stream = container.streams.video[0]
        found = stream.codec_context.name, stream.codec_context.pix_fmt
        assert found == ("h264", "yuv420p")
        assert (stream.height, stream.width) == (height + height % 2, width + width % 2)
    assert frame_times(run.overlay) == times


def ticked(times: Sequence[Fraction], fps: int) -> list[int]:
    """Return which frames are the first at or after each tick k / fps of a source."""
    since = [time - times[0] + _TICK_SLACK for time in times]
    ticks = range(int(since[-1] * fps) + 1)
    return sorted({next(i for i, s in enumerate(since) if s >= Fraction(k, fps)) for k in ticks})


def frame_times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def sound_packets(path: Path, track: int = 0) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(audio=track) if p.dts is not None]


def require_refusal(outcome: Outcome, code: int) -> str:
    """Check how every failure speaks, and return its error line."""
    assert outcome.code == code, outcome.err
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    # A machine under load takes long enough for a line of progress.
    lines = [line for line in outcome.err.splitlines() if not line.endswith("× real time")]
    errors = [line for line in lines if line.startswith("error: ")]
    hints = [line for line in lines if line.startswith("hint: ")]
    warned = [line for line in lines if line.startswith("warning: ")]
    assert len(errors) == 1, outcome.err
    assert len(hints) <= 1, outcome.err
    assert lines == warned + errors + hints, outcome.err
    return errors[0]

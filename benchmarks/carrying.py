"""How near ``--fps auto`` is to every frame analysed, and what it costs beside it.

    python benchmarks/carrying.py [FOLDER …] [--precision auto] > carrying.json

Every video of the folders, and clips made for it, runs both ways in this process, one thread each
for network and decoding, and is compared frame by frame at its own size. CPU times are those of
reading, network and masks, without outputs; `benchmarks/speed.py` has whole runs.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from carried_clips import make_clips, nearness
from setting import describe, show, table

from avscli.config import DEFAULT_WEIGHTS, ReadOptions, SegmentOptions
from avscli.media.fallback import probed
from avscli.media.reader import read_clips
from avscli.pipeline import open_runtime, predict_frames

if TYPE_CHECKING:
    from avscli.config import DevicePrecision, FrameRate
    from avscli.devices import Runtime
    from avscli.masks import BoolMask

Row = dict[str, float]


def run(path: Path, runtime: Runtime, fps: FrameRate | None) -> tuple[list[BoolMask], int, float]:
    """Return the masks, the number of frames looked at, and CPU seconds."""
    options = SegmentOptions(read=ReadOptions(fps=fps))
    masks, num_looked = [], 0
    began = time.process_time()
    with probed(path) as media:
        reader = read_clips(media, runtime.spec, options.read, _ignore)
        for prediction in predict_frames(reader, runtime, options):
            masks.append(prediction.mask)
            num_looked += prediction.is_looked_at
    return masks, num_looked, time.process_time() - began


def compare(path: Path, runtime: Runtime) -> Row:
    """Return one clip's row."""
    every, _, every_seconds = run(path, runtime, None)
    masks, num_looked, seconds = run(path, runtime, "auto")
    near = nearness(masks, every)
    return {
        "frames": len(masks),
        "shown": sum(bool(mask.any()) for mask in every) / len(every),
        "analysed": num_looked / len(masks),
        **near._asdict(),
        "cpu_ms_a_frame": 1000 * seconds / len(masks),
        "cpu_ratio": seconds / every_seconds,
    }


def mean(rows: list[Row]) -> Row:
    """Return the mean of every column, the furthest change."""
    means = {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}
    return means | {"change_frames": max(row["change_frames"] for row in rows)}


def _ignore(_what: object) -> None:
    """Leave warnings about the clips unsaid."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, help="with videos")
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS)
    parser.add_argument("--precision", default="auto", help="of the network")
    arguments = parser.parse_args()
    precision: DevicePrecision = arguments.precision
    torch.set_num_threads(1)
    runtime = open_runtime(
        arguments.weights, SegmentOptions(device="cpu", precision=precision), _ignore
    )
    with TemporaryDirectory() as name:
        clips = make_clips(Path(name))
        for folder in arguments.folders:
            clips |= {path.stem: path for path in sorted(folder.glob("*.mp4"))}
        rows = {}
        for clip, path in clips.items():
            rows[clip] = compare(path, runtime)
            print(clip, rows[clip], file=sys.stderr, flush=True)
    rows["all"] = mean(list(rows.values()))
    show(
        {"arguments": {k: str(v) for k, v in vars(arguments).items()}, "clips": rows}
        | {"device": runtime.facts(), **describe()},
        table(["clip", *rows["all"]], [[clip, *row.values()] for clip, row in rows.items()]),
    )


if __name__ == "__main__":
    main()

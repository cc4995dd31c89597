"""How large the pages of ``avs review`` are, how soon they open, and how soon they seek.

    python benchmarks/review.py [--minutes 60] [--runs 200] [--seeks 40] > review.json

*One long run*: a generated scene of ten seconds at 640×360 and 30 fps with the exact masks of what
sounds, over and over up to so many minutes (108,000 analysed frames for an hour), with a score for
each and five names of sounds for each frame. Masks are packed in blocks of 8.5 s, so that none
profits from the repetition. A page *opens* from the start of its navigation to the first frame with
its masks; a *seek* goes to a random frame, until that is on the screen with its masks, with the
video, whose keyframes are two seconds apart, and without it.

*A batch*: so many runs of two seconds, written by one call; the time of a page, and sizes.

Needs Chromium (Debian: apt-get install chromium).
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import av
import imageio_ffmpeg
import numpy as np
from followed_scenes import CATEGORIES, truth_of
from runs import generate_clip
from setting import REPOSITORY, describe, show, table

from avscli.datasets.scenes import DEMO_SEED, KINDS, plan_scene
from avscli.datatypes import CheckpointInfo, NetworkSpec
from avscli.masks import encode_mask
from avscli.media.probe import probe
from avscli.outputs.journal import JOURNAL_NAME, JournalEntry, JournalObject, read_journal
from avscli.outputs.run import Run
from avscli.outputs.run_record import SCHEMA_VERSION, write_run_record
from avscli.outputs.tracks import summed_objects
from avscli.results import HeardSound, RecordedSource, SegmentationReport
from avscli.review.page import write_page
from avscli.review.run import write_review

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIZE_HW = (360, 640)
FPS = 30
SECONDS = 10
BATCH_SECONDS = 2
KEYFRAME_SECONDS = 2
SOUNDS = ("Music", "Speech", "Clock", "Bell", "Drum", "Animal", "Vehicle", "Water", "Wind", "Bird")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seeks", type=int, default=40)
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        generate_clip(clip, seconds=SECONDS, size_hw=SIZE_HW, fps=FPS)
        masks = scene_masks()
        long = measure_long_run(Path(folder), clip, masks, args.minutes, args.seeks)
        batch = measure_batch(Path(folder), clip, masks, args.runs)
    rows = [(name, value) for name, value in {**long, **batch}.items()]
    show(
        {"setting": describe(), "long_run": long, "batch": batch},
        table(("avs review", "value"), rows),
    )


def scene_masks() -> list[tuple[JournalObject, ...]]:
    """Return the objects of each frame of the scene, with their exact masks."""
    plan = plan_scene(DEMO_SEED, num_frames=SECONDS * FPS, fps=Fraction(FPS), size_hw=SIZE_HW)
    rng = np.random.default_rng(0)
    found = []
    for index in range(plan.num_frames):
        owners = plan.draw(index)[1]
        objects = (
            JournalObject(
                thing + 1,
                1 + KINDS.index(plan.objects[thing].kind),
                0.9,
                round(float(rng.uniform(0.5, 1.0)), 6),
                encode_mask(mask),
            )
            for thing, mask in truth_of(plan, owners, index).items()
        )
        found.append(tuple(objects))
    return found


def frame_times(source: Path) -> list[float]:
    """Return the seconds of the frames of a video, by its packets."""
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        stamps = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
        return [float(pts * stream.time_base) for pts in sorted(stamps)]


def write_run(folder: Path, source: Path, masks: Sequence[tuple[JournalObject, ...]]) -> Run:
    """Write the run of a video whose frames have the given objects in turn."""
    folder.mkdir(parents=True)
    times = frame_times(source)
    rng = np.random.default_rng(1)
    with (folder / JOURNAL_NAME).open("w", encoding="utf-8") as journal:
        in_turn = zip(times, itertools.cycle(masks), strict=False)
        for number, (seconds, objects) in enumerate(in_turn):
            heard = zip(rng.permutation(len(SOUNDS))[:5], rng.uniform(0.05, 1, 5), strict=True)
            entry = JournalEntry(
                frame=number,
                pts=number,
                time_seconds=round(seconds, 6),
                state="sounding" if objects else "nothing_sounds",
                interpolated=False,
                score=0.9,
                audio_dbfs=round(float(rng.uniform(-40, -10)), 2),
                flags=("flicker",) if rng.random() < 0.01 else (),
                heard=tuple(HeardSound(SOUNDS[i], round(float(p), 4)) for i, p in heard),
                objects=objects,
            )
            journal.write(entry.to_line() + "\n")
    write_run_record(folder, report_of(folder, source, len(times)))
    return Run.open(folder)


def report_of(folder: Path, source: Path, num_frames: int) -> SegmentationReport:
    spec = NetworkSpec(
        network="none", task="semantic", clip_length=1, seconds_per_step=1.0,
        frame_size_hw=(32, 32), pixel_mean=(0, 0, 0), pixel_std=(1, 1, 1), resize_mode="squash",
        num_classes=len(KINDS) + 1, class_names=("background", *KINDS), padding="repeat_last",
    )  # fmt: skip
    return SegmentationReport(
        schema_version=SCHEMA_VERSION, status="done", run_id="", date_created="",
        tool={"name": "avs"}, source=RecordedSource.of(probe(source), sha256="0" * 64),
        checkpoint=CheckpointInfo("none", "", 0, spec, (), {}, "none", "none"),
        options={}, device={}, num_frames=num_frames, num_analysed_frames=num_frames,
        sounding_share=1.0, mean_score=0.9, timings_seconds={}, warnings=(), output="", files=(),
        objects=summed_objects(read_journal(folder / JOURNAL_NAME), CATEGORIES),
    )  # fmt: skip


def measure_long_run(
    folder: Path,
    clip: Path,
    masks: Sequence[tuple[JournalObject, ...]],
    minutes: float,
    num_seeks: int,
) -> dict[str, float]:
    repeats = max(1, round(minutes * 60 / SECONDS))
    video, part = folder / "long.mp4", folder / "part.mp4"
    ffmpeg("-i", clip, "-g", KEYFRAME_SECONDS * FPS, "-crf", 16, "-c:a", "copy", part)
    ffmpeg("-stream_loop", repeats - 1, "-i", part, "-c", "copy", video)
    run = write_run(folder / "long", video, masks)
    seconds = timed(lambda: write_page(run, folder / "long.html", print, lambda _read: None))
    page = folder / "long.html"
    numbers = {
        "frames": float(run.record.num_frames),
        "masks": float(sum(len(objects) for objects in masks) * repeats),
        "page MB, without video": page.stat().st_size / 1e6,
        "journal MB": (run.folder / JOURNAL_NAME).stat().st_size / 1e6,
        "CPU s to write the page": seconds,
    }
    with_video = in_browser(page, folder / "profile", num_seeks)
    video.unlink()
    without = in_browser(page, folder / "profile2", num_seeks)
    return numbers | {
        "page opens, s": with_video["opens"],
        "seek, ms, median": float(np.median(with_video["seeks"])),
        "seek, ms, 95 % below": float(np.quantile(with_video["seeks"], 0.95)),
        "seek without video, ms, median": float(np.median(without["seeks"])),
        "seek without video, ms, 95 % below": float(np.quantile(without["seeks"], 0.95)),
    }


def in_browser(page: Path, profile: Path, num_seeks: int) -> dict[str, Any]:
    """Open a page in Chromium and seek to random frames, one after the other."""
    sys.path.insert(0, str(REPOSITORY))
    from tests.e2e.browser import opened

    with opened(page, profile) as tab:
        tab.wait_until("document.documentElement.dataset.ready", 120)
        opens = tab.value("performance.getEntriesByName('ready')[0].startTime") / 1000
        rows = np.random.default_rng(2).integers(0, tab.value("page.table.times.length"), num_seeks)
        seeks = tab.value(
            f"""(async () => {{ const took = [];
            for (const row of {json.dumps(rows.tolist())}) {{
                const start = performance.now();
                page.player.seekRow(row);
                while (page.player.row !== row || page.overlay.row !== row)
                    await new Promise(next => setTimeout(next, 1));
                took.push(performance.now() - start);
            }} return took; }})()"""
        )
        assert tab.complaints == [] or "Failed to load" in tab.complaints[0], tab.complaints
    return {"opens": opens, "seeks": seeks}


def measure_batch(
    folder: Path, clip: Path, masks: Sequence[tuple[JournalObject, ...]], num_runs: int
) -> dict[str, float]:
    root = folder / "batch"
    for number in range(num_runs):
        source = folder / "videos" / f"{number:03d}.mp4"
        source.parent.mkdir(exist_ok=True)
        if number == 0:
            ffmpeg("-i", clip, "-t", BATCH_SECONDS, "-crf", 16, source)
        else:
            shutil.copyfile(folder / "videos" / "000.mp4", source)
        first = number % (len(masks) - BATCH_SECONDS * FPS)
        write_run(root / source.name, source, masks[first:])
    seconds = timed(lambda: write_review(root, None, print, lambda _done, _of: None))
    pages = [path.stat().st_size for path in root.rglob("review.html")]
    assert len(pages) == num_runs
    return {
        "runs": float(num_runs),
        "CPU s a page": seconds / num_runs,
        "pages, MB in all": sum(pages) / 1e6,
        "index, MB": (root / "index.html").stat().st_size / 1e6,
    }


def ffmpeg(*options: object) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *map(str, options)]
    subprocess.run(command, check=True)


def timed(action: Callable[[], object]) -> float:
    """Return the CPU seconds of this process that something takes."""
    start = time.process_time()
    action()
    return time.process_time() - start


if __name__ == "__main__":
    main()

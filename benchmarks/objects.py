"""How well objects are named and followed, and what that costs.

    python benchmarks/objects.py [--first-seed 43000000] [--scenes 30] [--fps 1 5 10 30]
                                 [--pairs 60] [--pair-fps 5 10 30] [--network-scenes 6]
                                 [--weights pcmanet-mini] > objects.json

Generated scenes: one to four objects that move, cross, hide and pause, silent ones among them, and
their exact truth. *Truth's masks*: the tracker is given the mask of everything that sounds, with
what a good network would say of the classes (``named``), or no classes at all. *Network's masks*:
the scene as a video, segmented.

IDF1 (motmetrics, an object is found where the IoU is 0.5 and more) over all scenes together; the
share of an object's frames in which it is found; of these, the share with the right class; and the
share of sounding intervals whose both ends come out within two analysed frames.

*Pairs*: two drawn ellipses of one class come together, become one region and part, in each of
MANNERS; the share of drawings in which both have the numbers afterwards that they had before.

Costs are CPU times of naming and following, in milliseconds a frame: in a whole run of
``avs segment`` with all outputs, as a share of its CPU time; and where the mask is one region that
has to be divided among its classes. One network thread, as in speed.py.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest import mock

import cv2
import numpy as np
import torch
from followed_scenes import UNKNOWN, Following, follow_scene, sources_of, truth_of
from runs import generate_clip
from setting import describe, show, table

from avscli.config import DEFAULT_WEIGHTS, SegmentOptions
from avscli.datasets.scenes import DEMO_SEED, plan_scene
from avscli.datatypes import SAMPLE_RATE_HZ
from avscli.media.ffmpeg_jobs import mux
from avscli.media.probe import probe
from avscli.media.reader import read_clips
from avscli.objects.tracking import FrameObjects, ObjectTracker
from avscli.pipeline import open_runtime, predict_frames, segment_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from avscli.devices import Runtime
    from avscli.masks import SizeHW

OPTIONS = SegmentOptions(device="cpu", precision="fp32")
SECONDS = 10
MANNERS = ("cross", "meet and turn back", "meet, stand a second, part")
PAIR_SECONDS = 4
PAIR_SIZE_HW = 240, 320
LEAST_PAIR_PIXELS = 40


def with_truth(seeds: Iterable[int], fps: int, *, named: bool) -> dict[str, float]:
    """Return the scores of scenes whose masks are the truth's."""
    total = Following()
    for seed in seeds:
        follow_scene(total, seed, fps=fps, seconds=SECONDS, named=named)
    return {name: score for name, score in total.scores.items() if named or name != "class_right"}


def with_network(
    seeds: Iterable[int], fps: int, runtime: Runtime, folder: Path, size_hw: SizeHW
) -> dict[str, float]:
    """Return the scores of scenes that went through a network as videos."""
    total, spec = Following(), runtime.spec
    categories = {i: name.removeprefix("scene_") for i, name in spec.categories.items()}
    for seed in seeds:
        plan = plan_scene(seed, num_frames=fps * SECONDS, fps=Fraction(fps), size_hw=size_hw)
        clip = folder / f"{seed}.mp4"
        drawn = (plan.draw(index)[0] for index in range(plan.num_frames))
        mux(drawn, plan.waveform, clip, fps=plan.fps, sample_rate_hz=SAMPLE_RATE_HZ)
        reader = read_clips(probe(clip), spec, OPTIONS.read, _ignore)
        total.follow(plan, predict_frames(reader, runtime, OPTIONS), categories)
    return total.scores


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two ellipses that meet in the middle of a picture.

    Attributes:
        radii: [2, 2] float64, pixels; where masks breathe, the mean.
        degrees: [2] float64, how far each is turned.
        places: [2, 2] float64 (down, right), where the two are when they cross, pixels.
        velocities: [2, 2] float64, pixels a second.
    """

    radii: NDArray[np.float64]
    degrees: NDArray[np.float64]
    places: NDArray[np.float64]
    velocities: NDArray[np.float64]

    @classmethod
    def of(cls, seed: int) -> Pair:
        """Return a drawing's pair: one goes to the right, one to the left, four in ten alike."""
        rng = np.random.default_rng(seed)
        radii = rng.uniform(14, 40, (2, 2))
        if rng.random() < 0.4:
            radii[1] = radii[0]
        ways = np.array([0, np.pi]) + rng.uniform(-0.5, 0.5, 2)
        speeds = rng.uniform(25, 110, (2, 1))
        middle = np.array(PAIR_SIZE_HW) / 2
        places = np.array([middle, middle])
        places[1, 0] += rng.uniform(-20, 20)
        velocities = speeds * np.stack([np.sin(ways), np.cos(ways)], axis=1)
        return cls(radii, rng.uniform(0, 180, 2), places, velocities)

    def draw(
        self, manner: str, seconds: float, rng: np.random.Generator
    ) -> list[NDArray[np.bool_]]:
        """Return the masks [H, W], the second in front, some seconds after the closest moment."""
        if manner != MANNERS[0]:  # they part again when a third of them overlaps
            closest = 0.7 * self.radii.mean(axis=1).sum() / np.ptp(self.velocities, axis=0).max()
            stand = 0.5 if manner == MANNERS[2] else 0.0
            seconds = -max(abs(seconds) - stand, 0.0) - closest
        masks = []
        for radii, degrees, place, velocity in zip(
            self.radii, self.degrees, self.places, self.velocities, strict=True
        ):
            down, right = np.rint(place + seconds * velocity).astype(int).tolist()
            axes = (radii * (1 + 0.03 * rng.normal(size=2))).astype(int).tolist()
            canvas = np.zeros(PAIR_SIZE_HW, np.uint8)
            cv2.ellipse(canvas, (right, down), axes, float(degrees), 0, 360, 1, -1)
            masks.append(canvas > 0)
        return [masks[0] & ~masks[1], masks[1]]


def keeps_numbers(seed: int, manner: str, fps: int) -> bool | None:
    """Return whether a pair has the same numbers before and after; None if it is never apart."""
    pair, rng, tracker = Pair.of(seed), np.random.default_rng(seed + 1), ObjectTracker()
    before = after = None
    for k in range(fps * PAIR_SECONDS + 1):
        seconds = k / fps - PAIR_SECONDS / 2
        masks = pair.draw(manner, seconds, rng)
        both = (masks[0] | masks[1]).view(np.uint8)
        found = tracker.step(k / fps, both, np.full((4, 4), 0.9, np.float32))
        is_apart = cv2.connectedComponents(both)[0] == 3  # the background is one
        if is_apart and min(map(np.count_nonzero, masks)) >= LEAST_PAIR_PIXELS:
            shown = [int(np.bincount(found.object_map[mask]).argmax()) for mask in masks]
            numbers = [found.objects[n - 1].track_id if n else 0 for n in shown]
            before, after = (numbers, after) if seconds < 0 else (before, numbers)
    if before is None or after is None:
        return None
    return before == after and before[0] != before[1]


def share_kept(seeds: Iterable[int], manner: str, fps: int) -> float:
    """Return the share of pairs that keep their numbers."""
    kept = [keeps_numbers(seed, manner, fps) for seed in seeds]
    return kept.count(True) / max(len(kept) - kept.count(None), 1)


def cost_in_a_run(
    runtime: Runtime, folder: Path, size_hw: SizeHW, seconds: float
) -> dict[str, float]:
    """Return the CPU time of naming and following in `avs segment`, and its share of the run's."""
    clip = folder / "cost.mp4"
    generate_clip(clip, seconds=seconds, size_hw=size_hw, fps=30)
    spent: list[float] = []
    step = ObjectTracker.step

    def timed(*arguments: Any) -> FrameObjects:
        began = time.thread_time()
        found = step(*arguments)
        spent.append(time.thread_time() - began)
        return found

    began = time.process_time()
    with mock.patch.object(ObjectTracker, "step", timed):
        segment_file(clip, folder / "out", runtime, OPTIONS, _ignore)
    whole = time.process_time() - began
    return {
        "run_ms_per_frame": 1000 * whole / len(spent),
        "objects_ms_per_frame": 1000 * sum(spent) / len(spent),
        "share_of_run": sum(spent) / whole,
    }


def cost_of_dividing(seed: int, size_hw: SizeHW) -> float:
    """Return milliseconds a frame where everything that sounds is one region of several classes."""
    plan = plan_scene(seed, num_frames=100, fps=Fraction(10), size_hw=size_hw)
    tracker, rng = ObjectTracker(unknown=UNKNOWN), np.random.default_rng(seed)
    spent: list[float] = []
    for index in range(plan.num_frames):
        _, owners = plan.draw(index)
        marked = [np.argwhere(mask) for mask in truth_of(plan, owners, index).values()]
        label_map = np.zeros(size_hw, np.uint8)
        if len(marked) > 1:
            around = cv2.convexHull(np.concatenate(marked)[:, ::-1].astype(np.int32))
            cv2.fillConvexPoly(label_map, around, 1)
        sources = sources_of(plan, owners, index, rng)
        probability = np.full((4, 4), 0.9, np.float32)
        began = time.thread_time()
        tracker.step(index / 10, label_map, probability, sources)
        if len(marked) > 1:
            spent.append(time.thread_time() - began)
    return 1000 * sum(spent) / max(len(spent), 1)


def _ignore(_what: object) -> None:
    """Leave warnings about the generated clips unsaid: there are none."""


def _size(text: str) -> SizeHW:
    width, height = map(int, text.split("x"))
    return height, width


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first-seed", type=int, default=43_000_000)
    parser.add_argument("--scenes", type=int, default=20, help="followed with the truth's masks")
    parser.add_argument("--fps", type=int, nargs="+", default=[1, 5, 10, 30], help="of those")
    parser.add_argument("--pairs", type=int, default=60, help="drawn for each manner and rate")
    parser.add_argument("--pair-fps", type=int, nargs="+", default=[5, 10, 30])
    parser.add_argument("--network-scenes", type=int, default=6, help="of the same seeds")
    parser.add_argument("--network-fps", type=int, default=5)
    parser.add_argument("--network-size", type=_size, default=(360, 640), help="WIDTHxHEIGHT")
    parser.add_argument("--cost-seconds", type=float, default=5.0, help="of the clip that is timed")
    parser.add_argument("--size", type=_size, default=(720, 1280), help="of that, WIDTHxHEIGHT")
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS)
    arguments = parser.parse_args()

    setting = describe()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.scenes)
    scores = {
        f"truth's masks, {'named' if named else 'no classes'}, {fps} fps": with_truth(
            seeds, fps, named=named
        )
        for named in (True, False)
        for fps in arguments.fps
        if arguments.scenes
    }
    pair_seeds = range(arguments.first_seed, arguments.first_seed + arguments.pairs)
    pairs = {
        manner: {f"{fps} fps": share_kept(pair_seeds, manner, fps) for fps in arguments.pair_fps}
        for manner in MANNERS
        if arguments.pairs
    }
    torch.set_num_threads(1)
    runtime = open_runtime(arguments.weights, OPTIONS, _ignore)
    costs: dict[str, float] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.network_scenes:
            scores[f"network's masks, {arguments.network_fps} fps"] = with_network(
                seeds[: arguments.network_scenes],
                arguments.network_fps,
                runtime,
                folder,
                arguments.network_size,
            )
        if arguments.cost_seconds:
            costs = cost_in_a_run(runtime, folder, arguments.size, arguments.cost_seconds)
            costs["dividing_ms_per_frame"] = cost_of_dividing(DEMO_SEED, arguments.size)
    names = ["idf1", "found", "class_right", "intervals_near"]
    show(
        {"arguments": vars(arguments), "scores": scores, "pairs": pairs, "costs": costs, **setting},
        table(["scenes", *names], [[k, *(v.get(n, "") for n in names)] for k, v in scores.items()]),
        table(
            ["pairs", *(f"{fps} fps" for fps in arguments.pair_fps)],
            [[manner, *kept.values()] for manner, kept in pairs.items()],
        ),
        table(["cost", ""], list(costs.items())),
    )


if __name__ == "__main__":
    main()

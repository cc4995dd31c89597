"""Generated scenes, followed: how near the objects that come out are to the truth, and what a
network that marks and names well would say.

The sources are the truth on a grid of an eighth of a network's input, blurred and with noise, with
the silent objects of the picture named as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import cv2
import motmetrics
import numpy as np

from avscli.datasets.scenes import KINDS, plan_scene
from avscli.objects.naming import SourceProbabilities
from avscli.objects.tracking import ObjectTracker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from avscli.datasets.scenes import ScenePlan
    from avscli.masks import SizeHW
    from avscli.objects.tracking import FrameObjects
    from avscli.results import FramePrediction

CATEGORIES = dict(enumerate(KINDS, 1))
UNKNOWN = len(KINDS) + 1
SAME_OBJECT_IOU = 0.5
LEAST_SHARE = 0.0005  # of a frame, for an object of the truth; the rest is hidden
INTERVAL_FRAMES = 2


@dataclass(eq=False)
class Following:
    """Objects against truth, over scenes.

    Attributes:
        matches: of motmetrics, one per scene.
        num_shown: frames of objects, all together.
        num_found: of those, with an object at the same place.
        num_right: of these, with the right class.
        num_intervals, num_near: intervals of the truth, and those found with both ends near.
    """

    matches: list[motmetrics.MOTAccumulator] = field(default_factory=list)
    num_shown: int = 0
    num_found: int = 0
    num_right: int = 0
    num_intervals: int = 0
    num_near: int = 0

    @property
    def idf1(self) -> float:
        """Over all scenes together."""
        summary = motmetrics.metrics.create().compute_many(
            self.matches,
            names=[str(i) for i in range(len(self.matches))],
            metrics=["idf1"],
            generate_overall=True,
        )
        return float(summary.loc["OVERALL", "idf1"])

    @property
    def scores(self) -> dict[str, float]:
        """IDF1, and the shares of frames found, of those rightly named, and of intervals near."""
        return {
            "idf1": self.idf1,
            "found": self.num_found / max(self.num_shown, 1),
            "class_right": self.num_right / max(self.num_found, 1),
            "intervals_near": self.num_near / max(self.num_intervals, 1),
        }

    def follow(
        self,
        plan: ScenePlan,
        frames: Iterable[FrameObjects | FramePrediction],
        categories: Mapping[int, str],
    ) -> None:
        """Count one scene.

        Args:
            plan: the scene.
            frames: what was found in each of its frames, of the same size.
            categories: kinds of scene objects by category id.
        """
        accumulator = motmetrics.MOTAccumulator(auto_id=True)
        spans: dict[int, list[int]] = {}
        found: dict[int, dict[int, int]] = {}
        for index, frame in enumerate(frames):
            masks, objects = truth_of(plan, plan.draw(index)[1], index), frame.objects
            ids = list(masks)
            shown = [frame.object_map == n for n in range(1, len(objects) + 1)]
            ious = np.array([[_iou(masks[i], mask) for mask in shown] for i in ids])
            ious = ious.reshape(len(ids), len(objects))
            distances = np.where(ious >= SAME_OBJECT_IOU, 1 - ious, np.nan)
            accumulator.update(ids, [o.track_id for o in objects], distances)
            self.num_shown += len(ids)
            for i, row in zip(ids, ious, strict=True):
                spans.setdefault(i, []).append(index)
                if len(row) and row.max() >= SAME_OBJECT_IOU:
                    best = objects[int(row.argmax())]
                    self.num_found += 1
                    self.num_right += categories.get(best.category_id) == plan.objects[i].kind
                    found.setdefault(i, {})[index] = best.track_id
        self.matches.append(accumulator)
        for i, indices in spans.items():
            self._count_intervals(indices, found.get(i, {}))

    def _count_intervals(self, indices: list[int], found: dict[int, int]) -> None:
        for first, last in _runs(indices):
            near = _runs(
                [k for k in found if first - INTERVAL_FRAMES <= k <= last + INTERVAL_FRAMES]
            )
            self.num_intervals += 1
            self.num_near += len(near) == 1 and all(
                abs(a - b) <= INTERVAL_FRAMES for a, b in zip(near[0], (first, last), strict=True)
            )


def _iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return np.count_nonzero(first & second) / max(np.count_nonzero(first | second), 1)


def _runs(indices: list[int]) -> list[tuple[int, int]]:
    """Return first and last of each run, holes of up to INTERVAL_FRAMES bridged."""
    runs: list[tuple[int, int]] = []
    for k in sorted(indices):
        if runs and k - runs[-1][1] <= INTERVAL_FRAMES + 1:
            runs[-1] = runs[-1][0], k
        else:
            runs.append((k, k))
    return runs


def truth_of(plan: ScenePlan, owners: NDArray[np.int8], index: int) -> dict[int, NDArray[np.bool_]]:
    """Return the masks of the objects that sound in a frame and can be seen there."""
    seconds = float(index / plan.fps)
    masks = {i: owners == i for i, thing in enumerate(plan.objects) if thing.sounds_at(seconds)}
    return {i: mask for i, mask in masks.items() if mask.mean() >= LEAST_SHARE}


def sources_of(
    plan: ScenePlan, owners: NDArray[np.int8], index: int, rng: np.random.Generator
) -> SourceProbabilities:
    """Return what a good but coarse network would say of a frame."""
    height, width = (side // 8 for side in owners.shape)
    seconds = float(index / plan.fps)
    picture = rng.uniform(0, 0.04, (len(KINDS), height, width)).astype(np.float32)
    sound = rng.uniform(0, 0.1, len(KINDS)).astype(np.float32)
    for i, thing in enumerate(plan.objects):
        shown = cv2.resize(
            (owners == i).astype(np.float32), (width, height), interpolation=cv2.INTER_AREA
        )
        picture[KINDS.index(thing.kind)] += 0.85 * cv2.GaussianBlur(shown, (3, 3), 0)
        if thing.sounds_at(seconds):
            sound[KINDS.index(thing.kind)] = rng.uniform(0.7, 1.0)
    return SourceProbabilities(picture, sound)


def follow_scene(
    total: Following,
    seed: int,
    *,
    fps: int = 10,
    seconds: int = 10,
    size_hw: SizeHW = (240, 320),
    named: bool = True,
) -> None:
    """Follow one scene with the truth's masks, and count it."""
    plan = plan_scene(seed, num_frames=fps * seconds, fps=Fraction(fps), size_hw=size_hw)
    total.follow(plan, _followed(plan, np.random.default_rng(seed), named=named), CATEGORIES)


def _followed(plan: ScenePlan, rng: np.random.Generator, *, named: bool) -> Iterator[FrameObjects]:
    tracker = ObjectTracker(unknown=UNKNOWN if named else None)
    for index in range(plan.num_frames):
        _, owners = plan.draw(index)
        mask = np.isin(owners, list(truth_of(plan, owners, index)))
        sources = sources_of(plan, owners, index, rng) if named else None
        seconds = float(index / plan.fps)
        yield tracker.step(seconds, mask.view(np.uint8), mask.astype(np.float32), sources)

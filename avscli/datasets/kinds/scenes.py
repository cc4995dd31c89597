"""Generated scenes: single frames to score on, whole scenes to train on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from avscli.datasets.labelled import LabelledClip
from avscli.datasets.scene_timeline import random_voice
from avscli.datasets.scenes import (
    KINDS,
    TEST_SEEDS,
    TRAIN_SEEDS,
    VALIDATION_SEEDS,
    make_scene,
    sample_scene_frame,
)
from avscli.datatypes import SAMPLE_RATE_HZ, WINDOW_SAMPLES, AudioTrack

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from avscli.config import DataSelection, Split
    from avscli.datasets.problems import Check, Problem

NUM_SCENES = 500
SEEDS: dict[Split, range] = {"train": TRAIN_SEEDS, "val": VALIDATION_SEEDS, "test": TEST_SEEDS}


@dataclass(frozen=True, slots=True)
class SceneFrames:
    """Single frames of generated scenes, one from each seed.

    Attributes:
        seeds: of the scenes.
        split: they are of.
        size_hw: of the frames.
    """

    seeds: range
    split: Split = "test"
    size_hw: tuple[int, int] = (224, 224)
    kind: Literal["scenes"] = "scenes"
    class_names: tuple[str, ...] = ()
    evaluated_steps: None = None

    @property
    def facts(self) -> dict[str, object]:
        """Which seeds, and that the truth is drawn."""
        return {
            "kind": self.kind,
            "split": f"{self.split} seeds",
            "truth": "drawn",
            "limit": len(self.seeds),
        }

    def __len__(self) -> int:
        return len(self.seeds)

    def read(self, index: int) -> LabelledClip:
        """Draw one frame with the sound around it."""
        seed = self.seeds[index]
        frame = sample_scene_frame(seed, self.size_hw)
        known = np.ones(1, np.bool_)
        return LabelledClip(
            clip_id=f"scene{seed}",
            pictures=frame.image[None],
            sound=window_track(frame.window),
            targets=frame.mask[None].astype(np.uint8),
            labelled=known,
            valid=known,
            kind="scene",
        )

    def missing(self, index: int) -> list[Problem]:  # noqa: ARG002 – generated from nothing
        """Return nothing: there are no files."""
        return []

    def foreign_sounds(self) -> Iterator[AudioTrack | None]:
        """Yield the voice of a kind that is not in the picture; None where nothing sounds."""
        for seed in self.seeds:
            frame = sample_scene_frame(seed, self.size_hw)
            yield self._absent_voice(seed, frame.shown) if frame.mask.any() else None

    def _absent_voice(self, seed: int, shown: NDArray[np.uint8]) -> AudioTrack:
        absent = [kind for index, kind in enumerate(KINDS, start=1) if not (shown == index).any()]
        rng = np.random.default_rng(seed)
        track = np.zeros(WINDOW_SAMPLES)
        random_voice(rng, absent[int(rng.integers(len(absent)))]).add_to(track, 0, WINDOW_SAMPLES)
        return window_track((track / max(1.0, float(np.abs(track).max()))).astype(np.float32))


@dataclass(frozen=True, slots=True)
class SceneClips:
    """Generated scenes, one frame a second, every step labelled.

    Attributes:
        seeds: one scene each.
        num_steps: frames of a scene.
        size_hw: of its frames.
    """

    seeds: range
    num_steps: int
    size_hw: tuple[int, int]
    kind: Literal["scenes"] = "scenes"

    def __len__(self) -> int:
        return len(self.seeds)

    def read(self, index: int) -> LabelledClip:
        """Draw one scene; the sound of a step is centred on its frame."""
        scene = make_scene(
            self.seeds[index], num_frames=self.num_steps, fps=Fraction(1), size_hw=self.size_hw
        )
        known = np.ones(self.num_steps, np.bool_)
        return LabelledClip(
            clip_id=f"scene-{self.seeds[index]}",
            pictures=scene.frames,
            sound=AudioTrack(scene.waveform, SAMPLE_RATE_HZ, 0.0),
            targets=scene.masks.astype(np.uint8),
            labelled=known,
            valid=known,
        )


def window_track(window: NDArray[np.float32]) -> AudioTrack:
    """Return a window [15600] float32 as the sound around time 0, with nothing beyond it."""
    return AudioTrack(window, SAMPLE_RATE_HZ, -WINDOW_SAMPLES / SAMPLE_RATE_HZ / 2)


def open_set(selection: DataSelection) -> SceneFrames:
    """Return the first frames of a split's seeds."""
    count = NUM_SCENES if selection.limit is None else selection.limit
    return SceneFrames(SEEDS[selection.split][:count], selection.split)


def checks(kind: str, root: Path, split: Split) -> Sequence[Check]:  # noqa: ARG001 – no files
    """Return nothing: there are no files."""
    return []

"""Scores of a network on labelled frames: fixed pairs of avsmix, and generated scenes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Literal

import numpy as np

from avscli.datasets.avsmix import VOID, load_pair
from avscli.datasets.scenes import TEST_SEEDS, sample_scene_frame
from avscli.datatypes import (
    SAMPLE_RATE_HZ,
    WINDOW_SAMPLES,
    AnalysedFrame,
    AudioTrack,
    Clip,
    FrameStamp,
)
from avscli.masks import label_map_from_logits, logit_cutoff, mask_iou
from avscli.media.reader import fit_frame_size
from avscli.media.stills import resize_picture
from avscli.preprocess import prepare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from avscli.datasets.avsmix import AvsMix
    from avscli.datatypes import NetworkInput, NetworkSpec
    from avscli.devices import Runtime

EMPTY_SHARE = 0.01  # a mask below this share of the frame counts as kept empty


@dataclass(frozen=True, slots=True, eq=False)
class LabelledFrame:
    """A picture and its sound with the truth.

    Attributes:
        picture: [H, W, 3] uint8 RGB.
        window: [15600] float32 sound around it.
        target: [H, W] uint8: 1 sounds, 0 does not, 255 void.
        kind: what the frame tests, for grouping.
    """

    picture: NDArray[np.uint8]
    window: NDArray[np.float32]
    target: NDArray[np.uint8]
    kind: str


@dataclass(slots=True)
class Scores:
    """Sums over labelled frames.

    Attributes:
        ious: per kind, of every frame in which something sounds.
        kept_empty: per kind, of every frame in which nothing does: mask under 1 % of it?
    """

    ious: dict[str, list[float]] = field(default_factory=dict)
    kept_empty: dict[str, list[bool]] = field(default_factory=dict)

    def add(self, kind: str, mask: NDArray[np.bool_], target: NDArray[np.uint8]) -> None:
        """Score one mask [H, W] against its target."""
        scored = target != VOID
        if (target == 1).any():
            iou = mask_iou(mask & scored, target == 1)
            self.ious.setdefault(kind, []).append(iou)
        else:
            share = float((mask & scored).sum()) / max(1, int(scored.sum()))
            self.kept_empty.setdefault(kind, []).append(share < EMPTY_SHARE)

    @property
    def mean_iou(self) -> float:
        """Mean IoU over all frames in which something sounds."""
        values = [iou for group in self.ious.values() for iou in group]
        return float(np.mean(values)) if values else float("nan")

    def summary(self) -> dict[str, float]:
        """Return mean IoU and shares kept empty, over all and per kind."""
        told = {"mean_iou": self.mean_iou}
        told |= {f"mean_iou_{k}": float(np.mean(v)) for k, v in sorted(self.ious.items())}
        told |= {f"kept_empty_{k}": float(np.mean(v)) for k, v in sorted(self.kept_empty.items())}
        return told


def avsmix_frames(data: AvsMix, split: Literal["val", "test"]) -> Iterator[LabelledFrame]:
    """Read the fixed pairs of a split in file order."""
    for pair in data.pairs(split):
        picture, window, target = load_pair(data, pair)
        yield LabelledFrame(picture, window, target, pair.kind)


def scene_frames(count: int, size_hw: tuple[int, int] = (224, 224)) -> Iterator[LabelledFrame]:
    """Draw single frames of generated scenes from seeds that training never uses."""
    for seed in islice(TEST_SEEDS, count):
        frame = sample_scene_frame(seed, size_hw)
        yield LabelledFrame(frame.image, frame.window, frame.mask.astype(np.uint8), "scene")


def score(
    runtime: Runtime, frames: Iterable[LabelledFrame], *, threshold: float | None = None
) -> Scores:
    """Run a network over labelled frames and score its masks at the pictures' own size.

    Args:
        runtime: a loaded network on its device.
        frames: consumed one by one.
        threshold: probability at or above which a pixel is marked; None takes the spec's.
    """
    spec = runtime.network.spec
    cutoff = logit_cutoff(threshold or spec.threshold, spec.temperature)
    scores = Scores()
    for frame in frames:
        logits = runtime.forward(prepare_frames([frame], spec)).logits[0, 0].numpy()
        labels = label_map_from_logits(logits, frame.target.shape, cutoff=cutoff)
        scores.add(frame.kind, labels > 0, frame.target)
    return scores


def prepare_frames(frames: Sequence[LabelledFrame], spec: NetworkSpec) -> NetworkInput:
    """Turn labelled frames of one size into a batch, each as a clip of its own."""
    return prepare([_as_clip(frame, spec) for frame in frames], spec).inputs


def _as_clip(frame: LabelledFrame, spec: NetworkSpec) -> Clip:
    """Show a single picture to a network as its whole clip, the sound centred on every step."""
    picture = resize_picture(
        frame.picture, fit_frame_size(frame.target.shape[1] / frame.target.shape[0], spec)
    )
    track = AudioTrack(
        frame.window, SAMPLE_RATE_HZ, start_seconds=-WINDOW_SAMPLES / SAMPLE_RATE_HZ / 2
    )
    stamp = AnalysedFrame(FrameStamp(0, 0, 0.0), sequence=0)
    T = spec.clip_length
    return Clip(
        frames=np.repeat(picture.transpose(2, 0, 1)[None], T, axis=0),
        analysed=(stamp,) * T,
        audio=track,
        valid=np.ones(T, np.bool_),
    )

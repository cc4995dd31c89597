"""Scores of a network on single labelled frames, as training and the model card quote them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from avscli.datasets.avsmix import VOID
from avscli.datatypes import (
    AnalysedFrame,
    Clip,
    FrameStamp,
)
from avscli.masks import (
    BoolMask,
    LabelMap,
    Logits,
    MaskRule,
    foreground_log_odds,
    resize_plane,
)
from avscli.media.reader import fit_frame_size
from avscli.media.stills import resize_picture
from avscli.metrics.calibration import Reliability
from avscli.metrics.overlap import EMPTY_SHARE as EMPTY_SHARE  # training asks for it here
from avscli.metrics.overlap import Overlap
from avscli.preprocess import prepare

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from avscli.datatypes import NetworkInput, NetworkSpec
    from avscli.devices import Runtime
    from avscli.evaluation.frames import LabelledFrame


@dataclass(slots=True)
class Scores:
    """Sums over labelled frames.

    Attributes:
        ious: per kind, of every frame in which something sounds.
        kept_empty: per kind, of every frame in which nothing does: mask under 1 % of it?
        class_ious: per class, of every frame in which that one class sounds.
        reliability: of the foreground probability of every scored pixel.
    """

    ious: dict[str, list[float]] = field(default_factory=dict)
    kept_empty: dict[str, list[bool]] = field(default_factory=dict)
    class_ious: dict[str, list[float]] = field(default_factory=dict)
    reliability: Reliability = field(default_factory=Reliability)

    def add(
        self,
        kind: str,
        mask: BoolMask,
        target: NDArray[np.uint8],
        *,
        class_name: str | None = None,
    ) -> None:
        """Score one mask [H, W] against its target."""
        overlap = Overlap.of(mask, target == 1, target != VOID)
        if overlap.true:
            self.ious.setdefault(kind, []).append(overlap.iou)
            if class_name is not None:
                self.class_ious.setdefault(class_name, []).append(overlap.iou)
        else:
            self.kept_empty.setdefault(kind, []).append(overlap.marked_share < EMPTY_SHARE)

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


class Judgement(NamedTuple):
    """What a network says about one frame, at the picture's own size.

    Attributes:
        labels: [H, W] uint8 class, 0 for none.
        logits: [H, W] float32 log-odds of something sounding there, as the network gives them.
        probability: [H, W] float32 of the same, after the weights' temperature.
    """

    labels: LabelMap
    logits: NDArray[np.float32]
    probability: NDArray[np.float32]

    @property
    def mask(self) -> BoolMask:
        """[H, W] bool: anything sounds there."""
        return self.labels > 0


def score(
    runtime: Runtime, frames: Iterable[LabelledFrame], *, threshold: float | None = None
) -> Scores:
    """Run a network over labelled frames and score its masks at the pictures' own size.

    Args:
        runtime: a loaded network on its device.
        frames: consumed one by one.
        threshold: probability at or above which a pixel is marked; None takes the spec's.
    """
    scores = Scores()
    for frame in frames:
        said = judge(runtime, frame, threshold)
        scores.add(frame.kind, said.mask, frame.target, class_name=frame.class_name)
        scores.reliability.add(said.probability, frame.target == 1, frame.target != VOID)
    return scores


def judge(runtime: Runtime, frame: LabelledFrame, threshold: float | None = None) -> Judgement:
    """Run a network on one frame.

    Args:
        runtime: a loaded network on its device.
        frame: the picture and its sound.
        threshold: probability at or above which a pixel is marked; None takes the spec's.
    """
    spec = runtime.network.spec
    logits = runtime.forward(prepare_frames([frame], spec)).logits[0, 0].numpy()
    return judgement_of(logits, frame.target.shape, spec, threshold)


def judgement_of(
    logits: Logits, size_hw: tuple[int, ...], spec: NetworkSpec, threshold: float | None
) -> Judgement:
    """Turn logits [C, h, w] into labels and probabilities of another size."""
    height, width = size_hw
    labels = MaskRule.of(spec, threshold=threshold).label_map(logits, (height, width))
    odds, calmed = (
        resize_plane(foreground_log_odds(logits, temperature), (height, width))
        for temperature in (1.0, spec.temperature)
    )
    return Judgement(labels, odds, np.asarray(0.5 + 0.5 * np.tanh(0.5 * calmed), np.float32))


def prepare_frames(frames: Sequence[LabelledFrame], spec: NetworkSpec) -> NetworkInput:
    """Turn labelled frames of one size into a batch, each as a clip of its own."""
    return prepare([_as_clip(frame, spec) for frame in frames], spec).inputs


def _as_clip(frame: LabelledFrame, spec: NetworkSpec) -> Clip:
    """Show a single picture to a network as its whole clip, the sound centred on every step."""
    picture = resize_picture(
        frame.picture, fit_frame_size(frame.target.shape[1] / frame.target.shape[0], spec)
    )
    stamp = AnalysedFrame(FrameStamp(0, 0, 0.0), sequence=0)
    T = spec.clip_length
    return Clip(
        frames=np.repeat(picture.transpose(2, 0, 1)[None], T, axis=0),
        analysed=(stamp,) * T,
        audio=frame.sound,
        valid=np.ones(T, np.bool_),
    )

"""A network over labelled frames or clips: what it says, beside the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from avscli.datatypes import NetworkInput
from avscli.evaluation.clips import JudgedClip
from avscli.evaluation.frames import LabelledFrame
from avscli.evaluation.scoring import Judgement, judge, judgement_of
from avscli.media.reader import fit_frame_size
from avscli.media.stills import resize_picture
from avscli.preprocess import normalised

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from avscli.datasets.labelled import LabelledClip
    from avscli.datatypes import NetworkSpec
    from avscli.devices import Runtime


def judge_sample(
    runtime: Runtime, sample: LabelledFrame | LabelledClip, threshold: float | None
) -> JudgedClip:
    """Run a network on a frame (a clip of one step) or a clip.

    Args:
        runtime: a loaded network on its device.
        sample: pictures and sound with the truth.
        threshold: probability at or above which a pixel is marked; None takes the spec's.
    """
    if isinstance(sample, LabelledFrame):
        said = _stacked([judge(runtime, sample, threshold)])
        return JudgedClip(
            clip_id=sample.name,
            kind=sample.kind,
            category=sample.class_name,
            labels=said.labels,
            logits=said.logits,
            probability=said.probability,
            targets=sample.target[None],
            labelled=np.ones(1, np.bool_),
            scores=_largest(said),
            pictures=sample.picture[None],
        )
    spec, size_hw = runtime.network.spec, sample.targets.shape[1:]
    logits = runtime.forward(clip_input(sample, spec)).logits.flatten(0, 1).numpy()
    steps = logits[: len(sample.valid)]
    said = _stacked([judgement_of(step, size_hw, spec, threshold) for step in steps])
    return JudgedClip(
        clip_id=sample.clip_id,
        kind="clip",
        category=sample.category,
        labels=said.labels,
        logits=said.logits,
        probability=said.probability,
        targets=sample.targets,
        labelled=sample.labelled,
        scores=_largest(said),
        pictures=sample.pictures,
    )


def clip_input(clip: LabelledClip, spec: NetworkSpec) -> NetworkInput:
    """Cut a clip into as many clips of the network's length as it takes.

    Padding of the clip, and what the last cut lacks, are filled as the spec says:
    ``zeros_with_flag`` has zeros, ``repeat_last`` the last step; networks of a single step see a
    padded step as zeros.

    Args:
        clip: T steps.
        spec: of the network.

    Returns:
        ⌈T / clip_length⌉ clips.
    """
    T, (height, width) = len(clip.valid), clip.targets.shape[1:]
    size_hw = fit_frame_size(width / height, spec)
    pictures = np.stack([resize_picture(picture, size_hw) for picture in clip.pictures])
    frames = normalised(torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy()), spec)
    log_mel = torch.from_numpy(_with_sound_around(clip, spec))
    valid = torch.from_numpy(clip.valid.copy())
    frames[~valid] = 0.0
    log_mel[~valid] = 0.0
    repeated = spec.padding == "repeat_last"
    lacking = -T % spec.clip_length
    return NetworkInput(
        *(
            _cut(_extended(steps, lacking, repeated and steps is not valid), spec.clip_length)
            for steps in (frames, log_mel, valid)
        )
    )


def _with_sound_around(clip: LabelledClip, spec: NetworkSpec) -> NDArray[np.float32]:
    """Put the patches of the steps before and after, one second apart, beside each step's own.

    Returns:
        [T, 1 + S, 96, 64], a copy; beyond the ends, the first and the last valid step are heard.
    """
    offsets = np.rint((0.0, *spec.sound_offsets_seconds)).astype(np.int64)
    heard = np.add.outer(np.arange(len(clip.valid)), offsets)
    around = heard.clip(0, int(np.flatnonzero(clip.valid)[-1]))
    return np.asarray(clip.log_mel[np.where(offsets == 0, heard, around), 0], np.float32)


def _extended(steps: Tensor, count: int, repeated: bool) -> Tensor:
    last = steps[-1:] if repeated else torch.zeros_like(steps[-1:])
    return torch.cat([steps, last.repeat(count, *[1] * (steps.ndim - 1))])


def _cut(steps: Tensor, clip_length: int) -> Tensor:
    return steps.reshape(-1, clip_length, *steps.shape[1:])


def _stacked(said: list[Judgement]) -> Judgement:
    """Return T judgements [H, W] as one [T, H, W]."""
    return Judgement(*(np.stack(maps) for maps in zip(*said, strict=True)))


def _largest(said: Judgement) -> NDArray[np.float64]:
    """Return [T] the largest probability of each step."""
    return np.asarray(said.probability.max(axis=(1, 2)), np.float64)

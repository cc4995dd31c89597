"""A network on labelled clips: what `avs segment` would mark, and the network alone."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from avscli.evaluation.clips import JudgedClip, NetworkAlone
from avscli.masks import MaskRule, foreground_log_odds, resize_plane
from avscli.postprocess import finish, in_time_order, split_steps
from avscli.preprocess import prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from avscli.config import Preference
    from avscli.datasets.labelled import LabelledClip
    from avscli.datatypes import NetworkSpec
    from avscli.devices import Runtime
    from avscli.masks import Logits, SizeHW
    from avscli.preprocess import PreparedBatch


def judge(
    runtime: Runtime,
    clip: LabelledClip,
    *,
    prefer: Preference = "balanced",
    threshold: float | None = None,
) -> JudgedClip:
    """Run a network on a clip, and finish its masks as `avs segment` does.

    Args:
        runtime: a loaded network on its device.
        clip: pictures and sound with the truth.
        prefer: which of the spec's operating points holds.
        threshold: probability at or above which a pixel is marked; None takes the point's.

    Raises:
        UsageError: the spec has no such operating point.
    """
    spec, size_hw = runtime.spec, clip.size_hw
    rule = MaskRule.of(spec, prefer=prefer, threshold=threshold)
    clips = clip.network_clips(spec)
    prepared = prepare(clips, spec)
    output = runtime.forward(prepared.inputs)
    logits = output.logits.flatten(0, 1)[: len(clip.valid)].numpy()
    alone = _network_alone(logits, size_hw, spec, rule)
    labels = np.zeros_like(alone.labels)
    sounds = np.zeros(len(labels), np.bool_)
    steps = in_time_order(split_steps(output, clips, prepared.levels_dbfs))
    for prediction in finish(steps, size_hw, rule, spec):
        marked = prediction.label_map if spec.task == "semantic" else prediction.mask
        labels[prediction.stamp.index] = marked
        sounds[prediction.stamp.index] = prediction.state != "silent"
    return JudgedClip(
        clip_id=clip.clip_id,
        kind=clip.kind,
        category=clip.category,
        labels=labels,
        logits=np.stack([resize_plane(foreground_log_odds(step), size_hw) for step in logits]),
        # Below the silence gate it is certain that nothing is marked, whatever the network says.
        probability=alone.probability * sounds[:, None, None],
        targets=clip.targets,
        labelled=clip.labelled,
        scores=alone.scores * sounds,
        pictures=clip.pictures,
        alone=alone,
    )


def prepare_labelled(clips: Sequence[LabelledClip], spec: NetworkSpec) -> PreparedBatch:
    """Turn labelled clips of one shape into one batch, by the way of `avs segment`."""
    return prepare(list(chain.from_iterable(clip.network_clips(spec) for clip in clips)), spec)


def _network_alone(
    logits: Logits, size_hw: SizeHW, spec: NetworkSpec, rule: MaskRule
) -> NetworkAlone:
    """Return what logits [T, C, h, w] say, whatever the level of the sound and the neighbours."""
    probability = np.stack([_probability(step, size_hw, spec.temperature) for step in logits])
    return NetworkAlone(
        labels=np.stack([rule.label_map(step, size_hw) for step in logits]),
        probability=probability,
        scores=probability.max(axis=(1, 2)).astype(np.float64),
    )


def _probability(logits: Logits, size_hw: SizeHW, temperature: float) -> NDArray[np.float32]:
    odds = resize_plane(foreground_log_odds(logits, temperature), size_hw)
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * odds), np.float32)

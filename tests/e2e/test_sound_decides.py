"""The shipped weights follow the sound: the same generated pictures with other sounds.

Measured on avsmix by benchmarks/quality.py; this guards it where no data set is at hand.
"""

from typing import NamedTuple

import numpy as np
import pytest

from avscli.checkpoints import load_network
from avscli.config import DEFAULT_WEIGHTS
from avscli.datasets.kinds.scenes import window_track
from avscli.datasets.labelled import LabelledClip
from avscli.datasets.scenes import TEST_SEEDS, SceneFrame, sample_scene_couple
from avscli.devices import Runtime, start
from avscli.evaluation.network.judging import judge

pytestmark = [pytest.mark.weights, pytest.mark.slow]

SIZE = (224, 224)
SEEDS = TEST_SEEDS[1000:1260]


class Case(NamedTuple):
    """A picture with the sound of an object in it, and with another sound."""

    right: SceneFrame
    other: SceneFrame


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    network = load_network(DEFAULT_WEIGHTS)
    return start(network, "cpu", precision="fp32", warn=pytest.fail)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    couples = (Case(*sample_scene_couple(seed, SIZE)) for seed in SEEDS)
    return [case for case in couples if case.right.mask.mean() > 0.01]


def mask_of(runtime: Runtime, frame: SceneFrame) -> np.ndarray:
    """Return what the network alone marks: the silence gate is not what is tested here."""
    known = np.ones(1, np.bool_)
    clip = LabelledClip(
        clip_id="scene",
        pictures=frame.image[None],
        sound=window_track(frame.window),
        targets=frame.mask[None].astype(np.uint8),
        labelled=known,
        valid=known,
    )
    return judge(runtime, clip).by_the_network_alone().labels[0] > 0


def only_heard(frame: SceneFrame) -> int | None:
    """Return the one visible kind that sounds, as `SceneFrame.shown` counts, if there is one."""
    heard = np.flatnonzero(frame.heard)
    visible = len(heard) == 1 and (frame.shown == 1 + heard[0]).mean() > 0.01
    return 1 + int(heard[0]) if visible else None


def test_with_the_sound_of_an_object_off_screen_nearly_all_of_the_mask_goes(runtime, cases):
    swapped = [c for c in cases if c.other.heard.any() and not c.other.mask.any()]
    assert len(swapped) >= 20
    right = sum(int(mask_of(runtime, c.right).sum()) for c in swapped)
    wrong = sum(int(mask_of(runtime, c.other).sum()) for c in swapped)
    assert 1 - wrong / right >= 0.85


def test_exchanging_the_sound_exchanges_the_mask(runtime, cases):
    ious, wrong_covered = [], []
    for case in cases:
        objects = [only_heard(frame) for frame in case]
        if None in objects or objects[0] == objects[1]:
            continue
        for frame, here, there in zip(case, objects, objects[::-1], strict=True):
            mask = mask_of(runtime, frame)
            truth, wrong = frame.shown == here, frame.shown == there
            ious.append((mask & truth).sum() / (mask | truth).sum())
            wrong_covered.append((mask & wrong).sum() / wrong.sum())
    assert len(ious) >= 60
    assert np.mean(ious) >= 0.7
    assert np.mean(wrong_covered) <= 0.08


def test_silence_marks_nothing(runtime, cases):
    for case in cases[:40]:
        silent = case.right._replace(window=np.zeros_like(case.right.window))
        assert mask_of(runtime, silent).mean() < 0.01

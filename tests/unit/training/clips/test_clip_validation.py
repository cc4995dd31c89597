import numpy as np
import pytest
import torch

from avscli.metrics.avss import SemanticSums
from avscli.metrics.overlap import Overlap
from avscli.training.clips.validation import OverlapSums
from avscli.training.process_group import ProcessGroup


def mean_iou(sums: OverlapSums) -> float:
    return sums.mean_iou(ProcessGroup(), "cpu")


def test_one_class_scores_as_overlap_does_step_by_step() -> None:
    draw = np.random.default_rng(1)
    logits = draw.standard_normal((2, 3, 1, 8, 8)).astype(np.float32)
    targets = draw.integers(0, 2, (2, 3, 8, 8)).astype(np.uint8)
    targets[0, 0, :2] = 255
    logits[0, 1], targets[0, 1] = -1.0, 0  # rightly empty
    targets[0, 2] = 0  # wrongly marked
    labelled = np.array([[True, True, True], [True, False, True]])
    sums = OverlapSums(1)
    for b in range(2):
        sums.add(*(torch.from_numpy(x[[b]]) for x in (logits, targets, labelled)))
    expected = [
        Overlap.of(logits[b, t, 0] >= 0, targets[b, t] == 1, targets[b, t] != 255).iou
        for b, t in np.argwhere(labelled)
    ]
    assert mean_iou(sums) == pytest.approx(np.mean(expected))


def test_several_classes_score_as_the_published_sums_over_classes_met() -> None:
    draw = np.random.default_rng(2)
    logits = draw.standard_normal((2, 3, 6, 8, 8)).astype(np.float32)
    logits[:, :, 5] = -9.0  # a class that is never met
    targets = draw.integers(0, 5, (2, 3, 8, 8)).astype(np.uint8)
    labelled = np.array([[True, True, False], [True, False, True]])
    sums, published = OverlapSums(6), SemanticSums(6)
    sums.add(*(torch.from_numpy(x) for x in (logits, targets, labelled)))
    for b, t in np.argwhere(labelled):
        published.add(logits[b, t].argmax(axis=0), targets[b, t])
    assert mean_iou(sums) == pytest.approx(published.scores().mean_iou * 6 / 5)


def test_nothing_labelled_scores_nothing() -> None:
    assert np.isnan(mean_iou(OverlapSums(1)))

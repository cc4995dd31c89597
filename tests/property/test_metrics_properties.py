"""What must hold for every prediction, and what other libraries say about the same masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_calibration_error,
    binary_fbeta_score,
    binary_jaccard_index,
    multiclass_jaccard_index,
)

from avscli.evaluation.clips import JudgedClip, clip_of_masks
from avscli.evaluation.protocols import AvsProtocol
from avscli.metrics.boundary import boundary_f
from avscli.metrics.calibration import Reliability
from avscli.metrics.coco_ap import MaskAveragePrecision
from avscli.metrics.confusion import Confusion, mean_of_known
from avscli.metrics.detection import area_under_roc
from avscli.metrics.overlap import Overlap

SIZE_HW = (9, 7)
SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=25, deadline=None)


def blobs(rng: np.random.Generator, count: int) -> np.ndarray:
    """Masks [count, H, W] of any density, some of them empty and some full."""
    return rng.random((count, *SIZE_HW)) < rng.choice([0.0, 0.1, 0.5, 1.0], (count, 1, 1))


def judged(rng: np.random.Generator, clip_id: str, num_steps: int) -> JudgedClip:
    targets = blobs(rng, num_steps).astype(np.uint8)
    targets[rng.random(targets.shape) < 0.1] = 255
    logits = (rng.standard_normal(targets.shape) * 3).astype(np.float32)
    probability = torch.sigmoid(torch.from_numpy(logits)).numpy()
    return JudgedClip(
        clip_id=clip_id,
        kind="clip",
        category=str(rng.choice(["bell", "dog"])),
        labels=(probability >= 0.5).astype(np.uint8),
        logits=logits,
        probability=probability,
        targets=targets,
        labelled=rng.random(num_steps) < 0.9,
        scores=probability.max(axis=(1, 2)).astype(np.float64),
    )


def frames_apart(clips: list[JudgedClip]) -> list[JudgedClip]:
    """The same frames, each as a part of its clip."""
    return [
        JudgedClip(
            clip.clip_id,
            clip.kind,
            clip.category,
            *(
                getattr(clip, name)[k : k + 1]
                for name in ("labels", "logits", "probability", "targets", "labelled", "scores")
            ),
            continues=k > 0,
        )
        for clip in clips
        for k in range(len(clip.labels))
    ]


def reversed_in_time(clips: list[JudgedClip]) -> list[JudgedClip]:
    return [
        JudgedClip(
            clip.clip_id,
            clip.kind,
            clip.category,
            *(
                getattr(clip, name)[::-1]
                for name in ("labels", "logits", "probability", "targets", "labelled", "scores")
            ),
        )
        for clip in clips
    ]


def scored(clips: list[JudgedClip]) -> dict[str, object]:
    protocol = AvsProtocol()
    for clip in clips:
        protocol.add(clip)
    return protocol.result()


def require_alike(one: object, other: object) -> None:
    """Compare two results, sums of floats up to rounding."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            require_alike(one[name], other[name])
    elif isinstance(one, list | tuple):
        for a, b in zip(one, other, strict=True):
            require_alike(a, b)
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=1e-9)
    else:
        assert one == other


@FEW
@given(SEEDS)
def test_how_frames_are_batched_and_ordered_within_clips_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    clips = [judged(rng, f"clip{i}", int(rng.integers(1, 5))) for i in range(3)]
    whole = scored(clips)
    require_alike(scored(frames_apart(clips)), whole)
    require_alike(scored(reversed_in_time(clips)), whole)


@FEW
@given(SEEDS)
def test_the_order_of_clips_matters_for_no_score(seed):
    rng = np.random.default_rng(seed)
    clips = [judged(rng, f"clip{i}", 2) for i in range(4)]
    one, other = scored(clips), scored([clips[i] for i in (2, 0, 3, 1)])
    for result in (one, other):  # drawing clips depends on their numbering
        for told in result["scores"].values():
            told.pop("interval")
    require_alike(one, other)


@FEW
@given(SEEDS)
def test_every_score_lies_between_zero_and_one_and_within_its_interval(seed):
    rng = np.random.default_rng(seed)
    result = scored([judged(rng, f"clip{i}", 3) for i in range(5)])
    for name, told in result["scores"].items():
        if told["value"] is None:
            continue
        assert 0.0 <= told["value"] <= 1.0, name
        low, high = told["interval"]
        assert 0.0 <= low <= high <= 1.0
    for name in ("f_max", "detection_auc", "expected_calibration_error"):
        assert result[name] is None or 0.0 <= result[name] <= 1.0


@FEW
@given(SEEDS)
@example(155707682)  # a full frame of 63 pixels: 1.3 · 63 is not 0.3 · 63 + 63
def test_perfect_masks_score_one_and_none_at_all_score_zero(seed):
    rng = np.random.default_rng(seed)
    targets = blobs(rng, 4).astype(np.uint8)
    perfect = scored([clip_of_masks("a", targets, targets)])
    nothing = scored([clip_of_masks("a", np.zeros_like(targets), targets)])
    if targets.any():
        for name in ("mean_iou", "f_score", "boundary_f", "dataset_iou", "detection_recall"):
            assert perfect["scores"][name]["value"] == 1.0
            if name != "boundary_f":  # a full frame has no outline, like an empty one
                assert nothing["scores"][name]["value"] == 0.0
        assert perfect["f_max"] == 1.0
    for result in (perfect, nothing):
        assert result["scores"]["false_positive_area"]["value"] in (None, 0.0)


@FEW
@given(SEEDS)
def test_overlap_and_outline_do_not_care_which_mask_is_which(seed):
    first, second = blobs(np.random.default_rng(seed), 2)
    assert Overlap.of(first, second).iou == Overlap.of(second, first).iou
    assert Overlap.of(first, second).f_score(1.0) == Overlap.of(second, first).f_score(1.0)
    assert boundary_f(first, second) == pytest.approx(boundary_f(second, first))
    assert boundary_f(first, first) == 1.0


@FEW
@given(SEEDS)
def test_torchmetrics_agrees_where_something_is_true(seed):
    rng = np.random.default_rng(seed)
    mask, truth = rng.random((2, *SIZE_HW)) < 0.4
    truth[0, 0] = True
    pair = torch.from_numpy(mask.astype(int)), torch.from_numpy(truth.astype(int))
    overlap = Overlap.of(mask, truth)
    assert overlap.iou == pytest.approx(float(binary_jaccard_index(*pair)), abs=1e-6)
    f_score = binary_fbeta_score(*pair, beta=math.sqrt(0.3))
    assert overlap.f_score() == pytest.approx(float(f_score), abs=1e-6)


@FEW
@given(SEEDS)
def test_torchmetrics_agrees_on_calibration_and_detection(seed):
    rng = np.random.default_rng(seed)
    said = rng.random(200).astype(np.float32)
    true = rng.random(200) < said
    reliability = Reliability()
    reliability.add(said, true)
    pair = torch.from_numpy(said), torch.from_numpy(true.astype(int))
    theirs = binary_calibration_error(*pair, n_bins=15, norm="l1")
    assert reliability.error == pytest.approx(float(theirs), abs=1e-5)
    coarse = np.round(said, 1)  # with ties
    theirs = binary_auroc(torch.from_numpy(coarse), pair[1])
    assert area_under_roc(coarse.tolist(), true.tolist()) == pytest.approx(float(theirs), abs=1e-6)


@FEW
@given(SEEDS)
def test_torchmetrics_agrees_on_classes_over_a_data_set(seed):
    rng = np.random.default_rng(seed)
    labels, target = rng.integers(0, 4, (2, 3, *SIZE_HW)).astype(np.uint8)
    target[rng.random(target.shape) < 0.1] = 255
    confusion = Confusion(4)
    for one, other in zip(labels, target, strict=True):
        confusion.add(one, other, other != 255)
    theirs = multiclass_jaccard_index(
        torch.from_numpy(labels.astype(int)),
        torch.from_numpy(target.astype(int)),
        num_classes=4,
        average=None,
        ignore_index=255,
    )
    ours = [pixels.iou for pixels in confusion.classes()]
    assert ours == pytest.approx(theirs.tolist(), abs=1e-6)
    assert mean_of_known(ours) == pytest.approx(float(theirs.mean()), abs=1e-6)


@FEW
@given(SEEDS)
def test_pycocotools_agrees_on_overlap_and_its_precision_follows_from_it(seed):
    rng = np.random.default_rng(seed)
    mask, truth = rng.random((2, *SIZE_HW)) < 0.7
    mask[0, 0] = truth[0, 0] = True
    encoded = [coco_mask.encode(np.asfortranarray(m.view(np.uint8))) for m in (mask, truth)]
    theirs = coco_mask.iou(encoded[:1], encoded[1:], [0])[0, 0]
    iou = Overlap.of(mask, truth).iou
    assert iou == pytest.approx(theirs)
    precision = MaskAveragePrecision()
    everything = np.ones(SIZE_HW, bool)
    precision.add(mask.view(np.uint8), truth.view(np.uint8), everything, 0.7)
    reached = [iou >= threshold for threshold in np.linspace(0.5, 0.95, 10)]
    assert asdict_of(precision) == pytest.approx(
        {"ap": np.mean(reached), "ap50": float(reached[0]), "ap75": float(reached[5])}
    )


def asdict_of(precision: MaskAveragePrecision) -> dict[str, float | None]:
    return precision.result()._asdict()

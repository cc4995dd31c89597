"""Masks against torch, numpy, scipy-free flood fill and pycocotools."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from avscli.datatypes import OperatingPoint
from avscli.masks import (
    MaskRule,
    decode_mask,
    drop_small_regions,
    encode_classes,
    encode_mask,
    keep_sure_regions,
    keep_touched_regions,
    label_map_from_logits,
    logit_cutoff,
    marked_share,
    mask_iou,
    num_components,
    palette,
    present_classes,
    resize_plane,
    run_lengths,
)
from tests.networks_for_tests import TINY_SPEC

POINTED = replace(
    TINY_SPEC,
    temperature=2.0,
    operating_points={"recall": OperatingPoint(0.2, 0.0), "precision": OperatingPoint(0.8, 0.9)},
)


def smooth_logits(*shape: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return np.stack([cv2.GaussianBlur(plane, (0, 0), 3) * 20 for plane in noise])


def torch_upsampled(logits: np.ndarray, size_hw: tuple[int, int]) -> torch.Tensor:
    return torch.nn.functional.interpolate(
        torch.from_numpy(logits)[None], size_hw, mode="bilinear", align_corners=False
    )[0]


@pytest.mark.parametrize(
    "size_hw", [(720, 1280), (56, 56), (28, 28), (57, 101), (15, 13), (333, 56)], ids=str
)
def test_resizing_is_torch_bilinear_with_half_pixel_centres(size_hw: tuple[int, int]) -> None:
    plane = smooth_logits(1, 56, 56)[0]
    ours = resize_plane(plane, size_hw)
    np.testing.assert_allclose(ours, torch_upsampled(plane[None], size_hw)[0], atol=2e-4)


@pytest.mark.parametrize(
    ("options", "threshold", "region_threshold"),
    [
        ({}, 0.5, 0.0),
        ({"prefer": "balanced"}, 0.5, 0.0),
        ({"prefer": "recall"}, 0.2, 0.0),
        ({"prefer": "precision"}, 0.8, 0.9),
        ({"prefer": "precision", "threshold": 0.3}, 0.3, 0.9),
        ({"prefer": "precision", "region_threshold": 0.0}, 0.8, 0.0),
    ],
)
def test_a_threshold_that_is_given_wins_over_the_preferred_one_and_leaves_the_other(
    options: dict[str, Any], threshold: float, region_threshold: float
) -> None:
    rule = MaskRule.of(POINTED, **options)
    assert rule.cutoff == logit_cutoff(threshold, 2.0)
    assert rule.region_cutoff == logit_cutoff(region_threshold, 2.0)


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.83])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_logit_cutoff_marks_what_the_probability_threshold_marks(
    threshold: float, temperature: float
) -> None:
    logits = np.linspace(-9, 9, 4001)
    probability = 1 / (1 + np.exp(-logits / temperature))
    ours = logits >= logit_cutoff(threshold, temperature)
    assert (ours == (probability >= threshold)).sum() >= len(logits) - 1


def test_masks_are_decided_after_upsampling() -> None:
    ramp = np.array([[-3.0, 1.0]], np.float32)[None]
    upsampled_first = label_map_from_logits(ramp, (1, 16), cutoff=0.0)[0]
    decided_first = np.repeat(ramp[0, 0] >= 0, 8)
    # The ramp from −3 (centre 3.5) to 1 (centre 11.5) crosses zero at 9.5, not in the middle.
    assert upsampled_first.tolist() == [0] * 10 + [1] * 6
    assert decided_first.sum() == 8


def test_label_maps_are_torch_argmax_of_upsampled_logits() -> None:
    logits = smooth_logits(9, 28, 40)
    logits[4] = logits[0] - 1.0  # never wins: the shortcut must agree
    expected = torch_upsampled(logits, (113, 161)).argmax(0).numpy()
    ours = label_map_from_logits(logits, (113, 161), cutoff=0.0)
    assert ours.dtype == np.uint8
    assert (ours == expected).mean() > 0.9999


def test_a_tie_goes_to_the_background() -> None:
    logits = np.zeros((3, 4, 4), np.float32)
    assert not label_map_from_logits(logits, (8, 8), cutoff=0.0).any()


@pytest.mark.parametrize("classes", [[], [1], [2], [1, 70], [3, 4, 255]])
def test_present_classes_are_those_drawn(classes: list[int]) -> None:
    labels = np.zeros((9, 300), np.uint8)
    labels[4, 20 : 20 + len(classes)] = classes
    assert present_classes(labels) == classes


def test_a_region_stays_whole_or_goes_whole() -> None:
    plane = np.full((6, 9), -5.0, np.float32)
    plane[1:3, 1:3], plane[2, 2] = 0.5, 3.0
    plane[4:6, 6:9] = 0.5
    marked = keep_sure_regions(plane, 0.0, 2.0)
    assert marked.sum() == 4
    assert marked[1:3, 1:3].all()
    assert keep_sure_regions(plane, 0.0, -np.inf).sum() == 4 + 6
    assert not keep_sure_regions(plane, 0.0, 3.5).any()


def test_small_regions_go_and_large_ones_stay() -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels[10:30, 10:30] = 1  # 4 %
    labels[50:60, 50:60] = 1  # 1 %
    labels[80:85, 80:85] = 2  # 0.25 %
    cleaned = drop_small_regions(labels, 0.01)
    expected = labels.copy()
    expected[labels == 2] = 0
    np.testing.assert_array_equal(cleaned, expected)
    assert drop_small_regions(labels, 0.0101)[55, 55] == 0
    assert labels[82, 82] == 2, "the input must stay untouched"


def test_regions_are_eight_connected() -> None:
    diagonal = np.eye(10, dtype=np.uint8)
    np.testing.assert_array_equal(drop_small_regions(diagonal, 0.1), diagonal)
    assert num_components(diagonal.astype(bool)) == 1
    assert not drop_small_regions(diagonal, 0.11).any()


def test_a_small_island_of_another_class_goes_alone() -> None:
    labels = np.ones((20, 20), np.uint8)
    labels[10, 10] = 2
    cleaned = drop_small_regions(labels, 0.01)
    assert cleaned[10, 10] == 0
    assert (cleaned == 1).sum() == 399


def test_regions_that_another_mask_touches_stay_whole_and_the_others_go() -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[2:10, 2:10] = 1
    labels[10:14, 10:14] = 2  # of another class, but joined to the first at a corner
    labels[30:38, 40:50] = 1
    other = np.zeros((20, 30), bool)
    other[1, 1] = True  # rows and columns 2 and 3 of the larger grid
    expected = labels.copy()
    expected[30:] = 0
    np.testing.assert_array_equal(keep_touched_regions(labels, other), expected)
    assert labels[33, 44] == 1, "the input must stay untouched"
    assert not keep_touched_regions(labels, np.zeros((20, 30), bool)).any()


def test_no_regions_are_left_as_they_are() -> None:
    empty = np.zeros((4, 6), np.uint8)
    assert keep_touched_regions(empty, np.ones((2, 3), bool)) is empty


def test_components_are_counted() -> None:
    mask = np.zeros((9, 9), bool)
    assert num_components(mask) == 0
    mask[0, 0] = mask[4, 4] = mask[8, 0] = True
    assert num_components(mask) == 3
    assert num_components(mask[::2, ::2]) == 3, "views with strides count as well"


def test_the_marked_share_counts_every_class() -> None:
    labels = np.zeros((10, 20), np.uint8)
    labels[0, :10], labels[1, :20] = 1, 70
    assert marked_share(labels) == 0.15


@pytest.mark.parametrize(
    ("first", "second", "iou"),
    [([], [], 1.0), ([0], [], 0.0), ([0, 1], [1, 2], 1 / 3), ([0, 1, 2], [0, 1, 2], 1.0)],
)
def test_iou_matches_its_closed_form(first: list[int], second: list[int], iou: float) -> None:
    masks = np.zeros((2, 8, 8), bool)
    masks[0].flat[first] = True
    masks[1].flat[second] = True
    assert mask_iou(masks[0], masks[1]) == pytest.approx(iou)


def test_iou_refuses_masks_of_two_sizes() -> None:
    with pytest.raises(ValueError, match="one size"):
        mask_iou(np.zeros((4, 4), bool), np.zeros((1, 4), bool))


def test_encoding_is_that_of_pycocotools_with_text_counts() -> None:
    mask = smooth_logits(1, 90, 131)[0] > 0
    encoded = encode_mask(mask)
    reference = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert encoded.counts.encode("ascii") == reference["counts"]
    rows, columns = np.nonzero(mask)
    box = (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
    assert encoded.area == mask.sum()
    assert encoded.bbox == box
    assert encoded.size_hw == (90, 131)


def test_an_empty_mask_encodes_to_no_area_and_no_box() -> None:
    encoded = encode_mask(np.zeros((5, 7), bool))
    assert (encoded.area, encoded.bbox) == (0, (0, 0, 0, 0))
    assert not decode_mask((5, 7), encoded.counts).any()


def test_each_class_of_a_label_map_is_encoded_once() -> None:
    labels = np.zeros((6, 6), np.uint8)
    labels[1:3, 1:3], labels[4, 4] = 7, 70
    encoded = encode_classes(labels)
    assert {c: m.area for c, m in encoded.items()} == {7: 4, 70: 1}
    assert encode_classes(np.zeros((6, 6), np.uint8)) == {}


def test_run_lengths_of_the_wrong_total_are_refused() -> None:
    counts = encode_mask(np.eye(12, dtype=bool)).counts
    with pytest.raises(ValueError, match="cover 144 pixels, a 12×13 mask has 156"):
        decode_mask((12, 13), counts)


@pytest.mark.parametrize("counts", ["", "ü", "!", "P", "PPPPPPPPPPPPPP1"])
def test_text_that_is_no_run_length_code_is_refused(counts: str) -> None:
    with pytest.raises(ValueError, match="not COCO compressed"):
        run_lengths(counts)


def test_run_lengths_are_those_counted_by_hand() -> None:
    mask = smooth_logits(1, 70, 50)[0] > 0
    columns = mask.T.ravel().astype(int)
    changes = np.flatnonzero(np.diff(columns)) + 1
    expected = np.diff(np.concatenate(([0], changes, [columns.size]))).tolist()
    expected = [0, *expected] if columns[0] else expected
    assert run_lengths(encode_mask(mask).counts).tolist() == expected


def test_the_palette_is_distinct_and_stable() -> None:
    colours = palette(71)
    assert colours[0].tolist() == [0, 0, 0]
    assert len(np.unique(colours, axis=0)) == 71
    np.testing.assert_array_equal(palette(5), colours[:5])

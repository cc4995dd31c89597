"""What must hold for every mask."""

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from avscli.masks import (
    decode_mask,
    drop_small_regions,
    encode_mask,
    keep_sure_regions,
    label_map_from_logits,
    mask_iou,
    num_components,
    resize_plane,
    run_lengths,
)

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))
MASKS = SIZES.flatmap(lambda size: hnp.arrays(np.bool_, size))
PAIRS = SIZES.flatmap(lambda size: st.tuples(*[hnp.arrays(np.bool_, size)] * 2))
LOGITS = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6)),
    elements=st.floats(-8, 8, width=32),
)  # fmt: skip


@given(MASKS)
def test_run_lengths_give_every_mask_back(mask: np.ndarray) -> None:
    encoded = encode_mask(mask)
    np.testing.assert_array_equal(decode_mask(encoded.size_hw, encoded.counts), mask)
    assert run_lengths(encoded.counts).sum() == mask.size
    assert run_lengths(encoded.counts)[1::2].sum() == encoded.area == mask.sum()


@given(MASKS.filter(np.any))
def test_the_box_touches_the_mask_on_all_four_sides(mask: np.ndarray) -> None:
    x, y, width, height = encode_mask(mask).bbox
    inside = mask[y : y + height, x : x + width]
    assert inside.sum() == mask.sum()
    assert inside[0].any()
    assert inside[-1].any()
    assert inside[:, 0].any()
    assert inside[:, -1].any()


@given(PAIRS)
def test_iou_is_symmetric_and_bounded(pair: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = pair
    iou = mask_iou(first, second)
    assert 0.0 <= iou <= 1.0
    assert iou == mask_iou(second, first)
    assert (iou == 1.0) == bool((first == second).all())


@given(MASKS, st.floats(0, 1))
def test_cleaning_only_removes_and_is_done_after_one_pass(mask: np.ndarray, share: float) -> None:
    labels = mask.view(np.uint8)
    cleaned = drop_small_regions(labels, share)
    assert (cleaned <= labels).all()
    assert num_components(cleaned > 0) <= num_components(mask)
    np.testing.assert_array_equal(drop_small_regions(cleaned, share), cleaned)


@given(
    SIZES.flatmap(lambda size: hnp.arrays(np.float32, size, elements=st.sampled_from([0, 1, 2])))
)
def test_sure_regions_are_what_grows_out_of_sure_pixels(plane: np.ndarray) -> None:
    low, grown = (plane >= 1).view(np.uint8), (plane >= 2).view(np.uint8)
    for _ in range(plane.size):  # reconstruction by dilation, the slow way to the same regions
        before, grown = grown, np.minimum(cv2.dilate(grown, np.ones((3, 3), np.uint8)), low)
        if np.array_equal(before, grown):
            break
    np.testing.assert_array_equal(keep_sure_regions(plane, 1.0, 2.0), grown)


@settings(max_examples=50)
@given(LOGITS, SIZES)
def test_label_maps_are_the_argmax_of_upsampled_logits(
    logits: np.ndarray, size_hw: tuple[int, int]
) -> None:
    upsampled = np.stack([resize_plane(plane, size_hw) for plane in logits])
    expected = upsampled[0] >= 0.25 if len(logits) == 1 else upsampled.argmax(0)
    ours = label_map_from_logits(logits, size_hw, cutoff=0.25)
    np.testing.assert_array_equal(ours, expected)

"""Labels in overlay frames: where they lie, that they say what they should, and harm nothing."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from avscli.masks import palette
from avscli.outputs.labels import MARGIN, Box, Labels, place
from avscli.outputs.tint import limited_range_yuv
from avscli.results import FramePrediction
from tests.unit.outputs.drawn import make_prediction

SIZES_HW = [(144, 256), (241, 319), (720, 1280), (1280, 720), (2160, 3840)]
NAMES = [
    "dog",
    "",
    "x" * 300,
    "two\nlines\tand a bell \a",
    'a"b, </script>',
    "Größe",
    "собака",
    "狗",
    "개",
    "كلب",
    "🐶 ไทย",
    "nothing \0 more",
    "half a pair \ud800",
]

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


def grey_frame(size_hw: tuple[int, int]) -> Planes:
    height, width = size_hw
    half = (height + 1) // 2, (width + 1) // 2
    return (
        np.full(size_hw, 120, np.uint8),
        np.full(half, 90, np.uint8),
        np.full(half, 170, np.uint8),
    )


def square(size_hw: tuple[int, int]) -> FramePrediction:
    height, width = size_hw
    labels = np.zeros(size_hw, np.uint8)
    labels[height // 3 : height // 2, width // 3 : width // 2] = 1
    return make_prediction(0, labels)


def drawn(prediction: FramePrediction, names: Sequence[str] = ("dog",)) -> Planes:
    height, width = prediction.object_map.shape
    planes = grey_frame((height, width))
    categories = dict(enumerate(names, start=1))
    colours = [each.track_id for each in prediction.objects]
    Labels((height, width), categories, 256).draw(planes, prediction, colours)
    return planes


def changed_box(plane: np.ndarray) -> tuple[int, int, int, int]:
    return tuple(cv2.boundingRect((plane != plane[-1, -1]).view(np.uint8)))  # type: ignore[return-value]


@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_a_label_is_a_box_of_readable_height_above_its_object(size_hw: tuple[int, int]) -> None:
    y, _, _ = drawn(square(size_hw))
    left, top, width, height = changed_box(y)
    assert 16 <= height <= max(18, min(size_hw) / 20)
    assert top + height < size_hw[0] // 3
    centre = (size_hw[1] // 3 + size_hw[1] // 2) / 2
    assert abs(left + width / 2 - centre) <= 2
    letters = y[top : top + height, left : left + width] > 200
    assert 0.05 < letters.mean() < 0.5
    assert np.median(y[top : top + height, left : left + width]) < 60


@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_chroma_changes_where_luma_does_and_the_swatch_has_the_objects_colour(
    size_hw: tuple[int, int],
) -> None:
    y, u, v = drawn(square(size_hw))
    left, top, width, height = changed_box(y)
    assert changed_box(u) == changed_box(v) == (left // 2, top // 2, width // 2, height // 2)
    colour = limited_range_yuv(palette(2))[1]
    assert [y[top, left], u[top // 2, left // 2], v[top // 2, left // 2]] == colour.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_any_name_gives_a_label_inside_the_frame_whose_letters_end_inside_it(name: str) -> None:
    y, _, _ = drawn(square((240, 320)), [name])
    left, top, width, height = changed_box(y)
    assert left >= MARGIN
    assert left + width <= 320 - MARGIN
    assert (y[top : top + height, left : left + width] > 200).any()
    assert y[top : top + height, left + width - 2].max() < 60, "the padding at the end stays free"
    assert y[[top, top + height - 1], left + 6 : left + width].max() < 60


@pytest.mark.parametrize(("name", "other"), [("dog", "cat"), ("狗", "犬"), ("собака", "соба")])
def test_different_names_look_different(name: str, other: str) -> None:
    one, two = (drawn(square((240, 320)), [each])[0] for each in (name, other))
    assert (one != two).any()


def test_the_score_and_the_track_are_shown() -> None:
    prediction = square((240, 320))
    (each,) = prediction.objects
    seen = [
        drawn(replace(prediction, objects=(replace(each, track_id=track, score=score),)))[0]
        for track, score in ((1, 0.5), (1, 0.51), (8, 0.5))
    ]
    assert (seen[0] != seen[1]).any()
    assert (seen[0] != seen[2])[:, 130:].any()


def test_the_name_is_that_of_the_track_whatever_the_frame_takes_it_for() -> None:
    prediction = square((240, 320))
    (each,) = prediction.objects
    names = ["dog", "unknown"]
    usual, flipped, other = (
        drawn(replace(prediction, objects=(found,)), names)[0]
        for found in (each, replace(each, category_id=2), replace(each, track_category_id=2))
    )
    assert (flipped == usual).all()
    assert (other != usual).any()


def test_an_object_without_a_pixel_and_a_frame_without_room_have_no_label() -> None:
    hidden = replace(square((240, 320)), object_map=np.zeros((240, 320), np.uint8))
    for y in (drawn(hidden)[0], drawn(square((20, 400)))[0], drawn(square((200, 40)))[0]):
        assert (y == 120).all()


FRAME_HW = (200, 300)
LABEL_HW = (20, 60)


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        (Box(100, 100, 150, 200), (76, 120)),  # above
        (Box(10, 100, 150, 200), (14, 120)),  # inside: no room above
        (Box(0, 0, 200, 300), (4, 120)),
        (Box(100, 0, 150, 10), (76, 4)),  # pushed in from the left
        (Box(100, 290, 150, 300), (76, 236)),  # … and from the right
    ],
)
def test_a_label_lies_above_its_region_or_else_inside(
    region: Box, expected: tuple[int, int]
) -> None:
    box = place(LABEL_HW, region, FRAME_HW, [])
    assert box is not None
    assert (box.top, box.left) == expected


def is_free(box: Box, taken: list[Box]) -> bool:
    """A second opinion, pixel by pixel."""
    canvas = np.zeros((FRAME_HW[0] + 2 * MARGIN, FRAME_HW[1] + 2 * MARGIN), bool)
    for other in taken:
        canvas[other.top : other.bottom + 2 * MARGIN, other.left : other.right + 2 * MARGIN] = True
    return not canvas[
        box.top + MARGIN : box.bottom + MARGIN, box.left + MARGIN : box.right + MARGIN
    ].any()


@pytest.mark.parametrize("seed", range(5))
def test_labels_keep_apart_as_long_as_there_is_room(seed: int) -> None:
    rng = np.random.default_rng(seed)
    taken: list[Box] = []
    bottom, right = FRAME_HW[0] - MARGIN - 20, FRAME_HW[1] - MARGIN - 60
    everywhere = [
        Box(top, left, top + 20, left + 60)
        for top in range(MARGIN, bottom + 1, 2)
        for left in range(MARGIN, right + 1, 2)
    ]
    while True:
        top, left = rng.integers(0, 150, 2)
        box = place(LABEL_HW, Box(top, left, top + 40, left + 90), FRAME_HW, taken)
        if box is None:
            assert not any(is_free(each, taken) for each in everywhere)
            break
        assert box in everywhere
        assert is_free(box, taken)
        taken.append(box)
    assert len(taken) >= 12


def test_many_objects_at_one_place_all_stay_in_the_frame() -> None:
    labels = np.zeros((240, 320), np.uint8)
    for number in range(200):
        labels[100 + number // 20, 100 + number % 20] = 1 + number
    y, _, _ = drawn(make_prediction(0, labels), ["dog"] * 200)
    assert (y[:MARGIN] == 120).all()
    assert (y[:, :MARGIN] == 120).all()
    assert (y[-MARGIN:] == 120).all()
    assert (y[:, -MARGIN:] == 120).all()

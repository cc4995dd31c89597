import math

import numpy as np
import pytest

from avscli.datasets.scene_actors import HABITS, paint_actors, place_actors
from avscli.datasets.scene_canvas import Look, Pose
from avscli.datasets.scene_shapes import KIND_DRAWINGS, paint, random_look
from avscli.datasets.scene_sounds import SYNTHESISERS

SIZE = 40.0
WHITE = np.full(3, 255, np.float32)


def plain_look(kind: str) -> Look:
    return Look(kind, WHITE, WHITE, pattern=0, frequency=1.0)


def painted(kind: str, pose: Pose, shape: tuple[int, int] = (120, 130)) -> np.ndarray:
    """[H, W] bool: the pixels inside the outline, on the whole frame."""
    mask = np.zeros(shape, np.bool_)
    rows, columns, inside = paint(np.zeros((*shape, 3), np.uint8), plain_look(kind), pose)
    mask[rows, columns] = inside
    return mask


def plane(pose: Pose, shape: tuple[int, int] = (120, 130)) -> tuple[np.ndarray, np.ndarray]:
    """u and v of every pixel centre, by a rotation matrix in float64."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    turn = np.exp(-1j * pose.angle) * ((x - pose.x) + 1j * (y - pose.y)) / pose.size
    return turn.real, turn.imag


@pytest.mark.parametrize("centre", [(60.1, 55.2), (60.3, 54.8), (5.4, 100.2)])
def test_a_clock_is_exactly_the_pixels_centred_in_its_disc(centre: tuple[float, float]) -> None:
    pose = Pose(*centre, SIZE, angle=0.7)
    u, v = plane(pose)
    np.testing.assert_array_equal(painted("clock", pose), u**2 + v**2 <= 0.95**2)


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.9, math.pi / 2])
def test_a_flute_is_exactly_a_turned_rounded_box(angle: float) -> None:
    pose = Pose(61.2, 58.7, SIZE, angle=angle)
    u, v = (np.abs(axis) for axis in plane(pose))
    corner = np.hypot(np.maximum(u - 0.85, 0), np.maximum(v - 0.06, 0)) <= 0.12
    np.testing.assert_array_equal(painted("flute", pose), corner)


@pytest.mark.parametrize(
    ("kind", "area"),
    [
        ("pebble", math.pi * 0.95 * 0.5),
        ("crate", 1.4 * 0.6 - (4 - math.pi) * 0.05**2),
        ("shard", 1.6 * 1.4 / 2),
    ],
)
def test_clutter_covers_its_area(kind: str, area: float) -> None:
    pixels = painted(kind, Pose(200, 200, 150.0, angle=0.3), (400, 400)).sum()
    assert pixels == pytest.approx(area * 150**2, rel=0.005)


@pytest.mark.parametrize("kind", KIND_DRAWINGS)
@pytest.mark.parametrize("phase", [0.0, 1.3, 4.0])
def test_every_kind_stays_within_its_disc_and_fills_a_good_part_of_it(
    kind: str, phase: float
) -> None:
    pose = Pose(64, 60, SIZE, phase=phase)
    mask = painted(kind, pose)
    u, v = plane(pose)
    assert np.hypot(u, v)[mask].max() <= 1.0
    assert 0.15 < mask.sum() / (math.pi * SIZE**2) < 0.95


@pytest.mark.parametrize("kind", KIND_DRAWINGS)
def test_a_mirrored_object_is_the_mirror_image(kind: str) -> None:
    straight = painted(kind, Pose(60, 60, SIZE, phase=1.0), (121, 121))
    mirrored = painted(kind, Pose(60, 60, SIZE, mirrored=True, phase=1.0), (121, 121))
    np.testing.assert_array_equal(mirrored, straight[:, ::-1])


def test_kinds_differ_in_shape_more_than_in_small_turns() -> None:
    still = {kind: painted(kind, Pose(60, 60, SIZE)) for kind in KIND_DRAWINGS}
    for kind, mask in still.items():
        turned = painted(kind, Pose(60, 60, SIZE, angle=0.05))
        own = iou(mask, turned)
        assert all(iou(mask, other) < own for name, other in still.items() if name != kind)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_pixels_away_from_the_object_stay_and_borders_are_blended() -> None:
    image = np.zeros((120, 130, 3), np.uint8)
    rows, columns, inside = paint(image, plain_look("crate"), Pose(60.25, 60.0, SIZE))
    outside = np.ones(image.shape[:2], np.bool_)
    outside[rows, columns] = False
    assert not image[outside].any()
    # The right edge of the box lies at 60.25 + 0.7 · 40 = 88.25: pixel 88 is covered by 3/4.
    row = image[60, :, 0] / image[60, 60, 0]
    assert row[87] == pytest.approx(1.0, abs=0.01)
    assert row[88] == pytest.approx(0.75, abs=0.01)
    assert row[89] == 0.0
    assert inside.any()


@pytest.mark.parametrize("at", [(-200.0, 50.0), (300.0, 300.0), (0.3, 0.1), (128.8, 118.7)])
def test_objects_over_the_border_and_beyond_are_cut(at: tuple[float, float]) -> None:
    pose = Pose(*at, SIZE)
    u, v = plane(pose)
    np.testing.assert_array_equal(painted("clock", pose), u**2 + v**2 <= 0.95**2)


def test_the_nearer_object_owns_the_pixels_both_cover() -> None:
    rng = np.random.default_rng(3)
    actors = place_actors(rng, ["clock", "voice", "drum", "guitar"], (100, 120))
    owners = paint_actors(np.zeros((100, 120, 3), np.uint8), actors, 1.5)
    expected = np.full((100, 120), -1)
    for index, actor in enumerate(actors):
        expected[painted(actor.look.kind, actor.pose_at(1.5), (100, 120))] = index
    np.testing.assert_array_equal(owners, expected)


def test_actors_keep_to_their_amplitudes() -> None:
    (actor,) = place_actors(np.random.default_rng(8), ["engine"], (100, 200))
    poses = [actor.pose_at(t) for t in np.linspace(0, 60, 2000)]
    ways = np.array([[p.x - actor.rest.x, p.y - actor.rest.y] for p in poses])
    assert np.abs(ways).max(axis=0) == pytest.approx(np.abs(actor.travel), rel=0.01)
    assert abs(actor.travel[0]) <= HABITS["engine"].travel[0] * 200


def test_every_kind_has_a_shape_a_sound_and_a_habit() -> None:
    assert set(KIND_DRAWINGS) == set(SYNTHESISERS) == set(HABITS)


def test_looks_vary_with_the_generator() -> None:
    rng = np.random.default_rng(0)
    first, second = random_look("bell", rng), random_look("bell", rng)
    assert not np.array_equal(first.main, second.main)

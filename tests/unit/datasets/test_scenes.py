import hashlib
from fractions import Fraction

import numpy as np
import pytest

from avscli.audio.loudness import level_dbfs
from avscli.datasets.scenes import (
    DEMO_SEED,
    KINDS,
    TEST_SEEDS,
    TRAIN_SEEDS,
    Scene,
    make_scene,
    plan_scene,
    sample_scene_couple,
    sample_scene_frame,
)
from avscli.datatypes import SAMPLE_RATE_HZ, WINDOW_SAMPLES

SMALL = (48, 64)
FPS = Fraction(5)


def small_scene(seed: int, seconds: int = 18) -> Scene:
    return make_scene(seed, num_frames=int(seconds * FPS), fps=FPS, size_hw=SMALL)


def digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    scenes = [make_scene(seed, num_frames=4, size_hw=SMALL) for seed in (5, 5, 6)]
    first, again, other = (digest(s.frames, s.masks, s.owners, s.waveform) for s in scenes)
    assert first == again
    assert first != other


def test_single_frames_follow_from_their_seed_or_generator() -> None:
    by_seed = digest(*sample_scene_frame(11, SMALL))
    assert by_seed == digest(*sample_scene_frame(np.random.default_rng(11), SMALL))
    assert by_seed != digest(*sample_scene_frame(12, SMALL))


def test_training_test_and_demo_seeds_do_not_meet() -> None:
    assert TRAIN_SEEDS[-1] < TEST_SEEDS[0]
    assert TEST_SEEDS[0] == 10_000_000
    assert DEMO_SEED not in TRAIN_SEEDS
    assert DEMO_SEED not in TEST_SEEDS


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30_000, 1001)])
def test_sound_and_frames_cover_the_same_time(fps: Fraction) -> None:
    plan = plan_scene(3, num_frames=31, fps=fps, size_hw=SMALL)
    assert len(plan.waveform) == round(31 / fps * SAMPLE_RATE_HZ)
    assert plan.waveform.dtype == np.float32
    assert np.abs(plan.waveform).max() <= 1.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_masks_are_the_visible_pixels_of_what_sounds_at_the_frames_time(seed: int) -> None:
    scene = small_scene(seed)
    for k, (mask, owners) in enumerate(zip(scene.masks, scene.owners, strict=True)):
        expected = np.zeros(SMALL, np.bool_)
        for index, thing in enumerate(scene.objects):
            if any(start <= k / FPS < end for start, end in thing.on_seconds):
                expected |= owners == index
        np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_off_screen_sound_leaves_the_mask_empty(seed: int) -> None:
    scene = small_scene(seed)
    hidden = scene.objects[-1]
    assert not hidden.visible
    assert not (scene.owners == len(scene.objects) - 1).any()
    alone = [
        k
        for k in range(len(scene.frames))
        if hidden.sounds_at(k / FPS)
        and not any(thing.sounds_at(k / FPS) for thing in scene.objects[:-1])
    ]
    assert alone
    assert not scene.masks[alone].any()
    assert level_dbfs(window_at(scene, alone[len(alone) // 2])) > -50.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_sounds_is_heard_and_what_is_silent_is_not(seed: int) -> None:
    scene = small_scene(seed)
    for k in range(3, len(scene.frames) - 3):
        around = [thing.sounds_at(k / FPS + d) for thing in scene.objects for d in (-0.3, 0, 0.3)]
        level = level_dbfs(window_at(scene, k, WINDOW_SAMPLES // 2))
        if any(around[1::3]):
            assert level > -50.0
        if not any(around):
            assert level < -45.0


def window_at(scene: Scene, k: int, length: int = WINDOW_SAMPLES) -> np.ndarray:
    centre = round(k / scene.fps * SAMPLE_RATE_HZ)
    return scene.waveform[max(0, centre - length // 2) : centre + length // 2]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_spans_and_gaps_last_one_and_a_half_seconds(seed: int) -> None:
    for thing in small_scene(seed).objects:
        times = [0.0, *(t for span in thing.on_seconds for t in span), 18.0]
        lengths = np.diff(times)
        assert (lengths[1:-1] >= 1.5).all()


def test_kinds_in_a_scene_differ_and_all_kinds_occur() -> None:
    plans = [plan_scene(seed, num_frames=2, size_hw=(8, 8)) for seed in range(40)]
    for plan in plans:
        kinds = [thing.kind for thing in plan.objects]
        assert len(set(kinds)) == len(kinds)
        assert 1 <= len(plan.actors) <= 4
    assert {thing.kind for plan in plans for thing in plan.objects} == set(KINDS)
    assert {len(plan.actors) for plan in plans} == {1, 2, 3, 4}


def test_objects_and_background_move() -> None:
    scene = small_scene(2)
    assert (scene.owners[0] != scene.owners[-1]).any()
    nobody = (scene.owners[0] < 0) & (scene.owners[-1] < 0)
    assert (scene.frames[0] != scene.frames[-1])[nobody].mean() > 0.5


def test_drawing_a_planned_frame_again_gives_the_same_frame() -> None:
    plan = plan_scene(9, num_frames=10, size_hw=SMALL)
    image, owners = plan.draw(7)
    again, owners_again = plan.draw(7)
    assert digest(image, owners) == digest(again, owners_again)


def test_the_demo_scene_shows_every_case() -> None:
    plan = plan_scene(DEMO_SEED)
    *visible, hidden = plan.objects
    assert len(visible) == 3
    assert all(thing.on_seconds for thing in (*visible, hidden))
    sounding = [sum(t.sounds_at(k / 25) for t in visible) for k in range(plan.num_frames)]
    assert {0, 1, 2} <= set(sounding)
    assert 0.25 < np.mean(np.array(sounding) == 0) < 0.5


def test_single_frames_hold_every_case_in_proportion() -> None:
    frames = [sample_scene_frame(seed, SMALL) for seed in TEST_SEEDS[:300]]
    for frame in frames[:20]:
        assert frame.image.shape == (*SMALL, 3)
        assert frame.image.dtype == np.uint8
        assert frame.window.shape == (WINDOW_SAMPLES,)
        assert frame.window.dtype == np.float32
        assert frame.mask.shape == SMALL
        assert frame.mask.dtype == np.bool_
    levels = level_dbfs(np.stack([frame.window for frame in frames]))
    marked = np.array([frame.mask.any() for frame in frames])
    assert 0.5 < marked.mean() < 0.75
    assert levels[marked].min() > -50.0
    assert (levels == -np.inf).any()
    assert ((levels > -40.0) & ~marked).mean() > 0.1  # off screen, or not yet, or no longer


def test_a_couple_shares_its_picture_and_differs_in_its_sound() -> None:
    couples = [sample_scene_couple(seed, SMALL) for seed in range(40)]
    for first, second in couples:
        np.testing.assert_array_equal(first.image, second.image)
        assert not np.array_equal(first.window, second.window)
    assert np.mean([first.mask.any() for first, _ in couples]) > 0.7
    assert np.mean([(a.mask != b.mask).any() for a, b in couples]) > 0.6

import dataclasses
from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch

from avscli.datasets.kinds.scenes import SceneClips
from avscli.datasets.labelled import LabelledClip
from avscli.datasets.scenes import TRAIN_SEEDS, make_scene
from avscli.datatypes import AudioTrack, NetworkSpec, PatchTrack
from avscli.errors import UsageError
from avscli.training.clips.data import (
    ClipBatches,
    batch_of,
    centre_crop,
    epoch_order,
    shares_of,
)
from avscli.training.process_group import ProcessGroup
from tests.recipes import TINY_CLIP_SPEC, tiny_recipe

SCENES = SceneClips(TRAIN_SEEDS[:5], 5, (32, 32))
AVSS_SPEC: NetworkSpec = dataclasses.replace(
    TINY_CLIP_SPEC,
    task="semantic",
    clip_length=10,
    num_classes=71,
    class_names=tuple(str(i) for i in range(71)),
    padding="zeros_with_flag",
)


def clip(T: int = 5, size_hw: tuple[int, int] = (32, 32), seed: int = 0) -> LabelledClip:
    rng = np.random.default_rng(seed)
    known = np.ones(T, np.bool_)
    return LabelledClip(
        clip_id=str(seed),
        pictures=rng.integers(0, 256, (T, *size_hw, 3), np.uint8),
        sound=PatchTrack(
            rng.standard_normal((T, 1, 96, 64)).astype(np.float32), np.full(T, np.nan)
        ),
        targets=rng.integers(0, 71, (T, *size_hw)).astype(np.uint8),
        labelled=known,
        valid=known,
    )


@pytest.mark.parametrize("epoch", [0, 3])
def test_an_epoch_by_size_shows_every_clip_once(epoch: int) -> None:
    places = epoch_order([7, 4], [7, 4], seed=1, epoch=epoch)
    assert sorted(places) == [(0, i) for i in range(7)] + [(1, i) for i in range(4)]


def test_epochs_differ_and_repeat_by_seed() -> None:
    first, second, again = (epoch_order([20], [1], seed=1, epoch=e) for e in (0, 1, 0))
    assert first != second
    assert first == again
    assert first != epoch_order([20], [1], seed=2, epoch=0)


def test_shares_deal_the_epoch_and_no_clip_comes_twice_before_all_have() -> None:
    places = epoch_order([30, 10], [0.25, 0.75], seed=1, epoch=0)
    counts = Counter(place.source for place in places)
    assert counts == {0: 10, 1: 30}
    again = Counter(place.number for place in places if place.source == 1)
    assert set(again.values()) == {3}


def test_kinds_without_share_divide_what_is_left_by_their_sizes() -> None:
    other = dataclasses.replace(SCENES, seeds=TRAIN_SEEDS[:15], kind="avsbench-ms3")
    third = dataclasses.replace(SCENES, kind="avsbench-s4")
    assert shares_of([SCENES, other], {}) == [0.25, 0.75]
    assert shares_of([SCENES, other, third], {"scenes": 0.2}) == pytest.approx([0.2, 0.6, 0.2])


def test_shares_that_leave_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="leave no data"):
        ClipBatches(tiny_recipe(shares={"scenes": 0.0}), [SCENES], ProcessGroup())


def test_batches_from_a_step_on_are_those_of_the_whole_run() -> None:
    batches = ClipBatches(tiny_recipe(), [SCENES], ProcessGroup())
    assert batches.steps_per_epoch == 2
    whole = list(batches.since(0, 4))
    later = list(batches.since(2, 4))
    for mine, theirs in zip(whole[2:], later, strict=True):
        assert torch.equal(mine.inputs.frames, theirs.inputs.frames)
        assert torch.equal(mine.targets, theirs.targets)


def test_processes_divide_each_batch_among_them() -> None:
    whole = next(ClipBatches(tiny_recipe(), [SCENES], ProcessGroup()).since(0, 1))
    parts = [
        next(ClipBatches(tiny_recipe(), [SCENES], ProcessGroup(rank, 2)).since(0, 1))
        for rank in range(2)
    ]
    assert torch.equal(torch.cat([part.targets for part in parts]), whole.targets)


def test_a_set_smaller_than_a_batch_is_shown_several_times() -> None:
    batches = ClipBatches(tiny_recipe(batch_clips=8), [SCENES], ProcessGroup())
    assert batches.steps_per_epoch == 1
    assert [len(batch.targets) for batch in islice(batches.since(0, 2), 2)] == [8, 8]


def test_short_clips_are_padded_with_zeros_where_the_spec_says_so() -> None:
    batch = batch_of([clip(5), clip(10, seed=1)], AVSS_SPEC)
    assert batch.inputs.frames.shape == (2, 10, 3, 32, 32)
    assert batch.inputs.valid.tolist() == [[True] * 5 + [False] * 5, [True] * 10]
    assert torch.equal(batch.labelled, batch.inputs.valid)
    assert not batch.inputs.frames[0, 5:].any()
    assert not batch.inputs.log_mel[0, 5:].any()
    assert (batch.targets[0, 5:] == 255).all()


def test_targets_are_resized_without_new_values() -> None:
    original = clip(5, (48, 80))
    targets = batch_of([original], AVSS_SPEC).targets[0, :5].numpy()
    rows = ((np.arange(32) + 0.5) * 48 / 32).astype(int)
    columns = ((np.arange(32) + 0.5) * 80 / 32).astype(int)
    np.testing.assert_array_equal(targets, original.targets[:, rows][:, :, columns])


def test_a_binary_network_takes_every_class_as_sounding() -> None:
    original = clip()
    original.targets[0, 0, 0] = 255
    targets = batch_of([original], TINY_CLIP_SPEC).targets[0].numpy()
    expected = np.where(original.targets == 255, 255, original.targets > 0)
    np.testing.assert_array_equal(targets, expected)


@pytest.mark.parametrize(
    ("size_hw", "aspect", "cropped"),
    [((48, 80), 1.0, (48, 48)), ((80, 48), 1.0, (48, 48)), ((30, 60), 4.0, (15, 60))],
)
def test_a_centre_crop_is_as_large_as_its_aspect_allows(
    size_hw: tuple[int, int], aspect: float, cropped: tuple[int, int]
) -> None:
    whole = clip(5, size_hw)
    part = centre_crop(whole, aspect)
    assert part.targets.shape == (5, *cropped)
    top, left = (size_hw[0] - cropped[0]) // 2, (size_hw[1] - cropped[1]) // 2
    np.testing.assert_array_equal(part.pictures[:, 0, 0], whole.pictures[:, top, left])


def test_scene_clips_are_the_scenes_one_frame_a_second() -> None:
    drawn = SCENES.read(2)
    scene = make_scene(TRAIN_SEEDS[2], num_frames=5, fps=1, size_hw=(32, 32))  # type: ignore[arg-type]
    np.testing.assert_array_equal(drawn.pictures, scene.frames)
    np.testing.assert_array_equal(drawn.targets, scene.masks)
    assert isinstance(drawn.sound, AudioTrack)
    np.testing.assert_array_equal(drawn.sound.samples, scene.waveform)

"""Frame predictions against closed forms, torch, and hand-made logits."""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from avscli.audio.audioset import audioset_names
from avscli.config import SegmentOptions
from avscli.datatypes import (
    AnalysedFrame,
    AudioTrack,
    Clip,
    FrameStamp,
    NetworkOutput,
    NetworkSpec,
    SourceLogits,
)
from avscli.masks import MaskRule, foreground_probability
from avscli.objects.naming import SourceProbabilities
from avscli.postprocess import (
    StepOutput,
    finish,
    in_time_order,
    mean_entropy_bits,
    split_steps,
)
from avscli.results import FramePrediction, HeardSound

HEIGHT, WIDTH = 48, 80
BINARY = NetworkSpec(
    network="any",
    task="binary",
    clip_length=2,
    seconds_per_step=1.0,
    frame_size_hw=(48, 80),
    pixel_mean=(0.0, 0.0, 0.0),
    pixel_std=(1.0, 1.0, 1.0),
    resize_mode="squash",
    num_classes=1,
    class_names=("sounding_object",),
    padding="repeat_last",
)
SEMANTIC = dataclasses.replace(
    BINARY, task="semantic", num_classes=3, class_names=("background", "bell", "dog")
)
LOUD, SILENT = -20.0, -60.1


def box_logits(
    *, top: int = 2, left: int = 4, size: int = 6, inside: float = 4.0, outside: float = -4.0
) -> np.ndarray:
    """[1, 12, 20] logits with a square of `inside` on `outside`."""
    logits = np.full((1, 12, 20), outside, np.float32)
    logits[0, top : top + size, left : left + size] = inside
    return logits


def step(
    *stages: np.ndarray, at: int = 0, fps: float = 30.0, dbfs: float = LOUD, held: int = 0
) -> StepOutput:
    stamp = FrameStamp(at, at, at / fps)
    later = tuple(FrameStamp(at + i, at + i, (at + i) / fps) for i in range(1, held + 1))
    return StepOutput(AnalysedFrame(stamp, at, later), stages, dbfs)


def finished(
    *steps: StepOutput, spec: NetworkSpec = BINARY, options: SegmentOptions | None = None
) -> list[FramePrediction]:
    given = options or SegmentOptions()
    rule = MaskRule.of(
        spec,
        threshold=given.threshold,
        region_threshold=given.region_threshold,
        min_area=given.min_area,
    )
    return list(finish(steps, (HEIGHT, WIDTH), rule, spec))


def test_a_mask_is_the_upsampled_probability_at_or_above_the_threshold() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (1, 12, 20)).astype(np.float32)
    spec = dataclasses.replace(BINARY, temperature=1.7)
    [prediction] = finished(step(logits), spec=spec, options=SegmentOptions(threshold=0.3))
    probability = torch.sigmoid(
        torch.nn.functional.interpolate(
            torch.from_numpy(logits)[None], (HEIGHT, WIDTH), mode="bilinear"
        )
        / 1.7
    )
    expected = (probability[0, 0] >= 0.3).numpy()
    assert prediction.label_map.shape == (HEIGHT, WIDTH)
    assert (prediction.mask == expected).mean() > 0.999


def test_a_region_must_be_sure_somewhere_as_the_checkpoint_or_the_person_asks() -> None:
    strict = dataclasses.replace(BINARY, region_threshold=0.9)
    faint = np.full((1, 8, 8), 1.0, np.float32)  # 0.73
    assert not finished(step(faint), spec=strict)[0].label_map.any()
    given = SegmentOptions(region_threshold=0.0)
    assert finished(step(faint), spec=strict, options=given)[0].label_map.all()


def test_the_checkpoints_threshold_holds_unless_one_is_given() -> None:
    strict = dataclasses.replace(BINARY, threshold=0.99)
    assert not finished(step(box_logits(inside=4.0)), spec=strict)[0].mask.any()
    given = SegmentOptions(threshold=0.5)
    assert finished(step(box_logits(inside=4.0)), spec=strict, options=given)[0].mask.any()


def test_semantic_networks_give_the_class_at_each_pixel() -> None:
    logits = np.zeros((3, 12, 20), np.float32)
    logits[1, :, :10], logits[2, :, 14:] = 5.0, 5.0
    logits[0, :, 10:14] = 1.0
    [prediction] = finished(step(logits), spec=SEMANTIC)
    assert set(np.unique(prediction.label_map[:, :36])) == {1}
    assert set(np.unique(prediction.label_map[:, 60:])) == {2}
    assert prediction.label_map[0, 48] == 0
    assert prediction.state == "sounding"


def test_small_regions_are_dropped_from_mask_and_confidence_alike() -> None:
    logits = box_logits(size=6)
    logits[0, 10:12, 18:20] = 4.0
    kept, cleaned = (
        finished(step(logits), options=SegmentOptions(min_area=share))[0] for share in (0.0, 0.05)
    )
    assert kept.confidence.num_components == 2
    assert cleaned.confidence.num_components == 1
    assert not cleaned.mask[40:, 70:].any()
    assert cleaned.confidence.area_share == cleaned.mask.mean()


def test_sound_below_the_gate_empties_the_mask_and_says_so() -> None:
    [prediction] = finished(step(box_logits(), dbfs=SILENT))
    assert prediction.state == "silent"
    assert not prediction.mask.any()
    assert prediction.confidence.flags == ("silent", "mask_while_silent")
    assert prediction.confidence.mean_probability is None
    assert prediction.confidence.area_share == prediction.confidence.num_components == 0
    assert prediction.confidence.score == pytest.approx(1 - 1 / (1 + math.exp(-4.0)), abs=1e-6)


def test_silence_without_a_mask_is_only_silence() -> None:
    [prediction] = finished(step(box_logits(inside=-6.0, outside=-6.0), dbfs=-math.inf))
    assert prediction.confidence.flags == ("silent",)
    assert prediction.confidence.score == pytest.approx(1 / (1 + math.exp(-6.0)))


def test_exactly_the_gate_level_is_not_silent() -> None:
    assert finished(step(box_logits(), dbfs=-60.0))[0].state == "sounding"


def test_an_audible_frame_without_a_mask_says_that_nothing_sounds() -> None:
    [prediction] = finished(step(box_logits(inside=-3.0)))
    assert prediction.state == "nothing_sounds"
    assert prediction.confidence.score == pytest.approx(1 - 1 / (1 + math.exp(3.0)), abs=1e-6)
    assert prediction.confidence.flags == ()


def test_confidence_of_a_clear_box_matches_its_closed_form() -> None:
    confidence = finished(step(box_logits()))[0].confidence
    p = 1 / (1 + math.exp(-4.0))
    entropy = -(p * math.log2(p) + (1 - p) * math.log2(1 - p))
    assert confidence.score == confidence.mean_probability == pytest.approx(p)
    assert confidence.entropy == pytest.approx(entropy, rel=1e-5)
    assert confidence.stage_agreement == 1.0
    assert confidence.temporal_iou is None
    assert confidence.num_components == 1
    # Bilinear edges between ±4 cross zero halfway, so the box keeps its 6×6 of 12×20 cells.
    assert confidence.area_share == pytest.approx(36 / 240, rel=0.02)


def test_a_speck_that_upsampling_loses_counts_as_empty_everywhere() -> None:
    speck = box_logits(size=1, inside=0.1, outside=-9.0)
    confidence = finished(step(speck))[0].confidence
    assert confidence.area_share == confidence.num_components == 0
    assert confidence.mean_probability is None
    assert confidence.flags == (), "no neighbour was asked, so it is no flash"


def test_stage_agreement_is_the_mean_iou_of_the_coarser_stages() -> None:
    shifted = box_logits(left=7)  # 3 of 6 columns shared: IoU 18 / 54
    empty = box_logits(inside=-4.0)
    confidence = finished(step(box_logits(), box_logits(), shifted, empty))[0].confidence
    assert confidence.stage_agreement == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert "low_agreement" in confidence.flags


def test_stages_that_agree_on_nothing_agree() -> None:
    empty = box_logits(inside=-4.0)
    assert finished(step(empty, empty[:, ::2, ::2]))[0].confidence.stage_agreement == 1.0


def test_temporal_iou_compares_with_the_previous_analysed_frame() -> None:
    predictions = finished(
        step(box_logits(), at=0), step(box_logits(left=7), at=1), step(box_logits(left=7), at=2)
    )
    ious = [p.confidence.temporal_iou for p in predictions]
    assert ious == [None, pytest.approx(1 / 3), 1.0]
    assert [p.confidence.flags for p in predictions] == [(), ("flicker",), ()]


@pytest.mark.parametrize("fps", [1.0, 3.9])
def test_a_jump_after_more_than_a_quarter_of_a_second_is_no_flicker(fps: float) -> None:
    later = finished(step(box_logits(), at=0, fps=fps), step(box_logits(left=13), at=1, fps=fps))[1]
    assert later.confidence.temporal_iou == 0.0
    assert later.confidence.flags == ()


def test_a_mask_that_starts_or_ends_with_its_sound_is_no_flicker() -> None:
    predictions = finished(
        step(box_logits(), at=0, dbfs=SILENT),
        step(box_logits(), at=1),
        step(box_logits(), at=2, dbfs=SILENT),
    )
    assert all("flicker" not in p.confidence.flags for p in predictions)


NOTHING = box_logits(inside=-4.0)


def test_a_region_that_only_one_frame_shows_is_a_flash_and_goes() -> None:
    shown = [NOTHING, box_logits(), NOTHING, NOTHING]
    predictions = finished(*(step(logits, at=i) for i, logits in enumerate(shown)))
    assert [p.state for p in predictions] == ["nothing_sounds"] * 4
    assert not any(p.mask.any() for p in predictions)
    assert predictions[1].confidence.num_components == 0
    # that the network was sure there makes "nothing sounds" a doubtful claim
    assert predictions[1].confidence.score == pytest.approx(1 - 1 / (1 + math.exp(-4)), abs=1e-6)
    assert [p.confidence.flags for p in predictions] == [(), ("flash",), (), ()]


def test_a_region_that_moves_stays_and_a_flash_beside_it_goes() -> None:
    both = np.maximum(box_logits(left=2), box_logits(left=13))
    predictions = finished(
        step(box_logits(left=1), at=0), step(both, at=1), step(box_logits(left=3), at=2)
    )
    assert [p.confidence.flags for p in predictions] == [(), ("flash",), ()]
    alone = [finished(step(box_logits(left=left)))[0].mask for left in (1, 2, 3)]
    for prediction, expected in zip(predictions, alone, strict=True):
        np.testing.assert_array_equal(prediction.mask, expected)


@pytest.mark.parametrize("side", ["start", "end"])
def test_at_the_ends_of_a_range_the_only_neighbour_decides(side: str) -> None:
    def states(*shown: np.ndarray) -> list[str]:
        turned = shown if side == "start" else shown[::-1]
        predictions = finished(*(step(logits, at=i) for i, logits in enumerate(turned)))
        found = [p.state for p in predictions]
        return found if side == "start" else found[::-1]

    assert states(box_logits(), NOTHING, NOTHING) == ["nothing_sounds"] * 3
    assert states(box_logits(), box_logits(), NOTHING) == ["sounding"] * 2 + ["nothing_sounds"]


def test_a_mask_that_only_silent_neighbours_share_is_a_flash() -> None:
    predictions = finished(
        step(box_logits(), at=0, dbfs=SILENT),
        step(box_logits(), at=1),
        step(box_logits(), at=2, dbfs=SILENT),
    )
    assert [p.state for p in predictions] == ["silent", "nothing_sounds", "silent"]
    assert [p.confidence.flags for p in predictions] == [
        ("silent", "mask_while_silent"), ("flash",), ("silent", "mask_while_silent")
    ]  # fmt: skip


@pytest.mark.parametrize(("fps", "stays"), [(10.0, True), (15.0, False), (60.0, False)])
def test_only_frames_close_in_time_can_show_that_a_mask_was_a_flash(
    fps: float, stays: bool
) -> None:
    shown = [NOTHING, box_logits(), NOTHING]
    predictions = finished(*(step(logits, at=i, fps=fps) for i, logits in enumerate(shown)))
    assert predictions[1].mask.any() == stays


def test_held_frames_repeat_the_mask_and_are_marked() -> None:
    predictions = finished(step(box_logits(), at=0, held=2), step(box_logits(left=9), at=3))
    assert [p.stamp.index for p in predictions] == [0, 1, 2, 3]
    assert [p.interpolated for p in predictions] == [False, True, True, False]
    assert predictions[2].object_map is predictions[0].object_map
    assert predictions[2].confidence is predictions[0].confidence
    assert predictions[2].stamp.pts_seconds == pytest.approx(2 / 30)


def test_interleaved_steps_come_out_in_time_order_as_soon_as_they_can() -> None:
    drawn: list[int] = []

    def arriving() -> Iterator[StepOutput]:
        for index in (0, 2, 4, 1, 3, 5):
            drawn.append(index)
            yield step(box_logits(), at=index)

    ordered = in_time_order(arriving())
    assert next(ordered).analysed.sequence == 0
    assert drawn == [0]
    assert [s.analysed.sequence for s in ordered] == [1, 2, 3, 4, 5]


def test_a_frame_that_never_comes_is_noticed() -> None:
    with pytest.raises(AssertionError, match="analysed frame 1 never came, 2 later ones did"):
        list(in_time_order([step(box_logits(), at=i) for i in (0, 2, 3)]))


def clip_of(first: int, valid: list[bool]) -> Clip:
    stamps = [FrameStamp(first + i, 0, 0.0) for i in range(sum(valid))]
    return Clip(
        frames=np.zeros((2, 3, 4, 4), np.uint8),
        analysed=tuple(AnalysedFrame(s, s.index) for s in stamps),
        audio=AudioTrack(np.zeros(0, np.float32), 16_000, 0.0),
        valid=np.array(valid),
    )


def test_a_batch_is_cut_into_its_valid_steps() -> None:
    clips = [clip_of(0, [True, True]), clip_of(2, [True, False])]
    stages = (torch.randn(2, 2, 1, 8, 8, dtype=torch.bfloat16), torch.randn(2, 2, 1, 4, 4))
    levels = np.array([[-10.0, -11.0], [-12.0, -np.inf]])
    steps = list(split_steps(NetworkOutput(stages, torch.zeros(2, 2, 0)), clips, levels))
    assert [s.analysed.sequence for s in steps] == [0, 1, 2]
    assert [s.audio_dbfs for s in steps] == [-10.0, -11.0, -12.0]
    np.testing.assert_array_equal(steps[2].stage_logits[0], stages[0][1, 0].float().numpy())
    np.testing.assert_array_equal(steps[1].stage_logits[1], stages[1][0, 1].numpy())


@pytest.mark.parametrize("classes", [1, 2, 71])
def test_foreground_probability_is_torchs(classes: int) -> None:
    logits = torch.randn(classes, 5, 6, generator=torch.Generator().manual_seed(0)) * 8
    expected = torch.sigmoid(logits[0] / 1.3)
    if classes > 1:
        expected = 1 - torch.softmax(logits / 1.3, dim=0)[0]
    ours = foreground_probability(logits.numpy(), 1.3)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, atol=2e-6)


def test_huge_logits_do_not_overflow() -> None:
    extremes = np.array([[[-1e4, 1e4]]], np.float32)
    assert foreground_probability(extremes, 1.0).tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize(("probability", "bits"), [(0.5, 1.0), (0.25, 0.811278), (0.0, 0.0)])
def test_entropy_matches_its_closed_form(probability: float, bits: float) -> None:
    uniform = np.full((4, 4), probability, np.float32)
    assert mean_entropy_bits(uniform) == pytest.approx(bits, abs=1e-5)


# --- objects ---------------------------------------------------------------------------------

NAMING = dataclasses.replace(BINARY, architecture={"source_classes": "bell,dog"})


def test_categories_are_those_of_the_checkpoint() -> None:
    assert BINARY.categories == {1: "sounding_object"}
    assert SEMANTIC.categories == {1: "bell", 2: "dog"}
    assert NAMING.categories == {1: "bell", 2: "dog", 3: "unknown"}


def test_an_object_has_the_mean_probability_of_its_region() -> None:
    [prediction] = finished(step(box_logits(inside=2.0)))
    [found] = prediction.objects
    assert (found.track_id, found.category_id) == (1, 1)
    assert found.score == pytest.approx(1 / (1 + math.exp(-2.0)), abs=0.01)
    np.testing.assert_array_equal(prediction.object_map, prediction.label_map)


def test_classes_of_a_semantic_network_are_objects_and_its_label_map_stays() -> None:
    logits = np.zeros((3, 12, 20), np.float32)
    logits[0] = 1.0
    logits[2, :4, :5] = logits[1, 8:, 15:] = 5.0
    [prediction] = finished(step(logits), spec=SEMANTIC)
    assert [each.category_id for each in prediction.objects] == [1, 2]
    assert prediction.label_map[0, 0] == 2
    assert prediction.label_map[-1, -1] == 1
    only_dog = np.full((3, 12, 20), -5.0, np.float32)
    only_dog[2] = 5.0
    [prediction] = finished(step(only_dog), spec=SEMANTIC)
    assert prediction.object_map.max() == 1
    assert (prediction.label_map == 2).all()


def saying(*, picture: tuple[float, float], sound: tuple[float, float]) -> SourceProbabilities:
    """The same probabilities of both classes at every pixel."""
    planes = np.broadcast_to(np.array(picture, np.float32)[:, None, None], (2, 12, 20))
    return SourceProbabilities(planes, np.array(sound, np.float32))


def test_an_object_keeps_its_class_and_its_track_through_a_pause() -> None:
    dog = saying(picture=(0.05, 0.9), sound=(0.1, 0.9))
    none = np.full((1, 12, 20), -4.0, np.float32)
    stages = [box_logits(), none, box_logits(left=5)]
    steps = [
        dataclasses.replace(step(stage, at=at, fps=5.0), sources=dog)
        for at, stage in enumerate(stages)
    ]
    first, pause, again = finished(*steps, spec=NAMING)
    assert pause.objects == ()
    assert [(each.track_id, each.category_id) for each in first.objects] == [(1, 2)]
    assert [(each.track_id, each.category_id) for each in again.objects] == [(1, 2)]
    np.testing.assert_array_equal(again.label_map, 2 * again.mask)


def test_a_frame_that_names_an_object_otherwise_does_not_rename_its_track() -> None:
    dog = saying(picture=(0.05, 0.9), sound=(0.1, 0.9))
    nothing = saying(picture=(0.05, 0.05), sound=(0.1, 0.1))
    steps = [
        dataclasses.replace(step(box_logits(), at=at, fps=5.0), sources=said)
        for at, said in enumerate((dog, dog, nothing))
    ]
    shown = [prediction.objects[0] for prediction in finished(*steps, spec=NAMING)]
    assert [each.category for each in shown] == ["dog", "dog", "unknown"]
    assert [each.track_category for each in shown] == ["dog", "dog", "dog"]


def test_sources_of_a_batch_become_probabilities_of_each_step() -> None:
    logits = torch.zeros(1, 2, 1, 4, 4)
    picture = torch.tensor([0.0, 1.0, 2.0]).reshape(1, 1, 3, 1, 1).expand(1, 2, 3, 4, 4)
    sources = SourceLogits(picture, torch.tensor([[[0.0, 2.0], [1.0, -1.0]]]))
    output = NetworkOutput((logits,), torch.zeros(1, 2, 0), sources)
    said = [
        each.sources for each in split_steps(output, [clip_of(0, [True, True])], np.zeros((1, 2)))
    ]
    assert said[1] is not None
    expected = torch.tensor([0.0, 1.0, 2.0]).softmax(0)[1:]
    np.testing.assert_allclose(said[1].picture[:, 0, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(said[1].sound, torch.tensor([1.0, -1.0]).sigmoid(), rtol=1e-6)


def test_what_no_source_explains_is_unknown() -> None:
    said = saying(picture=(0.1, 0.1), sound=(0.5, 0.5))
    [prediction] = finished(dataclasses.replace(step(box_logits()), sources=said), spec=NAMING)
    assert {NAMING.categories[each.category_id] for each in prediction.objects} == {"unknown"}


def test_what_is_heard_is_told_where_nothing_visible_sounds_and_not_in_silence() -> None:
    quiet = np.full((1, 12, 20), -4.0, np.float32)
    said = saying(picture=(0.0, 0.0), sound=(0.25, 0.75))
    heard = dataclasses.replace(step(quiet), sources=said)
    silent = dataclasses.replace(step(quiet, at=1, dbfs=SILENT), sources=said)
    predictions = finished(heard, silent, spec=NAMING)
    assert predictions[0].heard == (HeardSound("dog", 0.75), HeardSound("bell", 0.25))
    assert predictions[0].objects == ()
    assert predictions[1].heard == ()


def test_a_tagger_names_what_is_heard_the_most_probable_first() -> None:
    tags = np.zeros(527, np.float32)
    for name, probability in (("Rain", 0.3), ("Speech", 0.9), ("Dog", 0.04)):
        tags[audioset_names().index(name)] = probability
    quiet = np.full((1, 12, 20), -4.0, np.float32)
    said = saying(picture=(0.0, 0.0), sound=(0.25, 0.75))
    heard = dataclasses.replace(step(quiet), sources=said, heard=tags)
    silent = dataclasses.replace(step(quiet, at=1, dbfs=SILENT), heard=tags)
    first, second = finished(heard, silent, spec=NAMING)
    assert [each.name for each in first.heard] == ["Speech", "Rain"]
    assert first.heard[0].probability == pytest.approx(0.9)
    assert second.heard == ()


def test_no_more_is_told_of_a_sound_than_its_ten_likeliest_names() -> None:
    tags = np.linspace(0.1, 0.9, 527, dtype=np.float32)
    [prediction] = finished(dataclasses.replace(step(box_logits()), heard=tags))
    assert [each.name for each in prediction.heard] == list(audioset_names()[:-11:-1])

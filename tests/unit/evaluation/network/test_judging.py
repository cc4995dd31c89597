"""What is scored is what `avs segment` writes; the network's own word lies beside it."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from avscli.checkpoints import load_network
from avscli.config import DataSelection, EvalOptions, ReadOptions, SegmentOptions
from avscli.datasets.kinds.scenes import SceneFrames, window_track
from avscli.datasets.labelled import LabelledClip
from avscli.datasets.scenes import TEST_SEEDS
from avscli.datatypes import PatchTrack
from avscli.devices import Runtime, start
from avscli.errors import UsageError
from avscli.evaluation.network.data import open_data
from avscli.evaluation.network.judging import judge
from avscli.evaluation.run import evaluate_masks, evaluate_network
from avscli.media.ffmpeg_jobs import mux
from avscli.pipeline import segment
from tests.networks_for_tests import TINY_SPEC, make_network, save_tiny

RATE = 16_000


def clip_of(amplitude: float, *, size_hw: tuple[int, int] = (50, 130)) -> LabelledClip:
    known = np.ones(1, np.bool_)
    tone = amplitude * np.sin(np.arange(15_600) * 0.2)
    return LabelledClip(
        clip_id="tone",
        pictures=np.random.default_rng(0).integers(0, 256, (1, *size_hw, 3), np.uint8),
        sound=window_track(tone.astype(np.float32)),
        targets=np.ones((1, *size_hw), np.uint8),
        labelled=known,
        valid=known,
    )


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    weights = save_tiny(tmp_path_factory.mktemp("weights") / "tiny.safetensors", make_network())
    return start(load_network(str(weights)), "cpu", precision="fp32", warn=pytest.fail)


def test_masks_have_the_pictures_own_size_and_follow_the_threshold(runtime: Runtime) -> None:
    assert judge(runtime, clip_of(0.5), threshold=1e-6).labels.shape == (1, 50, 130)
    assert judge(runtime, clip_of(0.5), threshold=1e-6).labels.all()
    assert not judge(runtime, clip_of(0.5), threshold=1 - 1e-6).labels.any()


def test_below_the_silence_gate_nothing_is_marked_whatever_the_network_says(
    runtime: Runtime,
) -> None:
    quiet = judge(runtime, clip_of(1e-4), threshold=1e-6)
    assert not quiet.labels.any()
    assert not quiet.probability.any()
    assert quiet.scores.tolist() == [0.0]
    alone = quiet.by_the_network_alone()
    assert alone.labels.all()
    assert alone.scores[0] == alone.probability.max() > 0


def test_above_the_gate_a_single_picture_is_what_the_network_says(runtime: Runtime) -> None:
    loud = judge(runtime, clip_of(0.5))
    alone = loud.by_the_network_alone()
    assert np.array_equal(loud.labels, alone.labels)
    assert np.array_equal(loud.probability, alone.probability)


def test_stored_patches_of_unknown_level_are_not_taken_for_silence(runtime: Runtime) -> None:
    patch = np.full((1, 1, 96, 64), np.log(0.01), np.float32)
    for level, marked in ((np.nan, True), (-np.inf, False)):
        clip = replace(clip_of(0.0), sound=PatchTrack(patch, np.array([level])))
        assert judge(runtime, clip, threshold=1e-6).labels.any() == marked


def test_padded_steps_are_the_networks_own_and_not_shipped(runtime: Runtime) -> None:
    judged = judge(runtime, clip_of(0.5).padded_to(4), threshold=1e-6)
    assert judged.labels.any(axis=(1, 2)).tolist() == [True, False, False, False]
    assert judged.by_the_network_alone().labels.shape == (4, 50, 130)
    assert [frame.target.all() for frame in judged.frames()] == [True]


def test_a_judged_clip_is_what_segmenting_its_video_gives(tmp_path: Path) -> None:
    # One step every second, in a network that sees single steps: a video of three such frames.
    spec = replace(TINY_SPEC, clip_length=1, sound_offsets_seconds=())
    path = save_tiny(tmp_path / "tiny.safetensors", make_network(spec))
    rng = np.random.default_rng(1)
    coarse = rng.integers(60, 200, (3, 4, 4, 3), np.uint8)
    pictures = coarse.repeat(16, axis=1).repeat(16, axis=2)
    tone = np.sin(np.arange(4 * RATE) * 0.3).astype(np.float32)
    tone[: RATE // 2] = tone[round(1.5 * RATE) :] = 0.0  # silent around the first and the last
    mux(pictures, tone, tmp_path / "v.mp4", fps=Fraction(1), sample_rate_hz=RATE)
    options = SegmentOptions(read=ReadOptions(), device="cpu", precision="fp32")
    shipped = list(segment(tmp_path / "v.mp4", weights=str(path), options=options))
    known = np.ones(3, np.bool_)
    clip = LabelledClip(
        clip_id="v",
        pictures=pictures,
        sound=window_track(np.zeros(15_600, np.float32)),
        targets=np.zeros((3, 64, 64), np.uint8),
        labelled=known,
        valid=known,
    )
    sound = replace(clip.sound, samples=tone, start_seconds=0.0)
    runtime = start(load_network(str(path)), "cpu", precision="fp32", warn=pytest.fail)
    judged = judge(runtime, replace(clip, sound=sound))
    assert [prediction.state == "silent" for prediction in shipped] == [True, False, True]
    assert (judged.scores == 0.0).tolist() == [True, False, True]
    for step, prediction in enumerate(shipped):
        # H.264 and AAC change a few values, so edges may move by some pixels.
        assert (judged.labels[step] != prediction.label_map).mean() < 0.1


def test_the_network_protocol_scores_the_same_clips_without_the_gate(runtime: Runtime) -> None:
    quiet = clip_of(1e-4)
    data = replace(open_data(DataSelection("scenes", limit=1)), samples=lambda: [quiet])
    options = EvalOptions(protocols=("avs", "network"), threshold=1e-6)
    told = evaluate_network(runtime, data, options, lambda _done: None).protocols
    found = {name: told[name]["scores"]["mean_iou"]["value"] for name in ("avs", "network")}
    assert found == {"avs": 0.0, "network": 1.0}
    assert told["network"]["source"].endswith("the network alone")


def test_stored_masks_have_no_network_protocol(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="network"):
        evaluate_masks(tmp_path, tmp_path, EvalOptions(protocols=("network",)), lambda _done: None)


def test_held_out_scenes_are_the_same_every_time() -> None:
    scenes = SceneFrames(TEST_SEEDS[:3], "test", (64, 64))
    for index in range(3):
        a, b = scenes.read(index), scenes.read(index)
        assert np.array_equal(a.pictures, b.pictures)
        assert np.array_equal(a.sound.samples, b.sound.samples)
        assert np.array_equal(a.targets, b.targets)

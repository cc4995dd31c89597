"""Network input against closed forms and the official data sets' conventions."""

import dataclasses
import gc
import math
import weakref
from fractions import Fraction

import numpy as np
import pytest
import torch

from avscli.audio.fine_log_mel import window_fine_log_mel
from avscli.audio.log_mel import window_log_mel
from avscli.audio.windows import centred_windows
from avscli.datatypes import (
    WINDOW_SAMPLES,
    AnalysedFrame,
    AudioTrack,
    Clip,
    FrameStamp,
    NetworkSpec,
    PatchTrack,
)
from avscli.errors import DataError
from avscli.preprocess import EncodedSound, normalised, prepare
from tests.networks_for_tests import TINY_SPEC, make_network

SPEC = NetworkSpec(
    network="any",
    task="binary",
    clip_length=4,
    seconds_per_step=1.0,
    frame_size_hw=(32, 64),
    pixel_mean=(0.485, 0.456, 0.406),
    pixel_std=(0.229, 0.224, 0.225),
    resize_mode="squash",
    num_classes=1,
    class_names=("sounding_object",),
    padding="repeat_last",
)
ZEROS = dataclasses.replace(SPEC, padding="zeros_with_flag")


def make_clip(*, num_valid: int = 4, amplitude: float = 0.5, seed: int = 0) -> Clip:
    rng = np.random.default_rng(seed)
    stamps = [FrameStamp(i * 30, i * 30, float(i)) for i in range(num_valid)]
    tone = amplitude * np.sin(2 * np.pi * 440.3 * np.arange(6 * 16_000) / 16_000)
    return Clip(
        frames=rng.integers(0, 256, (4, 3, 32, 64), np.uint8),
        analysed=tuple(AnalysedFrame(s, i) for i, s in enumerate(stamps)),
        audio=AudioTrack(tone.astype(np.float32), 16_000, -1.0),
        valid=np.arange(4) < num_valid,
    )


def test_a_batch_has_the_shapes_and_types_that_networks_take() -> None:
    batch = prepare([make_clip(), make_clip(num_valid=2, seed=1)], SPEC)
    assert batch.inputs.frames.shape == (2, 4, 3, 32, 64)
    assert batch.inputs.log_mel.shape == (2, 4, 1, 96, 64)
    assert batch.inputs.frames.dtype == batch.inputs.log_mel.dtype == torch.float32
    assert batch.inputs.valid.tolist() == [[True] * 4, [True, True, False, False]]
    assert batch.levels_dbfs.shape == (2, 4)


def test_pixels_are_scaled_then_normalised_per_channel() -> None:
    pixels = torch.zeros(3, 1, 2, dtype=torch.uint8)
    pixels[..., 1] = 255
    expected = [[(v - m) / s for v in (0.0, 1.0)] for m, s in zip(*pixel_statistics(), strict=True)]
    torch.testing.assert_close(normalised(pixels, SPEC)[:, 0], torch.tensor(expected))


def pixel_statistics() -> tuple[tuple[float, ...], tuple[float, ...]]:
    return SPEC.pixel_mean, SPEC.pixel_std


def test_each_step_hears_the_window_centred_on_its_frame() -> None:
    clip = make_clip()
    around_two_seconds = clip.audio.samples[3 * 16_000 - 7800 : 3 * 16_000 + 7800]
    log_mel = prepare([clip], SPEC).inputs.log_mel[0, 2]
    torch.testing.assert_close(log_mel, window_log_mel(around_two_seconds))


def test_a_network_that_hears_around_gets_the_windows_at_its_offsets_after_the_own() -> None:
    clips = [make_clip(), make_clip(num_valid=2, amplitude=0.1)]
    offsets = (-1.0, 0.5, 10.0)
    batch = prepare(clips, dataclasses.replace(SPEC, sound_offsets_seconds=offsets))
    assert batch.inputs.log_mel.shape == (2, 4, 1 + 3, 96, 64)
    for clip, of_clip in zip(clips, batch.inputs.log_mel, strict=True):
        at = [1.0 + offset for offset in (0.0, *offsets)]  # around the second step
        expected = window_log_mel(centred_windows(clip.audio, at))[:, 0]
        torch.testing.assert_close(of_clip[1], expected)
    np.testing.assert_array_equal(batch.levels_dbfs, prepare(clips, SPEC).levels_dbfs)


def test_levels_are_those_of_the_windows() -> None:
    levels = prepare([make_clip(amplitude=0.5, num_valid=3)], SPEC).levels_dbfs[0]
    np.testing.assert_allclose(levels[:3], 20 * math.log10(0.5 / math.sqrt(2)), atol=0.01)
    assert levels[3] == -math.inf


def test_a_step_of_a_file_in_a_pause_has_the_level_of_the_pause():
    """The tone ends at 2 s, which half of the window of the frame at 2.2 s still holds."""
    clip = make_clip()
    samples = clip.audio.samples.copy()
    samples[3 * 16_000 :] = 0.0
    times, margin = (1.5, 1.9, 2.05, 2.2), (-0.1, 0.1)
    of_a_file, of_a_pair = (
        dataclasses.replace(
            clip,
            audio=AudioTrack(samples, 16_000, -1.0),
            analysed=tuple(
                AnalysedFrame(FrameStamp(i, i, at), i, (), stands_for) for i, at in enumerate(times)
            ),
        )
        for stands_for in (margin, None)
    )
    loud = prepare([of_a_pair], SPEC).levels_dbfs[0]
    paused = prepare([of_a_file], SPEC).levels_dbfs[0]
    assert (loud > -20.0).all()
    assert (paused[:3] > -20.0).all()
    assert paused[3] == -math.inf


def test_digital_silence_is_log_one_hundredth_and_minus_infinity() -> None:
    batch = prepare([make_clip(amplitude=0.0)], SPEC)
    torch.testing.assert_close(batch.inputs.log_mel, torch.full((1, 4, 1, 96, 64), math.log(0.01)))
    assert (batch.levels_dbfs == -np.inf).all()


def test_repeating_padding_copies_the_last_valid_step_whatever_the_clip_holds_there() -> None:
    inputs = prepare([make_clip(num_valid=2)], SPEC).inputs
    for steps in (inputs.frames[0], inputs.log_mel[0]):
        torch.testing.assert_close(steps[2:], steps[1].expand(2, *steps[1].shape))
        assert not torch.equal(steps[0], steps[1])


def test_zero_padding_is_zero_in_the_network_input_not_in_the_sound() -> None:
    inputs = prepare([make_clip(num_valid=2)], ZEROS).inputs
    assert not inputs.frames[0, 2:].any()
    assert not inputs.log_mel[0, 2:].any()
    torch.testing.assert_close(
        inputs.frames[0, :2], prepare([make_clip(num_valid=2)], SPEC).inputs.frames[0, :2]
    )


def test_a_batch_is_its_clips_one_by_one() -> None:
    clips = [make_clip(seed=1), make_clip(num_valid=3, seed=2, amplitude=0.1)]
    together = prepare(clips, SPEC)
    for index, clip in enumerate(clips):
        alone = prepare([clip], SPEC)
        torch.testing.assert_close(together.inputs.frames[index], alone.inputs.frames[0])
        torch.testing.assert_close(together.inputs.log_mel[index], alone.inputs.log_mel[0])
        np.testing.assert_array_equal(together.levels_dbfs[index], alone.levels_dbfs[0])


@pytest.mark.parametrize("spec", [SPEC, ZEROS], ids=["repeat_last", "zeros_with_flag"])
def test_a_clip_of_padding_only_is_zeros(spec: NetworkSpec) -> None:
    batch = prepare([make_clip(num_valid=0), make_clip()], spec)
    assert not batch.inputs.frames[0].any()
    assert not batch.inputs.log_mel[0].any()
    assert (batch.levels_dbfs[0] == -np.inf).all()
    torch.testing.assert_close(batch.inputs.frames[1:], prepare([make_clip()], spec).inputs.frames)


def test_stored_patches_are_heard_as_they_are_and_the_last_one_beyond_the_end() -> None:
    log_mel = np.random.default_rng(0).standard_normal((4, 1, 96, 64)).astype(np.float32)
    track = PatchTrack(log_mel, np.array([-10.0, -20.0, np.nan, -np.inf]))
    clip = dataclasses.replace(make_clip(), audio=track)
    stamps = [FrameStamp(k, k, float(k)) for k in range(4)]
    clip = dataclasses.replace(clip, analysed=tuple(map(AnalysedFrame, stamps, range(4))))
    spec = dataclasses.replace(SPEC, sound_offsets_seconds=(-1.0, 2.0))
    batch = prepare([clip], spec)
    np.testing.assert_array_equal(batch.levels_dbfs[0], track.levels_dbfs)
    for step in range(4):
        heard = [log_mel[at, 0] for at in (step, max(step - 1, 0), min(step + 2, 3))]
        np.testing.assert_array_equal(batch.inputs.log_mel[0, step].numpy(), heard)


@pytest.mark.parametrize("seconds", [0.0, float("nan"), float("inf"), 61.0])
def test_no_network_hears_its_own_moment_twice_or_hours_ahead(seconds):
    with pytest.raises(ValueError, match="sound_offsets_seconds"):
        dataclasses.replace(SPEC, sound_offsets_seconds=(1.0, seconds))


def test_recorded_patches_are_heard_in_the_log_mel_that_the_network_takes() -> None:
    windows = 0.1 * np.random.default_rng(0).standard_normal((4, WINDOW_SAMPLES), np.float32)
    track = PatchTrack(window_log_mel(windows).numpy(), np.full(4, -20.0), windows)
    stamps = [FrameStamp(k, k, float(k)) for k in range(4)]
    clip = dataclasses.replace(
        make_clip(), audio=track, analysed=tuple(map(AnalysedFrame, stamps, range(4)))
    )
    spec = dataclasses.replace(SPEC, log_mel="efficientat", sound_offsets_seconds=(1.0,))
    heard = prepare([clip], spec).inputs.log_mel[0]
    expected = window_fine_log_mel(windows)[:, 0]
    torch.testing.assert_close(heard[:, 0], expected)
    torch.testing.assert_close(heard[:, 1], expected[[1, 2, 3, 3]])


def test_stored_patches_are_refused_by_a_network_that_hears_finer_ones() -> None:
    track = PatchTrack(np.zeros((4, 1, 96, 64), np.float32), np.zeros(4))
    spec = dataclasses.replace(SPEC, log_mel="efficientat")
    with pytest.raises(DataError, match="VGGish's log-mel patches") as caught:
        prepare([dataclasses.replace(make_clip(), audio=track)], spec)
    assert "recordings" in str(caught.value.hint)


def clips_of_a_file(fps: Fraction, *, seconds: int = 5) -> list[Clip]:
    """Return clips of one frame each, with noise around them cut anew for each, as readers do."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(16_000 * seconds, np.float32)
    clips = []
    for i in range(int(seconds * fps)):
        at = float(i / fps)
        begin = max(0, round((at - 2.5) * 16_000))
        around = AudioTrack(noise[begin : round((at + 2.5) * 16_000)], 16_000, begin / 16_000)
        frame = np.zeros((1, 3, 64, 64), np.uint8)
        stamp = AnalysedFrame(FrameStamp(i, i, at), i)
        clips.append(Clip(frame, (stamp,), around, np.array([True])))
    return clips


@pytest.mark.parametrize(
    ("fps", "overhead"), [(Fraction(30), 1.0), (Fraction(30_000, 1001), 1.4), (Fraction(24), 1.0)]
)
def test_sound_that_is_encoded_once_gives_what_patches_give(fps, overhead):
    spec = dataclasses.replace(
        TINY_SPEC, clip_length=1, sound_offsets_seconds=(-2.0, -1.0, 1.0, 2.0)
    )
    network = make_network(spec)
    encoded, passes = [], []

    @torch.inference_mode()
    def encoder(log_mel: torch.Tensor) -> torch.Tensor:
        encoded.extend(log_mel)
        passes.append(len(log_mel))
        return network.encode_sound(log_mel)

    sound, clips = EncodedSound(encoder, spec), clips_of_a_file(fps)
    for first in range(0, len(clips), 4):
        batch = clips[first : first + 4]
        known, patches = prepare(batch, spec, sound), prepare(batch, spec)
        assert known.inputs.log_mel.numel() == 0
        with torch.inference_mode():
            expected = network.encode_sound(patches.inputs.log_mel.flatten(0, 2)[:, None])
        torch.testing.assert_close(
            known.inputs.embeddings.flatten(0, 2), expected, atol=1e-5, rtol=0
        )
        np.testing.assert_array_equal(known.levels_dbfs, patches.levels_dbfs)
    # one window a frame of the file's five seconds and of half a second before and after them,
    # which still hear it; what lies further off is silence, once
    assert len(encoded) <= overhead * 6 * fps + 1
    assert len(passes) <= len(clips) // 4 + 1  # a batch of clips and the silence


def test_a_long_file_does_not_fill_the_memory_with_embeddings():
    spec = dataclasses.replace(TINY_SPEC, clip_length=1, sound_offsets_seconds=(-2.0, 2.0))
    alive = weakref.WeakSet()

    def encoder(log_mel: torch.Tensor) -> torch.Tensor:
        embeddings = log_mel.mean(dim=(1, 2)).clone()
        alive.add(embeddings)
        return embeddings

    sound = EncodedSound(encoder, spec)
    for clip in clips_of_a_file(Fraction(10), seconds=60):
        prepare([clip], spec, sound)
    gc.collect()
    assert len(alive) <= 10 * 5 + 3  # of the last five seconds and the moments around


def test_steps_of_padding_hear_what_their_patches_would_have_given():
    spec = dataclasses.replace(TINY_SPEC, clip_length=4)
    network = make_network(spec)
    sound = EncodedSound(network.encode_sound, spec)
    with torch.inference_mode():
        known = prepare([make_clip(num_valid=2)], spec, sound).inputs.embeddings
        patches = prepare([make_clip(num_valid=2)], spec).inputs.log_mel
        expected = network.encode_sound(patches.flatten(0, 2)[:, None])
    torch.testing.assert_close(known.flatten(0, 2), expected, atol=1e-5, rtol=0)

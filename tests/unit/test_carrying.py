"""Where looks are taken and what is said between them, with a network whose answers are known.

It marks what is bright in the picture as far as its sound may be that of a lamp.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from avscli.carrying import BLOCK_FRAMES, LONGEST_SECONDS, Block, Carrier, read_blocks
from avscli.datatypes import (
    AnalysedFrame,
    AudioTrack,
    Clip,
    FrameStamp,
    NetworkInput,
    NetworkOutput,
    SourceLogits,
)
from avscli.masks import MaskRule, mask_iou
from avscli.motion import Motion
from avscli.postprocess import StepOutput
from avscli.preprocess import PreparedBatch, prepare
from tests.networks_for_tests import TINY_SPEC

SPEC = dataclasses.replace(
    TINY_SPEC,
    clip_length=1,
    region_threshold=0.8,
    architecture={**TINY_SPEC.architecture, "source_classes": "lamp"},
)
RULE = MaskRule.of(SPEC)
FPS = 30
SIZE_HW = (96, 160)
LOUD, QUIET = -20.0, -90.0


class Lamps:
    """The network; notes which pictures it was shown, by the number in their corner."""

    def __init__(self) -> None:
        self.shown: list[int] = []

    def __call__(self, inputs: NetworkInput) -> NetworkOutput:
        assert inputs.embeddings is not None
        assert inputs.silent is not None
        sound = inputs.embeddings[:, :, 0]  # [B, 1, 1], the logit itself
        looked = ~inputs.silent[:, 0]
        corners = inputs.frames[looked][:, 0, 0, 0, 0]
        self.shown += ((corners * 0.5 + 0.5) * 255).round().int().tolist()
        pooled = torch.nn.functional.avg_pool2d(inputs.frames[:, 0, 1:2], 4)
        picture = torch.where(looked[:, None, None, None], 6.0 * pooled, -20.0)
        logits = torch.minimum(picture, 2 * sound[..., None])[:, None]  # [B, 1, 1, h/4, w/4]
        seen = torch.stack((-picture, picture), dim=2)
        return NetworkOutput(
            (logits,), inputs.frames.new_zeros(len(looked), 1, 0), SourceLogits(seen, sound)
        )


def clips_of(pictures: Sequence[NDArray[np.uint8]], first: int = 0) -> list[Clip]:
    silence = AudioTrack(np.zeros(0, np.float32), 16_000, 0.0)
    return [
        Clip(
            picture.transpose(2, 0, 1)[None],
            (AnalysedFrame(FrameStamp(i, i, i / FPS), i),),
            silence,
            np.ones(1, np.bool_),
        )
        for i, picture in enumerate(pictures, first)
    ]


def blocks_of(
    pictures: Sequence[NDArray[np.uint8]], lamp: Sequence[float], levels: Sequence[float]
) -> list[Block]:
    """Return blocks of frames whose sound is that of a lamp by some probabilities."""
    blocks, before = [], None
    for start in range(0, len(pictures), BLOCK_FRAMES):
        part = slice(start, start + BLOCK_FRAMES)
        motions = []
        for picture in pictures[part]:
            motions.append(Motion.into(picture.transpose(2, 0, 1), before))
            before = motions[-1].picture
        n, level = len(motions), np.array(levels[part])[:, None]
        odds = np.log(np.array(lamp[part]) / (1 - np.array(lamp[part])))
        inputs = NetworkInput(
            frames=torch.zeros(()).expand(n, 1, 3, *SIZE_HW),
            log_mel=torch.zeros(n, 1, 0, 96, 64),
            valid=torch.ones(n, 1, dtype=torch.bool),
            embeddings=torch.from_numpy(odds.astype(np.float32)).reshape(n, 1, 1, 1),
            silent=torch.from_numpy(level < -60),
        )
        blocks.append(Block(clips_of(pictures[part], start), PreparedBatch(inputs, level), motions))
    return blocks


def carried_steps(
    pictures: Sequence[NDArray[np.uint8]],
    lamp: Sequence[float],
    levels: Sequence[float] | None = None,
) -> tuple[list[StepOutput], list[int]]:
    """Return the steps, and the numbers of the pictures that were looked at."""
    network = Lamps()
    carrier = Carrier(network, SPEC, RULE)
    blocks = blocks_of(pictures, lamp, levels or [LOUD] * len(pictures))
    return [step for block in blocks for step in carrier.steps(block)], network.shown


def mask_of(step: StepOutput) -> NDArray[np.bool_]:
    return RULE.label_map(step.stage_logits[0], SIZE_HW) > 0


def truth_of(picture: NDArray[np.uint8], lamp: float) -> NDArray[np.bool_]:
    """Return what the network says of a picture, computed from its description."""
    pixels = torch.from_numpy(picture[:, :, 1] / 127.5 - 1)[None, None].float()
    odds = np.float32(2 * np.log(lamp / (1 - lamp)))
    logits = np.minimum(6 * torch.nn.functional.avg_pool2d(pixels, 4)[0].numpy(), odds)
    return RULE.label_map(logits, SIZE_HW) > 0


def passing(num_frames: int, *, pixels_a_frame: float = 1.0) -> list[NDArray[np.uint8]]:
    """Return pictures in which a lamp crosses a wall, each with its number in the corner."""
    wall = np.random.default_rng(3).integers(20, 90, (SIZE_HW[0] // 4, SIZE_HW[1] // 4), np.uint8)
    wall = np.kron(wall, np.ones((4, 4), np.uint8))
    pictures = []
    for index in range(num_frames):
        picture = np.stack([wall] * 3, axis=2)
        left = 20 + round(pixels_a_frame * index)
        picture[30:70, left : left + 40] = 250
        picture[:4, :4] = index
        pictures.append(picture)
    return pictures


def test_a_mask_moves_with_what_it_is_on_and_few_frames_are_looked_at():
    pictures = passing(60)
    steps, looked = carried_steps(pictures, [0.95] * 60)
    assert [step.analysed.sequence for step in steps] == list(range(60))
    ious = [mask_iou(mask_of(s), truth_of(p, 0.95)) for s, p in zip(steps, pictures, strict=True)]
    assert min(ious) >= 0.9
    assert len(looked) <= 15
    assert [i for i, step in enumerate(steps) if not step.is_carried] == sorted(looked)


def test_what_is_looked_at_is_never_further_apart_than_it_may_be():
    _, looked = carried_steps(passing(60), [0.95] * 60)
    assert np.diff(sorted(looked)).max() <= LONGEST_SECONDS * FPS


@pytest.mark.parametrize("begins", range(1, 16, 3))
def test_a_sound_that_begins_between_two_looks_lights_what_was_dark(begins):
    pictures = passing(40)
    lamp = [0.06] * begins + [0.97] * (40 - begins)
    steps, _ = carried_steps(pictures, lamp)
    assert [mask_of(step).any() for step in steps] == [p > 0.5 for p in lamp]


def test_a_sound_too_short_for_two_looks_to_hear_is_looked_at():
    pictures = passing(31)
    lamp = [0.06] * 6 + [0.97] * 3 + [0.06] * 22
    steps, looked = carried_steps(pictures, lamp)
    assert [mask_of(step).any() for step in steps] == [p > 0.5 for p in lamp]
    assert {5, 6, 8, 9} <= set(looked)


def test_each_carried_frame_has_its_own_sound():
    lamp = [0.90 + 0.002 * i for i in range(40)]
    steps, _ = carried_steps(passing(40), lamp, [-20.0 - i for i in range(40)])
    sounds = [float(step.sources.sound[0]) for step in steps if step.sources is not None]
    np.testing.assert_allclose(sounds, lamp, atol=1e-5)
    assert [step.audio_dbfs for step in steps] == [-20.0 - i for i in range(40)]


def test_where_nothing_could_sound_nothing_is_looked_at_or_shown():
    lamp = [0.95] * 10 + [0.02] * 15 + [0.95] * 15
    levels = [LOUD] * 30 + [QUIET] * 10
    steps, looked = carried_steps(passing(40), lamp, levels)
    assert not set(looked) & ({*range(10, 25)} | {*range(30, 40)})
    assert {0, 9, 25, 29} <= set(looked)
    assert [mask_of(step).any() for step in steps] == [
        p > 0.5 and level > -60 for p, level in zip(lamp, levels, strict=True)
    ]


def test_nothing_is_carried_over_a_cut():
    dark = [np.full_like(picture, 60) for picture in passing(4)]
    for number, picture in enumerate(dark):
        picture[:4, :4] = 10 + number
    pictures = passing(30)
    pictures[10:14] = dark
    steps, looked = carried_steps(pictures, [0.95] * 30)
    assert {0, 9, 10, 13, 14, 29} <= set(looked)
    assert [mask_of(step).any() for step in steps] == [not 10 <= i < 14 for i in range(30)]


def test_a_picture_that_stays_costs_one_look_until_its_sound_changes():
    pictures = passing(1) * 100
    _, looked = carried_steps(pictures, [0.95] * 100)
    assert len(looked) == 1
    lamp = [0.95] * 50 + [0.06] * 50
    steps, looked = carried_steps(pictures, lamp)
    assert [mask_of(step).any() for step in steps] == [p > 0.5 for p in lamp]
    assert len(looked) <= 10


def test_an_answer_on_the_edge_is_looked_at_at_every_frame():
    lamp = [2 / 3 + 0.001 * (i % 2) for i in range(20)]  # logits are twice the sound's
    assert RULE.region_cutoff == pytest.approx(2 * np.log(2), abs=1e-6)
    _, looked = carried_steps(passing(20), lamp)
    assert sorted(looked) == list(range(20))


def test_blocks_hold_every_frame_once_and_a_second_at_most():
    clips = clips_of(passing(75))
    blocks = list(read_blocks(clips, SPEC, None))
    assert [clip for block in blocks for clip in block.clips] == clips
    for block in blocks:
        assert len(block.clips) == len(block.motions) == len(block.sound.inputs.valid)
        assert len(block.clips) <= BLOCK_FRAMES
    expected = prepare(clips, SPEC, looks_at_all=False)
    log_mel = torch.cat([block.sound.inputs.log_mel for block in blocks])
    torch.testing.assert_close(log_mel, expected.inputs.log_mel)

"""TPAVI as the paper writes it, with every pixel of a clip before every other, against ours."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from avscli.networks.registry import build_network
from avscli.networks.tpavi.modules import TemporalPixelwiseInteraction, listening_shares
from tests.networks_for_tests import SPEC_OF_NETWORK

CHANNELS, FEATURES = 32, 12
CLOSE = {"rtol": 0.0, "atol": 1e-5}


def make_block(*, sound_bias: bool = True) -> TemporalPixelwiseInteraction:
    torch.manual_seed(0)
    block = TemporalPixelwiseInteraction(CHANNELS, FEATURES, sound_bias=sound_bias)
    norm = block.w_z_norm
    for values in (norm.weight, norm.bias, norm.running_mean, block.norm.weight, block.norm.bias):
        torch.nn.init.normal_(values)
    torch.nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return block


def dense(block: TemporalPixelwiseInteraction, maps: Tensor, sound: Tensor, T: int) -> Tensor:
    """Compute arXiv 2207.05042, equation 1, clip by clip of T frames: [B·T, C, h, w]."""
    N, C, h, w = maps.shape
    x = maps.reshape(N // T, T, C, h, w).permute(0, 1, 3, 4, 2).reshape(N // T, -1, C)
    copies = block.align(sound).reshape(N // T, T, 1, C).expand(-1, -1, h * w, -1).reshape_as(x)
    likeness = block.theta(x) @ block.phi(copies).mT  # [B, T·h·w, T·h·w]
    y = likeness @ block.g(x) / x.shape[1]
    z = block.w_z_norm(block.w_z(y).reshape(-1, C, 1, 1)).reshape_as(x)
    mixed = F.layer_norm(x + z, (C,), block.norm.weight, block.norm.bias)
    return mixed.reshape(N, h, w, C).permute(0, 3, 1, 2)


def make_clips(B: int, T: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(3)
    maps = torch.randn(B * T, CHANNELS, side, side, generator=draw) + 0.2
    sound = torch.randn(B * T, FEATURES, generator=draw).clamp_min(0.0)
    return maps, sound, torch.ones(B, T, dtype=torch.bool)


def shares_of(valid: Tensor, together: int | None = None, *, masks: bool = False) -> Tensor:
    return listening_shares(valid, steps_together=together, masks_padding=masks)


@pytest.mark.parametrize(("B", "T", "side"), [(1, 5, 14), (2, 5, 7), (2, 10, 6), (1, 1, 9)])
def test_scores_of_steps_give_what_scores_of_all_pixels_give(B: int, T: int, side: int) -> None:
    block = make_block().eval()
    maps, sound, valid = make_clips(B, T, side)
    ours, _ = block(maps, sound, shares_of(valid))
    torch.testing.assert_close(ours, dense(block, maps, sound, T), **CLOSE)


def test_in_training_values_and_gradients_are_those_of_the_dense_form() -> None:
    # In double precision: batch statistics leave some gradients with nothing but rounding.
    block = make_block().train().double()
    maps, sound, _ = make_clips(2, 3, 4)
    maps, sound = maps.double(), sound.double()
    shares = torch.full((2, 3, 3), 1 / 3, dtype=torch.double)
    values, gradients = [], []
    for whole in (block(maps, sound, shares)[0], dense(block, maps, sound, 3)):
        block.zero_grad()
        (whole * torch.linspace(-1.0, 1.0, 4)).square().sum().backward()
        values.append(whole)
        gradients.append({name: p.grad for name, p in block.named_parameters()})
    torch.testing.assert_close(values[0], values[1])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-6, atol=1e-9)


def test_halves_of_a_clip_are_clips_of_their_own() -> None:
    block = make_block(sound_bias=False).eval()
    maps, sound, valid = make_clips(1, 10, 5)
    ours, _ = block(maps, sound, shares_of(valid, 5))
    torch.testing.assert_close(ours, dense(block, maps, sound, 5), **CLOSE)


def test_a_padded_step_counts_as_published_where_nothing_is_masked() -> None:
    block = make_block(sound_bias=False).eval()
    maps, sound, _ = make_clips(1, 10, 5)
    real = torch.arange(10) < 7
    maps, sound = maps * real[:, None, None, None], sound * real[:, None]
    ours, _ = block(maps, sound, shares_of(real[None], 5))
    torch.testing.assert_close(ours, dense(block, maps, sound, 5), **CLOSE)


def test_masked_steps_are_as_if_they_were_not_there() -> None:
    block = make_block().eval()
    maps, sound, _ = make_clips(1, 5, 6)
    valid = torch.tensor([[True, True, True, False, False]])
    ours, _ = block(maps, sound, shares_of(valid, masks=True))
    torch.testing.assert_close(ours[:3], dense(block, maps[:3], sound[:3], 3), **CLOSE)


def test_at_the_start_the_block_is_the_norm_of_its_input() -> None:
    block = TemporalPixelwiseInteraction(CHANNELS, FEATURES, sound_bias=True).eval()
    maps, sound, valid = make_clips(1, 2, 4)
    ours, _ = block(maps, sound, shares_of(valid))
    normed = F.layer_norm(maps.movedim(1, -1), (CHANNELS,)).movedim(-1, 1)
    torch.testing.assert_close(ours, normed)


def test_the_last_part_of_a_clip_may_be_shorter() -> None:
    shares = shares_of(torch.ones(1, 7, dtype=torch.bool), 5)
    assert shares[0, 0].tolist() == pytest.approx([0.2] * 5 + [0.0] * 2)
    assert shares[0, 6].tolist() == pytest.approx([0.0] * 5 + [0.5] * 2)


def test_flags_keep_padded_steps_at_zero_and_their_logits_too() -> None:
    spec = SPEC_OF_NETWORK["tpavi"]
    architecture = {**spec.architecture, "audio_encoder": "none", "variant": "official"}
    semantic = dataclasses.replace(
        spec,
        task="semantic",
        num_classes=3,
        class_names=("background", "dog", "cat"),
        padding="zeros_with_flag",
        architecture=architecture | {"steps_together": 5},
    )
    network = build_network(semantic).eval()
    assert network.decoder.tpavi[0].align.bias is None
    valid = torch.arange(10)[None] < 5
    draw = torch.Generator().manual_seed(5)
    frames = torch.randn(1, 10, 3, 32, 32, generator=draw)
    audio = torch.rand(1, 10, 128, generator=draw)
    with torch.inference_mode():
        fused = network.fuse(frames, audio, valid)
        alone = network.fuse(frames[:, :5], audio[:, :5], valid[:, :5])
    assert not fused.scores[5:].any()
    assert not any(maps[5:].any() for maps in fused.maps)
    assert not any(sounds[5:].any() for sounds in fused.sounds)
    torch.testing.assert_close(fused.scores[:5], alone.scores)

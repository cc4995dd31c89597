"""CATR: its layers against PyTorch's own, and what each correction changes."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avscli.datatypes import JsonScalar, NetworkSpec
from avscli.errors import WeightsError
from avscli.networks.catr.attention import (
    DecoderLayer,
    EncoderLayer,
    LayerSizes,
    Memory,
    sine_places,
)
from avscli.networks.catr.decoder import Answers, PixelDecoder, both
from avscli.networks.catr.encoder import ClipTokens, TemporalEncoder, TemporalLayer
from avscli.networks.catr.network import CATR
from avscli.networks.contract import HasOwnLosses
from avscli.networks.losses import Supervision
from avscli.networks.registry import build_network
from tests.networks_for_tests import SPEC_OF_NETWORK, make_any, make_inputs

SPEC = SPEC_OF_NETWORK["catr"]
SIZES = LayerSizes(channels=16, heads=2, feed_forward=24, dropout=0.0)


def catr(**settings: JsonScalar) -> CATR:
    spec = dataclasses.replace(SPEC, architecture={**SPEC.architecture, **settings})
    network = make_any(spec)
    assert isinstance(network, CATR)
    return network


def answers_of(network: CATR, inputs: Any) -> Answers:
    with torch.inference_mode():
        sound = network.encode_sound(inputs.log_mel.flatten(0, 2)[:, None])
        return network.ask(inputs.frames, sound.reshape(*inputs.valid.shape, -1), inputs.valid)


def inputs_of(B: int = 1, T: int = 2, size_hw: tuple[int, int] = (64, 64)) -> Any:
    return make_inputs(B, T, size_hw, log_mel=SPEC.log_mel)


def copy_feed_forward(source: nn.Sequential, target: Any) -> None:
    target.linear1.load_state_dict(source[0].state_dict())
    target.linear2.load_state_dict(source[3].state_dict())


def test_an_encoder_layer_is_pytorchs_own_where_nothing_has_a_place() -> None:
    layer = EncoderLayer(SIZES).eval()
    theirs = nn.TransformerEncoderLayer(16, 2, 24, 0.0, batch_first=True).eval()
    theirs.self_attn.load_state_dict(layer.attention.state_dict())
    copy_feed_forward(layer.feed_forward, theirs)
    tokens, valid = torch.randn(2, 7, 16), torch.ones(2, 7, dtype=torch.bool)
    valid[1, 3:] = False
    with torch.inference_mode():
        got = layer(Memory(tokens, torch.zeros(7, 16), valid))
        expected = theirs(tokens, src_key_padding_mask=~valid)
    torch.testing.assert_close(got[0], expected[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(got[1, :3], expected[1, :3], atol=1e-5, rtol=1e-5)


def test_a_decoder_layer_is_pytorchs_own_where_nothing_has_a_place() -> None:
    layer = DecoderLayer(SIZES).eval()
    theirs = nn.TransformerDecoderLayer(16, 2, 24, 0.0, batch_first=True).eval()
    theirs.self_attn.load_state_dict(layer.attention.state_dict())
    theirs.multihead_attn.load_state_dict(layer.memory_attention.state_dict())
    copy_feed_forward(layer.feed_forward, theirs)
    answers, tokens = torch.randn(2, 3, 16), torch.randn(2, 7, 16)
    with torch.inference_mode():
        got = layer(answers, torch.zeros(3, 16), Memory(tokens, torch.zeros(7, 16), None))
        torch.testing.assert_close(got, theirs(answers, tokens), atol=1e-5, rtol=1e-5)


def test_places_are_waves_of_rows_then_of_columns() -> None:
    places = sine_places(3, 4, 8, torch.zeros(1)).reshape(3, 4, 8)
    for row in range(3):
        for column in range(4):
            angles = [2 * np.pi * (row + 1) / 3, 2 * np.pi * (column + 1) / 4]
            expected = [
                wave(angle / 10_000.0 ** (pair / 2))
                for angle in angles
                for pair in range(2)
                for wave in (np.sin, np.cos)
            ]
            np.testing.assert_allclose(places[row, column], expected, atol=1e-5)


def clip_tokens(valid: Tensor | None = None) -> ClipTokens:
    draw = torch.Generator().manual_seed(1)
    picture, sound = torch.randn(1, 3, 6, 16, generator=draw), torch.randn(1, 3, 16, generator=draw)
    return ClipTokens(picture, sound, (2, 3), valid)


@pytest.mark.parametrize("official", [True, False])
def test_each_frame_makes_its_own_sound_heard_unless_official(official: bool) -> None:
    torch.manual_seed(0)
    layer = TemporalLayer(SIZES, official=official, returns_sound=False).eval()
    clips = clip_tokens()
    other = clips.picture.clone()
    other[:, 2] += 1.0
    with torch.inference_mode():
        first, second = (
            layer(clips._replace(picture=p)).picture[:, 0] for p in (clips.picture, other)
        )
    assert torch.equal(first, second) is official


@pytest.mark.parametrize(("official", "convolutions"), [(True, 1), (False, 2)])
def test_the_second_gate_is_one_of_its_own_unless_official(
    official: bool, convolutions: int
) -> None:
    torch.manual_seed(0)
    encoder = TemporalEncoder(SIZES, official=official).eval()
    seen: list[object] = []
    encoder.gates.register_forward_hook(lambda *_: seen.append(1))
    with torch.inference_mode():
        assert encoder(clip_tokens()).shape == (3, 16, 2, 3)
    assert len(seen) == convolutions


@pytest.mark.parametrize(("official", "side"), [(True, 4), (False, 8)])
def test_the_pixel_decoder_keeps_the_fused_grid_unless_official(official: bool, side: int) -> None:
    decoder = PixelDecoder(64, official=official).eval()
    with torch.inference_mode():
        pixels = decoder(*(torch.randn(2, 64, s, s) for s in (8, 4, 2)))
    assert pixels.shape == (2, 16, side, side)


def test_what_nearest_sampling_skips_is_lost_to_the_published_decoder() -> None:
    """Among norms that see every pixel, only their statistics could tell."""
    fused = torch.zeros(1, 64, 8, 8)
    fused[..., 2, 2] = 5.0  # of every fourth row and column, none is nearer than two
    lost = {}
    for official in (True, False):
        torch.manual_seed(0)
        decoder = PixelDecoder(64, official=official)
        for block in decoder.blocks:
            block[0].weight.data[..., 0, :] = block[0].weight.data[..., 2, :] = 0.0
            block[0].weight.data[..., 0] = block[0].weight.data[..., 2] = 0.0  # one pixel wide
            block[1] = nn.Identity()
        levels = torch.zeros(1, 64, 4, 4), torch.zeros(1, 64, 2, 2)
        with torch.inference_mode():
            lost[official] = torch.equal(decoder(fused, *levels), decoder(fused * 0.0, *levels))
    assert lost == {True: True, False: False}


def test_both_is_the_logit_of_the_product() -> None:
    mask, referred = torch.randn(2, 50, generator=torch.Generator().manual_seed(0)) * 4.0
    product = mask.double().sigmoid() * referred.double().sigmoid()
    torch.testing.assert_close(both(mask, referred), torch.logit(product).float())
    extreme = both(torch.tensor([1e4, -1e4, 1e4]), torch.tensor([1e4, 1e4, -1e4]))
    assert extreme.isfinite().all()


def test_some_query_refers_unless_none_does() -> None:
    answers = answers_of(catr(), inputs_of(2, 3))
    none = (1.0 - answers.referred(1).double().sigmoid()).prod(dim=2)
    torch.testing.assert_close(answers.any_referred(1), torch.logit(1.0 - none).float())
    for extreme in (-1e3, 1e3):
        scores = torch.zeros(3, 1, 1, 4, 2).requires_grad_()
        surely = answers._replace(scores=scores + torch.tensor([extreme, 0.0]))
        (gradient,) = torch.autograd.grad(surely.any_referred(0).sum(), scores)
        assert gradient.isfinite().all()
        assert surely.any_referred(0).isfinite().all()


def test_masks_are_convolutions_of_the_pixels_with_the_kernels() -> None:
    answers = answers_of(catr(), inputs_of(2, 3))
    frame, kernels = answers.pixels[1, 2], answers.kernels[2, 1, 2]
    expected = F.conv2d(frame[None], kernels[:, :, None, None])[0]
    torch.testing.assert_close(answers.masks(2)[1, 2], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("variant", ["official", "corrected"])
def test_each_step_is_marked_by_the_query_with_the_highest_score(variant: str) -> None:
    network, inputs = catr(variant=variant), inputs_of(2, 3)
    answers = answers_of(network, inputs)
    with torch.inference_mode():
        logits = network(inputs).logits
    referred, masks, any_referred = answers.referred(2), answers.masks(2), answers.any_referred(2)
    for b, t in np.ndindex(2, 3):
        expected = masks[b, t, int(referred[b, t].argmax())]
        if variant == "corrected":
            expected = both(expected, any_referred[b, t])
        torch.testing.assert_close(logits[b, t, 0], expected, atol=1e-5, rtol=1e-4)


def test_where_no_query_is_referred_to_nothing_is_marked() -> None:
    network, inputs = catr(), inputs_of()
    network.score.bias.data[1] += 50.0
    with torch.inference_mode():
        assert (network(inputs).logits < 0.0).all()


def test_the_published_score_only_chooses() -> None:
    network, inputs = catr(variant="official"), inputs_of()
    with torch.inference_mode():
        before = network(inputs).logits
        network.score.bias.data[1] += 50.0
        assert torch.equal(network(inputs).logits, before)


@pytest.mark.parametrize("variant", ["official", "corrected"])
def test_a_union_is_what_any_query_above_the_threshold_marks(variant: str) -> None:
    network, inputs = catr(variant=variant), inputs_of(2, 3)
    answers = answers_of(network, inputs)
    referred, masks = answers.referred(2), answers.masks(2)
    threshold = float(referred.sigmoid().median())
    joining = catr(variant=variant, union_of_queries=threshold)
    joining.load_state_dict(network.state_dict())
    with torch.inference_mode():
        logits = joining(inputs).logits
    for b, t in np.ndindex(2, 3):
        each = [
            masks[b, t, q]
            for q in range(masks.shape[2])
            if referred[b, t, q].sigmoid() >= threshold or q == int(referred[b, t].argmax())
        ]
        expected = torch.stack(each).amax(dim=0)
        if variant == "corrected":
            expected = both(expected, answers.any_referred(2)[b, t])
        torch.testing.assert_close(logits[b, t, 0], expected, atol=1e-5, rtol=1e-4)


def test_a_union_of_none_is_the_best_query() -> None:
    network, inputs = catr(), inputs_of()
    alone = catr(union_of_queries=0.9999)
    alone.load_state_dict(network.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(alone(inputs).logits, network(inputs).logits)


@pytest.mark.parametrize(("variant", "hears"), [("official", False), ("corrected", True)])
def test_queries_hear_the_sound_of_their_step_unless_official(variant: str, hears: bool) -> None:
    network, inputs = catr(variant=variant), inputs_of()
    asked: list[Tensor] = []
    network.decoder.register_forward_hook(lambda _, given, __: asked.append(given[1]))
    answers_of(network, inputs)
    (sought,) = asked
    assert bool(sought.any()) is hears
    assert bool((sought[0] != sought[1]).any()) is hears


def test_enlarged_frames_are_what_a_larger_network_sees() -> None:
    small, inputs = catr(upsampling=2), inputs_of(1, 2, (32, 64))
    plain = catr()
    plain.load_state_dict(small.state_dict())
    frames = F.interpolate(inputs.frames[0], scale_factor=2.0, mode="bilinear")[None]
    with torch.inference_mode():
        expected = plain(dataclasses.replace(inputs, frames=frames)).logits
        torch.testing.assert_close(small(inputs).logits, expected)


def test_a_clip_of_padding_alone_gives_numbers() -> None:
    inputs = inputs_of()
    with torch.inference_mode():
        nothing = dataclasses.replace(inputs, valid=torch.zeros_like(inputs.valid))
        assert catr()(nothing).logits.isfinite().all()


def test_a_network_that_cannot_hear_says_what_its_weights_lack() -> None:
    with pytest.raises(WeightsError, match="no audio encoder"):
        catr(audio_encoder="none")(inputs_of())


def supervision(*, labelled: bool) -> Supervision:
    draw = torch.Generator().manual_seed(4)
    targets = (torch.rand(2, 3, 64, 64, generator=draw) < 0.2).to(torch.uint8)
    return Supervision(targets, torch.full((2, 3), labelled), smoothing_pixels=1.0)


@pytest.mark.parametrize("apart", [0.0, 0.5])
def test_its_own_losses_teach_every_parameter_but_the_frozen_ones(apart: float) -> None:
    network = catr(union_of_queries=apart).train()
    assert isinstance(network, HasOwnLosses)
    assert network.audio_encoder is not None
    network.audio_encoder.requires_grad_(False)
    losses = network.losses(inputs_of(2, 3), supervision(labelled=True))
    assert list(losses) == ["referred", "dice", "focal", "bce"]
    torch.stack(list(losses.values())).sum().backward()
    without = [
        key
        for key, parameter in network.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    ]
    assert without == []


def test_a_batch_without_labels_keeps_every_parameter_in_the_graph() -> None:
    network = catr().train()
    assert network.audio_encoder is not None
    network.audio_encoder.requires_grad_(False)
    losses = network.losses(inputs_of(2, 3), supervision(labelled=False))
    torch.stack(list(losses.values())).sum().backward()
    grads = [p.grad for p in network.parameters() if p.requires_grad]
    assert all(grad is not None and not grad.any() for grad in grads)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"channels": 96}, "multiple of 64, got 96"),
        ({"heads": 3}, "heads must divide"),
        ({"heads": 0}, "heads must lie in"),
        ({"queries": 10**6}, "queries must lie in"),
        ({"feed_forward": 0}, "feed_forward must lie in"),
        ({"upsampling": 1.5}, "upsampling must lie in"),
        ({"variant": "improved"}, "official or corrected"),
        ({"dropout": 1.0}, "dropout must lie in"),
        ({"union_of_queries": -0.5}, "union_of_queries must lie in"),
    ],
)
def test_sizes_that_cannot_be_are_refused(changes: dict[str, JsonScalar], told: str) -> None:
    spec = dataclasses.replace(SPEC, architecture={**SPEC.architecture, **changes})
    with pytest.raises(ValueError, match=told):
        build_network(spec)


def test_a_semantic_catr_is_refused() -> None:
    spec: NetworkSpec = dataclasses.replace(
        SPEC, task="semantic", num_classes=2, class_names=("background", "dog")
    )
    with pytest.raises(ValueError, match="binary"):
        build_network(spec)

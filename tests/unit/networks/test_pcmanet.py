"""The corrected variant: what must change its numbers, and what must not."""

import copy
import dataclasses

import pytest
import torch

from avscli.datatypes import NetworkInput
from avscli.errors import UnknownNetworkError, WeightsError
from avscli.networks.pcmanet.modules import (
    AudioVisualGroupAttention,
    GuidedFusion,
    QuerySelectedCrossAttention,
    SourceAgreement,
    confidence_induced_mask,
)
from avscli.networks.pcmanet.network import PCMANet
from avscli.networks.pcmanet.sound_naming import SoundNaming
from avscli.networks.registry import build_network, list_networks
from tests.networks_for_tests import TINY_SPEC, make_inputs, make_network


@pytest.fixture(scope="module")
def network() -> PCMANet:
    return make_network()


@pytest.mark.parametrize("size_hw", [(64, 64), (96, 64), (32, 160)], ids=str)
@pytest.mark.parametrize("T", [1, 2, 5])
def test_any_number_of_frames_and_any_size_divisible_by_32_runs(network, T, size_hw):
    with torch.inference_mode():
        output = network(make_inputs(1, T, size_hw))
    h, w = size_hw
    shapes = [tuple(stage.shape) for stage in output.stage_logits]
    assert shapes == [(1, T, 1, h // s, w // s) for s in (4, 8, 16, 32)]
    assert output.selected.shape == (1, T, 3)
    assert all(
        stage.isfinite().all() and stage.dtype == torch.float32 for stage in output.stage_logits
    )


NAMING = dataclasses.replace(
    TINY_SPEC,
    architecture={
        **TINY_SPEC.architecture,
        "output_stride": 16,
        "keeps_centre": True,
        "enlarges_last": True,
        "channels": 64,
        "source_classes": "dog,cat",
    },
)


@pytest.fixture(scope="module")
def agreeing() -> PCMANet:
    """The tiny network with everything that a light one may add to the published shape."""
    return make_network(NAMING)


def test_a_network_that_names_its_sources_tells_what_picture_and_sound_say(agreeing):
    with torch.inference_mode():
        output = agreeing(make_inputs(2, 3, (64, 96)))
    assert [tuple(x.shape[-2:]) for x in output.stage_logits] == [
        (16, 24), (8, 12), (4, 6), (4, 6)
    ]  # fmt: skip
    assert output.sources.picture.shape == (2, 3, 1 + 2, 8, 12)
    assert output.sources.sound.shape == (2, 3, 2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sides_that_are_certain_stay_finite_in_half_precision(agreeing, dtype):
    certain = copy.deepcopy(agreeing)
    certain.agreement.naming.names.bias.data[1] = certain.agreement.sound.names.bias.data[0] = 60.0
    inputs = make_inputs(1, 1)
    with torch.inference_mode():
        exact = certain(inputs)
        with torch.autocast("cpu", dtype):
            half = certain(inputs)
    for a, b in zip(half.stage_logits, exact.stage_logits, strict=True):
        assert a.isfinite().all()
        assert (a - b).abs().mean() < 0.1 * b.abs().mean()


def test_sounds_are_named_in_float32_whatever_the_arithmetic(agreeing):
    inputs = make_inputs(2, 1)
    with torch.inference_mode():
        exact = agreeing(inputs).sources.sound
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(agreeing(inputs).sources.sound, exact)


def test_encoding_the_frames_once_for_several_sounds_changes_nothing(agreeing):
    inputs = make_inputs(2, 1)
    sound = agreeing.audio_encoder(inputs.log_mel.flatten(0, 1))[:, None]
    one_picture = inputs.frames[:1].repeat_interleave(2, dim=0)
    with torch.inference_mode():
        apart = agreeing.forward_embeddings(one_picture, sound, inputs.valid)
        shared = agreeing.listen(
            agreeing.encode_picture(inputs.frames[0]).repeated(2), sound[:, :, None], inputs.valid
        )
    for a, b in zip(apart.stage_logits, shared.stage_logits, strict=True):
        torch.testing.assert_close(a, b)


def test_a_network_that_cannot_hear_says_what_its_weights_lack():
    deaf = dict(TINY_SPEC.architecture) | {"audio_encoder": "none"}
    network = make_network(dataclasses.replace(TINY_SPEC, architecture=deaf))
    with pytest.raises(WeightsError, match="no audio encoder") as caught:
        network(make_inputs(1))
    assert "--vggish" in caught.value.hint


@pytest.mark.parametrize("name", ["network", "agreeing"])
def test_every_parameter_receives_a_gradient(name, request):
    network = make_network(request.getfixturevalue(name).spec).train()
    output = network(make_inputs())
    told = [*output.stage_logits, *([output.sources.sound] if output.sources else [])]
    sum(logits.square().mean() for logits in told).backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_permuting_the_frames_of_a_clip_permutes_the_output(network):
    inputs = make_inputs()
    order = torch.tensor([2, 0, 1])
    shuffled = NetworkInput(inputs.frames[:, order], inputs.log_mel[:, order], inputs.valid)
    with torch.inference_mode():
        expected = network(inputs).logits[:, order]
        torch.testing.assert_close(network(shuffled).logits, expected, atol=1e-5, rtol=1e-4)


def test_padding_changes_nothing_at_the_valid_steps(network):
    inputs = make_inputs(1, 2)
    padded = NetworkInput(
        torch.cat([inputs.frames, 9.0 * torch.ones(1, 2, 3, 64, 64)], dim=1),
        torch.cat([inputs.log_mel, torch.zeros(1, 2, 1, 96, 64)], dim=1),
        torch.tensor([[True, True, False, False]]),
    )
    with torch.inference_mode():
        expected, got = network(inputs).logits, network(padded).logits[:, :2]
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


def test_a_clip_gives_the_same_alone_and_in_a_batch(network):
    inputs = make_inputs(3)
    alone = NetworkInput(inputs.frames[1:2], inputs.log_mel[1:2], inputs.valid[1:2])
    with torch.inference_mode():
        expected, got = network(inputs).logits[1:2], network(alone).logits
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


def test_the_sound_of_other_steps_reaches_a_frame(network):
    inputs = make_inputs(1)
    changed = inputs.log_mel.clone()
    changed[:, 2] = 3.0
    with torch.inference_mode():
        before = network(inputs).logits[:, 0]
        after = network(NetworkInput(inputs.frames, changed, inputs.valid)).logits[:, 0]
    assert (before - after).abs().max() > 1e-4


def test_silence_gives_finite_logits(network):
    inputs = make_inputs()
    silent = NetworkInput(inputs.frames, torch.full_like(inputs.log_mel, -4.6052), inputs.valid)
    with torch.inference_mode():
        assert network(silent).logits.isfinite().all()


def test_the_state_dict_round_trips(network):
    twin = make_network()
    for parameter in twin.parameters():
        parameter.data.zero_()
    twin.load_state_dict(network.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(twin(make_inputs()).logits, network(make_inputs()).logits)


def test_an_unknown_network_lists_close_names():
    with pytest.raises(UnknownNetworkError) as caught:
        build_network(dataclasses.replace(TINY_SPEC, network="pcmanett"))
    assert "pcmanet" in caught.value.hint
    assert "pcmanet" in list_networks()


@pytest.mark.parametrize(
    ("probability", "is_marked"),
    [(0.5, True), (0.985, True), (0.995, False), (0.015, True), (0.005, False)],
)
def test_cim_marks_exactly_the_unsettled_pixels(probability, is_marked):
    logits = torch.logit(torch.tensor(probability)).reshape(1, 1, 1, 1)
    assert bool(confidence_induced_mask(logits, None)) is is_marked


def test_cim_never_marks_a_pixel_that_a_coarser_stage_settled():
    coarser = torch.tensor([[[True, False]]])  # [1, 1, 2]
    marks = confidence_induced_mask(torch.zeros(1, 1, 2, 4), coarser)
    assert marks.tolist() == [[[True, True, False, False]] * 2]


def test_avga_ignores_the_volume_of_the_audio_features():
    torch.manual_seed(0)
    avga = AudioVisualGroupAttention(16, heads=4).eval()
    avga.audio = torch.nn.Sequential(torch.nn.Linear(16, 4, bias=False), torch.nn.ReLU())
    visual, audio = torch.rand(2, 16, 5, 5), torch.rand(2, 16)
    torch.testing.assert_close(avga(visual, audio), avga(visual, 7.0 * audio))


def make_qsca(**changes: bool) -> QuerySelectedCrossAttention:
    torch.manual_seed(0)
    settings = {"official": False, "null_audio_token": False, "returns_audio": True} | changes
    return QuerySelectedCrossAttention(16, heads=2, **settings).eval()


def test_qsca_equals_torchs_own_attention():
    qsca = make_qsca()
    tokens, sound = torch.rand(2, 12, 16), torch.rand(2, 3, 16)
    valid = torch.tensor([[True, True, True], [True, True, False]])
    reference = torch.nn.MultiheadAttention(16, 2, bias=False, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(
            torch.cat([qsca.visual_query.weight, qsca.audio_key_value.weight])
        )
        reference.out_proj.weight.copy_(torch.eye(16))
    expected, _ = reference(tokens, sound, sound, key_padding_mask=~valid)
    torch.testing.assert_close(qsca._ask_audio(tokens, sound, valid), expected)


def test_qsca_leaves_unselected_tokens_in_their_places_unchanged():
    qsca = make_qsca()
    with torch.no_grad():
        qsca.visual_in.weight.copy_(torch.eye(16))
        qsca.visual_in.bias.zero_()
    visual, audio = torch.rand(2, 16, 4, 4), torch.rand(2, 16)
    nobody = torch.zeros(2, 16, dtype=torch.bool)
    guide, _ = qsca(visual, audio, (4, 4), torch.ones(1, 2, dtype=torch.bool), nobody)
    torch.testing.assert_close(guide, visual)


def test_qsca_can_decline_when_every_sound_is_padding():
    qsca = make_qsca(null_audio_token=True)
    guide, _ = qsca(
        torch.rand(2, 16, 4, 4), torch.rand(2, 16), (4, 4), torch.tensor([[True, False]] * 1), None
    )
    assert guide.isfinite().all()


def test_the_same_sound_all_around_changes_nothing(agreeing):
    inputs = make_inputs(2, 3)
    around = dataclasses.replace(inputs, log_mel=inputs.log_mel.expand(-1, -1, 4, -1, -1))
    with torch.inference_mode():
        alone, same = agreeing(inputs), agreeing(around)
    torch.testing.assert_close(same.sources.sound, alone.sources.sound)
    torch.testing.assert_close(same.logits, alone.logits, rtol=1e-4, atol=1e-5)


def test_sounds_around_have_a_say_by_their_likeness():
    torch.manual_seed(0)
    naming = SoundNaming(6, ("dog", "cat", "bird"), hears_tags=False).eval()
    torch.nn.init.normal_(naming.usual)
    moments = torch.rand(8, 5, 6)
    with torch.inference_mode():
        logits = naming(moments)
        each = torch.stack([naming(moments[:, s : s + 1]) for s in range(5)], dim=1)
        hidden = naming.hidden(moments) - naming.usual
        likeness = torch.cosine_similarity(hidden, hidden[:, :1], dim=-1)
    weights = torch.exp(likeness / 0.3)
    mean = (weights[..., None] * each).sum(dim=1) / weights.sum(dim=1, keepdim=True)
    above = (mean.amax(dim=1) - each[:, 0].amax(dim=1)).clamp_min(0.0)
    assert 0 < (above > 0).sum() < len(above)  # both cases are here
    torch.testing.assert_close(logits, mean - above[:, None])


def test_sounds_around_never_make_a_moment_surer():
    torch.manual_seed(0)
    naming = SoundNaming(6, ("dog", "cat", "bird"), hears_tags=False).eval()
    moments = torch.rand(64, 5, 6)
    with torch.inference_mode():
        assert (naming(moments).amax(dim=1) <= naming(moments[:, :1]).amax(dim=1) + 1e-6).all()


def test_a_sound_unlike_those_around_it_stands_alone():
    torch.manual_seed(0)
    naming = SoundNaming(4, ("dog", "cat"), hears_tags=False).eval()
    naming.usual.copy_(naming.hidden.bias.detach())
    own = torch.rand(1, 1, 4)
    with torch.inference_mode():
        alone = naming(own)
        opposite = naming(torch.cat((own, -own.expand(1, 6, 4)), dim=1))
        loudest = (naming(-own) - alone).abs().max()
    # 6 e^(−2 / 0.3) of it, and as much again where that would make it surer
    assert (opposite - alone).abs().max() < 0.016 * loudest


def test_the_deepest_fusion_has_no_coarser_input():
    assert GuidedFusion(16, deepest=True).coarser is None
    assert GuidedFusion(16, deepest=False).coarser is not None


def test_enlarging_last_gives_nearly_the_published_fusion_inside_the_picture():
    torch.manual_seed(0)
    first, last = (GuidedFusion(8, deepest=False, enlarges_last=x) for x in (False, True))
    last.load_state_dict(first.state_dict())
    ramp = torch.linspace(0.0, 1.0, 8).expand(1, 8, 8, 8)  # smooth maps survive either order
    local = torch.zeros(1, 8, 16, 16)
    with torch.inference_mode():
        ours, published = (f.eval()(local, ramp, ramp)[..., 4:-4, 4:-4] for f in (last, first))
    # A convolution reaches twice as far on the coarse grid, so slopes count double there.
    torch.testing.assert_close(ours, published, rtol=0.0, atol=0.15)


def test_picture_and_sound_agree_with_the_probability_that_both_name_one_class():
    torch.manual_seed(0)
    naming = SoundNaming(6, ("dog", "cat", "bird"), hears_tags=False)
    agreement = SourceAgreement(4, 5, naming, 3).eval()
    maps = [torch.rand(2, 4, s, s) for s in (8, 4, 2)]
    with torch.inference_mode():
        picture = agreement.name(maps, torch.rand(2, 5, 2, 2))
        sound = agreement.sound(torch.rand(2, 1, 6))
        logit = agreement(picture, sound)
    assert picture.shape == (2, 1 + 3, 8, 8)
    shown, heard = picture.softmax(dim=1)[:, 1:], sound.sigmoid()
    expected = sum(shown[:, k] * heard[:, k, None, None] for k in range(3))
    assert logit.shape == (2, 1, 8, 8)
    torch.testing.assert_close(logit[:, 0].sigmoid(), expected.clamp(1e-3, 1 - 1e-3))


def with_equal_pictures(inputs: NetworkInput, *places: int) -> NetworkInput:
    """Return T = 1 clips whose pictures at some places are those of the place before."""
    frames = inputs.frames.clone()
    for place in places:
        frames[place] = frames[place - 1]
    return dataclasses.replace(inputs, frames=frames)


@torch.inference_mode()
def test_silent_clips_are_not_looked_at_and_show_nothing():
    network = make_network(NAMING)
    inputs = make_inputs(B=4, T=1)
    whole = network(inputs)
    silent = torch.tensor([[True], [False], [True], [False]])
    pictures = watched(network.backbone)
    output = network(dataclasses.replace(inputs, silent=silent))
    assert pictures == [2]
    for ours, full in zip(output.stage_logits, whole.stage_logits, strict=True):
        assert (ours[[0, 2]].sigmoid() < 1e-6).all()
        torch.testing.assert_close(ours[[1, 3]], full[[1, 3]], atol=1e-4, rtol=1e-4)
    assert output.sources is not None
    assert whole.sources is not None
    torch.testing.assert_close(output.sources.sound, whole.sources.sound)
    assert (output.sources.picture[[0, 2]].softmax(dim=2)[:, :, 0] > 1 - 1e-6).all()


@torch.inference_mode()
def test_a_batch_of_silence_costs_no_picture_and_has_the_shapes_of_any_other():
    for spec in (TINY_SPEC, NAMING):
        network = make_network(spec)
        inputs = make_inputs(B=2, T=3, size_hw=(64, 96))
        whole = network(inputs)
        pictures = watched(network.backbone)
        silent = network(dataclasses.replace(inputs, silent=torch.ones(2, 3, dtype=torch.bool)))
        assert pictures == []
        shapes = [[each.shape for each in output.stage_logits] for output in (silent, whole)]
        assert shapes[0] == shapes[1]
        assert silent.selected.shape == whole.selected.shape


@torch.inference_mode()
def test_sounds_that_no_source_makes_are_not_worth_a_look():
    network, inputs = make_network(NAMING), make_inputs(B=2, T=1)
    assert network.agreement is not None
    network.agreement.sound.add_shift(-50.0)
    pictures = watched(network.backbone)
    listening = dataclasses.replace(inputs, silent=torch.zeros(2, 1, dtype=torch.bool))
    assert (network(listening).logits.sigmoid() < 1e-6).all()
    assert pictures == []
    pictures.clear()
    network(inputs)  # whoever does not say what is silent wants to know all
    assert pictures == [2]


@torch.inference_mode()
def test_a_picture_that_stays_is_encoded_once():
    network = make_network()
    inputs = with_equal_pictures(make_inputs(B=4, T=1), 1, 3)
    one_by_one = [network(inputs.of_each(lambda x, i=i: x[i : i + 1])).logits for i in range(4)]
    pictures = watched(network.backbone)
    together = network(inputs).logits
    assert pictures == [2]
    torch.testing.assert_close(together, torch.cat(one_by_one), atol=1e-4, rtol=1e-4)


def test_in_training_every_picture_counts_however_often_it_comes():
    network = make_network().train()
    pictures = watched(network.backbone)
    network(with_equal_pictures(make_inputs(B=4, T=1), 1, 3))
    assert pictures == [4]


def watched(backbone: torch.nn.Module) -> list[int]:
    """Return a list that is told how many pictures a backbone is given, each time."""
    given: list[int] = []
    backbone.register_forward_pre_hook(lambda _module, inputs: given.append(len(inputs[0])))
    return given

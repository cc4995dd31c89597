"""Why AVESFormer has prompts, and what its decoder looks at where."""

import dataclasses
import math

import pytest
import torch

from avscli.networks.avesformer import AVESFormer, LateBlock, PromptQueryGenerator, build
from avscli.networks.evidence import uncertainty
from avscli.networks.layers import Attention
from tests.networks_for_tests import SPEC_OF_NETWORK, make_inputs

SPEC = SPEC_OF_NETWORK["avesformer"]


def spec_with(**settings: object):
    return dataclasses.replace(SPEC, architecture={**SPEC.architecture, **settings})


def make(**settings: object) -> AVESFormer:
    torch.manual_seed(0)
    return build(spec_with(**settings)).eval()


def queries_of(num_prompts: int) -> torch.Tensor:
    """Return what pixels may ask about two sounds."""
    torch.manual_seed(0)
    generator = PromptQueryGenerator(8, 16, heads=4, num_prompts=num_prompts)
    return generator(torch.rand(2, 8))


def heard_by(tokens: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(1)
    return Attention(16, 4)(tokens, queries)


def test_with_a_single_key_every_pixel_hears_the_same_and_with_prompts_each_its_own():
    pixels = torch.randn(2, 30, 16, generator=torch.Generator().manual_seed(2))
    alone, prompted = (heard_by(pixels, queries_of(n)) for n in (0, 16))
    spread_alone, spread_prompted = (x.std(dim=1).max() for x in (alone, prompted))
    assert spread_alone < 1e-6  # attention dissipation
    assert spread_prompted > 1e-3


def test_the_sound_conditions_every_query():
    torch.manual_seed(0)
    generator = PromptQueryGenerator(8, 16, heads=4, num_prompts=5)
    quiet, loud = generator(torch.zeros(1, 8)), generator(torch.ones(1, 8))
    assert quiet.shape == (1, 1 + 5, 16)
    assert ((quiet - loud).abs().amax(dim=2) > 1e-4).all()


def test_attention_is_torchs_own():
    torch.manual_seed(0)
    ours = Attention(12, 3)
    reference = torch.nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat((ours.query.weight, ours.key_value.weight)))
        reference.in_proj_bias.copy_(torch.cat((ours.query.bias, ours.key_value.bias)))
        reference.out_proj.load_state_dict(ours.out.state_dict())
    tokens, source = torch.rand(2, 5, 12), torch.rand(2, 4, 12)
    allowed = torch.tensor([[True, True, False, True], [False, True, True, True]])
    expected, _ = reference(tokens, source, source, key_padding_mask=~allowed)
    torch.testing.assert_close(ours(tokens, source, allowed[:, None, None]), expected)


def test_early_levels_look_close_by_and_late_ones_at_the_whole_picture():
    torch.manual_seed(0)
    network = make()
    maps = [torch.randn(1, n, 64 // 2**k, 64 // 2**k) for k, n in enumerate((24, 32, 96, 320))]
    queries = torch.randn(1, 4, 16)

    def reached(level: int) -> torch.Tensor:
        """Return [64, 64] bool, where a change at the top left of a level is seen."""
        changed = [m.clone() for m in maps]
        changed[level][..., 0, 0] += 5.0
        apart = network.decode(changed, queries) - network.decode(maps, queries)
        return apart.abs()[0, 0] > 1e-6

    with torch.inference_mode():
        assert not reached(0)[8:].any()
        assert not reached(1)[16:].any()
        assert reached(2)[-4:].any()
        assert reached(3)[-4:].any()


def test_frames_of_a_clip_do_not_know_of_each_other():
    network, inputs = make(), make_inputs(1, 3, log_mel=SPEC.log_mel)
    changed = dataclasses.replace(inputs, frames=inputs.frames.clone())
    changed.frames[:, 2] = 1.0
    with torch.inference_mode():
        before, after = network(inputs).logits, network(changed).logits
    torch.testing.assert_close(before[:, :2], after[:, :2], atol=1e-5, rtol=1e-4)
    assert (before[:, 2] - after[:, 2]).abs().max() > 1e-3


def test_it_can_be_evidential():
    with torch.inference_mode():
        output = make(uncertainty="evidential")(make_inputs(2, 1, log_mel=SPEC.log_mel))
    (logits,), (before,) = output.stage_logits, output.evidence.logits
    doubt = uncertainty(output.evidence.concentration[0])
    torch.testing.assert_close(logits.sigmoid(), before.sigmoid() * (1 - doubt))


@pytest.mark.parametrize("backbone", ["resnet50", "pvt_v2_b5"])
def test_the_encoders_of_the_papers_fit(backbone):
    network = make(backbone=backbone, audio_encoder="vggish")
    with torch.inference_mode():
        assert network(make_inputs(1, 1)).logits.shape == (1, 1, 1, 16, 16)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"heads": 3}, "heads must divide"),
        ({"prompts": -1}, "prompts must be"),
        ({"late_blocks": 1.5}, "late_blocks must be"),
        ({"early_blocks": 10**9}, "early_blocks must be"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(settings, told):
    with pytest.raises(ValueError, match=told):
        build(spec_with(**settings))


def test_a_block_keeps_the_shape_of_its_tokens():
    assert LateBlock(16, 4)(torch.rand(2, 7, 16), torch.rand(2, 3, 16)).shape == (2, 7, 16)


def test_more_prompts_are_more_parameters_and_nothing_else():
    few, many = (make(prompts=n).state_dict() for n in (1, 9))
    apart = {key: many[key].numel() - few[key].numel() for key in many if key in few}
    assert few.keys() == many.keys()
    assert {key: n for key, n in apart.items() if n} == {"queries.prompts": 8 * 16}
    assert math.isclose(float(few["queries.prompts"].std()), 1.0, abs_tol=0.5)

"""AMA + UE: its groups against a plain loop, its formulas against themselves written out."""

import dataclasses
import math

import pytest
import torch

from avscli.networks.ama import build
from avscli.networks.ama.alignment import AudioGuidedAlignment, Grouping, contrast_of
from avscli.networks.ama.grouping import density_peaks, nearest_centre
from avscli.networks.ama.network import AMA
from avscli.networks.backbones.mobilenet_v2 import MobileNetV2
from avscli.networks.backbones.pvt_v2 import PyramidVisionTransformer, Stage
from avscli.networks.backbones.resnet import resnet50
from avscli.networks.evidence import uncertainty
from tests.networks_for_tests import SPEC_OF_NETWORK, make_inputs

SPEC = SPEC_OF_NETWORK["ama"]


def make(**settings: object) -> AMA:
    torch.manual_seed(0)
    architecture = {**SPEC.architecture, **settings}
    return build(dataclasses.replace(SPEC, architecture=architecture)).eval()


def plain_density_peaks(points: list[list[float]], num_groups: int, k: int) -> list[int]:
    """Density peaks with k nearest neighbours, one point after the other."""
    C = len(points[0])
    far = [[math.dist(a, b) / math.sqrt(C) for b in points] for a in points]
    density = []
    for i, row in enumerate(far):
        others = sorted(d for j, d in enumerate(row) if j != i)[:k]
        density.append(math.exp(-sum(d * d for d in others) / max(1, len(others))))
    scores = []
    for i, row in enumerate(far):
        denser = [j for j in range(len(points)) if (-density[j], j) < (-density[i], i)]
        apart = min(row[j] for j in denser) if denser else max(row)
        scores.append(density[i] * apart)
    return sorted(range(len(points)), key=lambda i: -scores[i])[:num_groups]


@pytest.mark.parametrize(("L", "P", "k"), [(12, 3, 4), (20, 5, 1), (7, 7, 20), (1, 1, 5)])
def test_centres_are_those_of_a_plain_loop(L, P, k):
    tokens = torch.randn(3, L, 4, generator=torch.Generator().manual_seed(L), dtype=torch.float64)
    expected = [plain_density_peaks(each.tolist(), P, k) for each in tokens]
    assert density_peaks(tokens, P, k).tolist() == expected


def test_every_token_joins_the_nearest_centre():
    draw = torch.Generator().manual_seed(0)
    tokens, centres = torch.randn(2, 30, 3, generator=draw), torch.randn(2, 5, 3, generator=draw)
    expected = [
        [min(range(5), key=lambda p, n=n, t=t: math.dist(t, centres[n, p].tolist())) for t in frame]
        for n, frame in enumerate(tokens.tolist())
    ]
    assert nearest_centre(tokens, centres).tolist() == expected


def test_what_lies_in_heaps_is_grouped_by_them():
    draw = torch.Generator().manual_seed(0)
    heaps = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]]).repeat_interleave(20, dim=0)
    tokens = (heaps + 0.3 * torch.randn(60, 2, generator=draw))[None]
    places = density_peaks(tokens, 3, 5)
    centres = tokens.gather(1, places[..., None].expand(-1, -1, 2))
    labels = nearest_centre(tokens, centres)[0].reshape(3, 20)
    assert (labels == labels[:, :1]).all()
    assert sorted(labels[:, 0].tolist()) == [0, 1, 2]


def test_equal_tokens_are_grouped_without_complaint():
    assert density_peaks(torch.ones(1, 6, 3), 2, 3).tolist() == [[0, 1]]


def make_alignment() -> AudioGuidedAlignment:
    torch.manual_seed(0)
    return AudioGuidedAlignment(8, 6, heads=2, stride=16, grouping=Grouping(num_groups=3))


def test_the_alignment_is_its_formulas_token_by_token():
    alignment = make_alignment()
    maps, sound = torch.randn(1, 8, 3, 4), torch.randn(1, 6)
    with torch.no_grad():
        updated = alignment(maps, sound).maps
        normed = alignment.norm(maps.flatten(2).transpose(1, 2))
        places = density_peaks(normed, 3, 5)
        labels = nearest_centre(normed, normed[:, places[0]])[0]
        question = alignment.sound(sound)[0].split(4)
        keys, values = alignment.key(normed)[0], alignment.value(normed)[0]
        compact, scores = [], []
        for group in range(3):
            own = labels == group
            merged, answers = [], []
            for head in range(2):
                part = slice(4 * head, 4 * head + 4)
                response = keys[own, part] @ question[head] / math.sqrt(4)
                weights = response.softmax(dim=0)
                merged.append(weights @ values[own, part])
                answers.append(weights @ response)
            compact.append(torch.cat(merged))
            scores.append(sum(answers) / 2)
        f, S = torch.stack(compact), torch.stack(scores)
        heeded = (normed[0] @ f.T / math.sqrt(8) + S).softmax(dim=1) @ f
        expected = maps[0].flatten(1).T + 0.1 * heeded
    torch.testing.assert_close(updated[0].flatten(1).T, expected)


def test_a_group_that_answers_the_sound_is_heeded_more():
    alignment = make_alignment()
    response = torch.tensor([[[3.0, 3.0, -3.0, -3.0]] * 2])
    member = torch.tensor([[[True, True, False, False], [False, False, True, True]]])
    _, score = alignment._merged(torch.randn(1, 4, 8), response, member)
    torch.testing.assert_close(score, torch.tensor([[3.0, -3.0]]))


def test_a_group_without_members_is_heeded_by_nobody_and_gives_no_infinity():
    alignment = make_alignment()
    values = torch.randn(1, 4, 8, requires_grad=True)
    member = torch.tensor([[[True] * 4, [False] * 4]])
    compact, score = alignment._merged(values, torch.zeros(1, 2, 4), member)
    weights = score.softmax(dim=1)
    assert weights.tolist() == [[1.0, 0.0]]
    (weights[..., None] * compact).sum().backward()
    assert values.grad.isfinite().all()


def test_the_contrast_is_written_out():
    similarity = torch.tensor([[0.9, -0.5, 0.7, 0.1]])
    response = torch.tensor([[5.0, -4.0, 3.0, -1.0]])
    positives, negatives, tau = (0.9, 0.7), (-0.5, 0.1), 0.2
    against = sum(math.exp(s / tau) for s in negatives)
    terms = [-math.log(math.exp(s / tau) / (math.exp(s / tau) + against)) for s in positives]
    contrast = contrast_of(similarity, response, share=0.5, temperature=tau)
    assert contrast.item() == pytest.approx(sum(terms) / 2, rel=1e-5)


def test_one_token_alone_contrasts_with_itself():
    contrast = contrast_of(torch.zeros(1, 1), torch.zeros(1, 1), share=0.25, temperature=0.1)
    assert contrast.item() == pytest.approx(math.log(2))


def tiny_pvt() -> PyramidVisionTransformer:
    sizes = ((8, 1, 1, 8), (16, 1, 2, 4), (24, 1, 3, 2), (32, 1, 4, 1))
    return PyramidVisionTransformer(tuple(Stage(*size) for size in sizes))


@pytest.mark.parametrize("make_backbone", [MobileNetV2, resnet50, tiny_pvt])
@torch.inference_mode()
def test_a_hook_between_levels_changes_what_comes_after_it(make_backbone):
    torch.manual_seed(0)
    backbone = make_backbone().eval()
    frames = torch.randn(1, 3, 64, 64)
    plain = backbone(frames)
    untouched = backbone(frames, lambda _level, maps: maps)
    levels = []

    def doubled_at_second(level, maps):
        levels.append(level)
        return maps * 2.0 if level == 1 else maps

    changed = backbone(frames, doubled_at_second)
    assert levels == [0, 1, 2, 3]
    assert all(torch.equal(a, b) for a, b in zip(plain, untouched, strict=True))
    torch.testing.assert_close(changed[0], plain[0])
    torch.testing.assert_close(changed[1], 2.0 * plain[1])
    assert not torch.allclose(changed[3], plain[3])


@torch.inference_mode()
def test_other_steps_reach_a_frame_and_padded_ones_do_not():
    network, inputs = make(), make_inputs(1, 3, log_mel=SPEC.log_mel)
    changed = dataclasses.replace(inputs, frames=inputs.frames.clone())
    changed.frames[:, 2] = 3.0
    apart = (network(inputs).logits - network(changed).logits)[:, 0].abs().max()
    assert apart > 1e-4
    valid = torch.tensor([[True, True, False]])
    first, second = (network(dataclasses.replace(x, valid=valid)) for x in (inputs, changed))
    torch.testing.assert_close(first.logits[:, :2], second.logits[:, :2], atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_the_uncertainty_lowers_what_the_mask_head_says():
    output = make()(make_inputs(2, 2, log_mel=SPEC.log_mel))
    doubt = uncertainty(output.evidence.concentration[0])
    expected = output.evidence.logits[0].sigmoid() * (1 - doubt)
    torch.testing.assert_close(output.logits.sigmoid(), expected)


@torch.inference_mode()
def test_without_the_uncertainty_the_mask_head_has_the_last_word():
    inputs = make_inputs(1, 1, log_mel=SPEC.log_mel)
    lowered, plain = make()(inputs), make(uncertainty="none")(inputs)
    assert plain.evidence is None
    assert plain.logits.shape == lowered.logits.shape


def test_a_clip_of_padding_alone_gives_numbers():
    inputs = make_inputs(1, 2, log_mel=SPEC.log_mel)
    nothing = dataclasses.replace(inputs, valid=torch.zeros_like(inputs.valid))
    with torch.inference_mode():
        assert make()(nothing).logits.isfinite().all()


@pytest.mark.parametrize("backbone", ["resnet50", "pvt_v2_b5"])
def test_the_encoders_of_the_papers_fit(backbone):
    network = make(backbone=backbone, audio_encoder="vggish")
    with torch.inference_mode():
        assert network(make_inputs(1, 1)).logits.shape == (1, 1, 1, 16, 16)


def test_label_maps_have_all_their_classes():
    torch.manual_seed(0)
    names = ("background", "bell", "dog")
    spec = dataclasses.replace(SPEC, task="semantic", num_classes=3, class_names=names)
    with torch.inference_mode():
        output = build(spec).eval()(make_inputs(1, 2, log_mel=SPEC.log_mel))
    assert output.logits.shape == (1, 2, 3, 16, 16)
    assert output.evidence.concentration[0].shape == (1, 2, 3, 16, 16)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"heads": 5}, "heads must divide"),
        ({"groups": 10**9}, "groups must be"),
        ({"neighbours": "many"}, "neighbours must be"),
        ({"contrast_share": 0.9}, "contrast_share must lie"),
        ({"contrast_temperature": 0.0}, "contrast_temperature be positive"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(settings, told):
    with pytest.raises(ValueError, match=told):
        make(**settings)

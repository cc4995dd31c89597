"""The official variant of PCMANet against the numbers of the published code (data/README.md)."""

import zlib
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from avscli.networks.layers import resize
from avscli.networks.pcmanet import load_official
from avscli.networks.pcmanet.official import OfficialOutput
from tests.parity import rule
from tests.parity.published import S4_SEEDS, published_keys, reference, rule_weights

CLIP_LENGTH = 5
STAGES = (1, 2, 3, 4)
LOGITS = {"rtol": 0.0, "atol": 5e-4}  # float32 rounding of the reference itself is 5e-5
FEATURES = {"rtol": 1e-4, "atol": 1e-4}


@dataclass
class Run:
    """One forward pass: what it should give, what it gave, and what its parts passed on."""

    expected: dict[str, np.ndarray]
    weights: dict[str, torch.Tensor]
    frames: np.ndarray
    audio: np.ndarray
    output: OfficialOutput | None = None
    parts: dict[str, np.ndarray] = field(default_factory=dict)

    def watch(self, name: str, part: nn.Module) -> None:
        part.register_forward_hook(partial(self._keep, name))

    def _keep(self, name: str, _: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        if name.startswith("qsca"):
            guide, token = output  # type: ignore[misc]
            self.parts[name] = guide.numpy()
            self.parts[f"{name}_audio"] = None if token is None else token.numpy()
            self.parts[f"{name}_selected"] = inputs[-1]
        elif name == "backbone":
            self.parts |= {f"x{stage}": maps.numpy() for stage, maps in enumerate(output, start=1)}  # type: ignore[arg-type]
        else:
            self.parts[name] = output.numpy()  # type: ignore[attr-defined]


@pytest.fixture(scope="module", params=S4_SEEDS)
def run(request: pytest.FixtureRequest) -> Run:
    seed = S4_SEEDS[request.param]
    run = Run(
        expected=reference(f"s4_{request.param}_seed{seed}_b1.npz"),
        weights=rule_weights(published_keys(f"s4_{request.param}"), seed),
        frames=rule.frames(seed, 1, CLIP_LENGTH),
        audio=rule.audio(seed, 1, CLIP_LENGTH),
    )
    model = load_official(run.weights, clip_length=CLIP_LENGTH)
    run.watch("backbone", model.network.backbone)
    for stage in STAGES:
        for name in ("avga", "qsca", "fusion", "heads"):
            parts: nn.ModuleList = getattr(model.network, name)
            run.watch(f"{name}{stage}", parts[stage - 1])
    run.output = model.forward_stages(
        torch.from_numpy(run.frames)[None], torch.from_numpy(run.audio)[None]
    )
    return run


def crc(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


def mean_std(maps: np.ndarray) -> np.ndarray:
    """Statistics per channel over frames and space: [2, C]."""
    wide = maps.astype(np.float64)
    return np.stack([wide.mean((0, 2, 3)), wide.std((0, 2, 3))])


def test_inputs_and_weights_are_those_of_the_reference(run: Run) -> None:
    assert [crc(run.frames), crc(run.audio)] == run.expected["input_crc32"].tolist()
    folded = 0
    for key, value in run.weights.items():
        folded ^= zlib.crc32(key.encode()) ^ crc(value.numpy())
    assert folded == run.expected["weights_crc32_xor"][0]


@pytest.mark.parametrize("stage", STAGES)
def test_picture_features_are_the_published_ones(run: Run, stage: int) -> None:
    maps, expected = run.parts[f"x{stage}"], run.expected
    step = maps.shape[-1] // 7
    np.testing.assert_allclose(maps[:, ::16, ::step, ::step], expected[f"x{stage}_sub"], **FEATURES)
    statistics = np.stack([expected[f"x{stage}_mean"], expected[f"x{stage}_std"]])
    np.testing.assert_allclose(mean_std(maps), statistics, **FEATURES)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("part", "published"), [("avga", "avga"), ("fusion", "gf")])
def test_fused_features_have_the_published_statistics(
    run: Run, part: str, published: str, stage: int
) -> None:
    expected = run.expected[f"{published}{stage}_mean_std"]
    np.testing.assert_allclose(mean_std(run.parts[f"{part}{stage}"]), expected, **FEATURES)


@pytest.mark.parametrize("stage", STAGES)
def test_attention_guides_are_the_published_ones(run: Run, stage: int) -> None:
    # The published part enlarges its guide itself; ours leaves that to the fusion.
    size = run.parts[f"x{stage}"].shape[-2:]
    guide = resize(torch.from_numpy(run.parts[f"qsca{stage}"]), size).numpy()
    step = max(1, guide.shape[-1] // 14)
    expected = run.expected[f"qsca{stage}_sub"]
    np.testing.assert_allclose(guide[:, ::16, ::step, ::step], expected, **FEATURES)


# Stage 1's token is discarded by the published code, so ours does not compute it.
@pytest.mark.parametrize("stage", STAGES[1:])
def test_audio_tokens_are_the_published_ones(run: Run, stage: int) -> None:
    token = run.parts[f"qsca{stage}_audio"]
    np.testing.assert_allclose(token, run.expected[f"qsca{stage}_audio"], **FEATURES)


@pytest.mark.parametrize("stage", STAGES[1:])
def test_masks_are_equal_bit_for_bit(run: Run, stage: int) -> None:
    shape = run.expected[f"mask{stage}_shape"]
    bits = np.unpackbits(run.expected[f"mask{stage}"], count=int(shape.prod()))
    selected = run.parts[f"qsca{stage - 1}_selected"]  # the mask's consumer
    np.testing.assert_array_equal(selected.numpy().ravel(), bits.astype(bool))


def test_shares_of_selected_queries_are_the_published_ones(run: Run) -> None:
    shares = run.output.selected.numpy()
    np.testing.assert_allclose(shares, run.expected["per4_per3_per2"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("stage", STAGES)
def test_logits_are_the_published_ones(run: Run, stage: int) -> None:
    expected, name = run.expected, f"logits_stage{stage}"
    np.testing.assert_allclose(run.parts[f"heads{stage}"], expected[f"low_{name}"], **LOGITS)
    logits = run.output.logits[stage - 1][0].numpy()
    assert logits.shape == (CLIP_LENGTH, 1, 224, 224)
    np.testing.assert_allclose(logits[..., ::7, ::7], expected[f"{name}_every7"], **LOGITS)
    # A mean may be near zero, so rtol alone would ask for more than float32 gives.
    np.testing.assert_allclose(mean_std(logits), expected[f"{name}_mean_std"], **FEATURES)

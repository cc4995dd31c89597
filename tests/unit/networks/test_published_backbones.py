"""The published encoders on a small scale; tests/parity has their numbers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from avscli.errors import CheckpointMismatchError
from avscli.networks.backbones.pvt_v2 import (
    DropPath,
    PyramidVisionTransformer,
    Stage,
    load_imagenet_pvt_v2,
)
from avscli.networks.backbones.resnet import ResNet, load_imagenet_resnet
from avscli.networks.state_dicts import load_strictly

TINY = (Stage(8, 1, 1, 8), Stage(16, 1, 2, 4), Stage(24, 1, 3, 2), Stage(32, 1, 4, 1))


def tiny_pvt(*, drop_path: float = 0.0) -> PyramidVisionTransformer:
    return PyramidVisionTransformer(TINY, drop_path=drop_path)


def tiny_resnet() -> ResNet:
    return ResNet((1, 1, 1, 1))


@pytest.mark.parametrize("make", [tiny_pvt, tiny_resnet])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (32, 96)])
def test_maps_come_at_strides_4_to_32(
    make: Callable[[], PyramidVisionTransformer | ResNet], height: int, width: int
) -> None:
    network = make()
    maps = network.eval()(torch.randn(2, 3, height, width))
    strides = (4, 8, 16, 32)
    expected = [
        (2, channels, height // s, width // s)
        for channels, s in zip(network.channels, strides, strict=True)
    ]
    assert [tuple(stage.shape) for stage in maps] == expected


@pytest.mark.parametrize("make", [tiny_pvt, tiny_resnet])
def test_every_weight_gets_a_gradient(make: Callable[[], nn.Module]) -> None:
    network = make().train()
    sum(maps.square().mean() for maps in network(torch.randn(2, 3, 64, 64))).backward()
    without = [name for name, p in network.named_parameters() if not p.grad.abs().sum() > 0]
    assert without == []


def test_stochastic_depth_keeps_the_mean_and_drops_whole_samples() -> None:
    torch.manual_seed(0)
    kept = DropPath(0.25).train()(torch.ones(20_000, 2, 1))
    assert kept.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert torch.equal(kept[:, 0], kept[:, 1])
    assert kept.mean() == pytest.approx(1.0, abs=0.02)


def test_stochastic_depth_grows_with_depth_and_rests_in_evaluation() -> None:
    network = tiny_pvt(drop_path=0.3)
    rates = [part.probability for part in network.modules() if isinstance(part, DropPath)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])
    branch = torch.randn(3, 4)
    assert DropPath(0.5).eval()(branch) is branch


@pytest.mark.parametrize(
    ("make", "load", "classifier"),
    [
        (tiny_pvt, load_imagenet_pvt_v2, {"head.weight": torch.ones(5, 32)}),
        (tiny_resnet, load_imagenet_resnet, {"fc.bias": torch.ones(5)}),
    ],
    ids=["pvt", "resnet"],
)
def test_a_published_classifier_starts_an_encoder(
    make: Callable[[], nn.Module],
    load: Callable[[nn.Module, dict[str, Tensor]], None],
    classifier: dict[str, Tensor],
) -> None:
    source, target = make(), make()
    state = {k: v for k, v in source.state_dict().items() if "num_batches" not in k}
    load(target, state | classifier)
    torch.testing.assert_close(target.state_dict(), source.state_dict(), rtol=0, atol=0)


def test_a_mismatch_names_the_first_key_of_each_kind_and_changes_nothing() -> None:
    network = nn.Linear(2, 3)
    before = network.weight.clone()
    state = {"weight": torch.zeros(3, 3), "scale": torch.ones(1), "shift": torch.ones(1)}
    with pytest.raises(
        CheckpointMismatchError,
        match=r"^a friend's file does not fit: missing: bias; unexpected: scale \(and 1 more\); "
        r"of another shape: weight \[3, 3\] instead of \[3, 2\]$",
    ):
        load_strictly(network, state, source="a friend's file")
    assert torch.equal(network.weight, before)

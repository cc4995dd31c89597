"""Folded batch norms and fused activations against the layers they came from."""

from collections.abc import Callable
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from avscli.datatypes import NetworkInput, NetworkOutput
from avscli.networks.backbones.mobile_tagger import MobileTagger
from avscli.networks.backbones.mobilenet_v2 import MobileNetV2, SameConv
from avscli.networks.backbones.pvt_v2 import pvt_v2_b5
from avscli.networks.backbones.resnet import resnet50
from avscli.networks.backbones.vggish import VGGish
from avscli.networks.folding import FusedConvolution, fold_batch_norms, fuse_activations
from tests.networks_for_tests import SPEC_OF_NETWORK, make_any, make_inputs, make_network


def test_a_folded_network_says_what_it_said():
    network, inputs = make_network(), make_inputs()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training, not as they start
            nn.init.uniform_(module.running_mean, -1.0, 1.0)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    with torch.inference_mode():
        expected = network(inputs).logits
        fold_batch_norms(network)
        folded = network(inputs).logits
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    torch.testing.assert_close(folded, expected, atol=1e-4, rtol=1e-4)


def test_a_norm_that_follows_no_convolution_stays():
    layers = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    fold_batch_norms(layers.eval())
    assert [type(layer) for layer in layers] == [nn.ReLU, nn.BatchNorm2d, nn.Conv2d, nn.Identity]


def logits_of(network: nn.Module, inputs: NetworkInput) -> Tensor:
    with torch.inference_mode():
        return cast("NetworkOutput", network(inputs)).logits


@pytest.mark.parametrize("name", sorted(SPEC_OF_NETWORK))
def test_a_fused_network_says_what_it_said(name: str) -> None:
    network, inputs = make_any(SPEC_OF_NETWORK[name]), make_inputs()
    fold_batch_norms(network)
    expected = logits_of(network, inputs)
    fuse_activations(network)
    assert any(isinstance(module, FusedConvolution) for module in network.modules())
    # C3N's gates are gradients, which jump where a ReLU's input is next to zero.
    atol = 2e-3 if name == "c3n" else 2e-4
    torch.testing.assert_close(logits_of(network, inputs), expected, atol=atol, rtol=1e-3)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (MobileNetV2, (2, 3, 64, 96)),
        (lambda: MobileNetV2(output_stride=16), (1, 3, 64, 64)),
        (MobileTagger, (3, 1, 128, 98)),
        (VGGish, (2, 1, 96, 64)),
        (resnet50, (1, 3, 64, 64)),
        (pvt_v2_b5, (1, 3, 64, 64)),
    ],
    ids=["mobilenet_v2", "dilated", "mobile_tagger", "vggish", "resnet50", "pvt_v2_b5"],
)
@pytest.mark.parametrize("num_threads", [1, 2])
def test_a_fused_encoder_sees_and_hears_what_it_did(
    make: Callable[[], nn.Module], shape: tuple[int, ...], num_threads: int
) -> None:
    torch.manual_seed(1)
    encoder, x, before = make().eval(), torch.randn(shape), torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        with torch.inference_mode():
            expected = encoder(x)
            fuse_activations(encoder)
            fused = encoder(x)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(fused, expected, atol=1e-4, rtol=1e-3)


def test_activations_join_their_convolutions_and_nothing_else() -> None:
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.Identity(), nn.Hardswish(), nn.ReLU(),
        SameConv(8, 8, 3, stride=2, groups=8), nn.ReLU6(inplace=True),
        nn.Conv2d(8, 8, 3, padding="same"), nn.ReLU(),
        nn.Conv2d(8, 4, 1), nn.GELU(),
    )  # fmt: skip
    x = torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        expected = layers(x)
        fuse_activations(layers)
        torch.testing.assert_close(layers(x), expected)
    kinds = [type(layer) for layer in layers]
    assert kinds[:4] == [FusedConvolution, nn.Identity, nn.Identity, nn.ReLU]
    assert kinds[4:] == [
        FusedConvolution, nn.Identity, nn.Conv2d, nn.ReLU, FusedConvolution, nn.GELU,
    ]  # fmt: skip


def test_a_fused_convolution_still_has_gradients_and_low_precision() -> None:
    layers = nn.Sequential(SameConv(4, 8, 3, stride=2), nn.ReLU6())
    x = torch.randn(1, 4, 8, 8)
    expected = torch.autograd.grad(layers(x.requires_grad_()).sum(), x)[0]
    fuse_activations(layers)
    torch.testing.assert_close(torch.autograd.grad(layers(x).sum(), x)[0], expected)
    with torch.inference_mode():
        exact = layers(x)
        with torch.autocast("cpu", torch.bfloat16):
            low = layers(x)
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), exact, atol=0.05, rtol=0.05)

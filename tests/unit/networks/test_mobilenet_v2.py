"""TensorFlow's SAME padding, which the light encoders' weights rely on."""

import pytest
import torch
import torch.nn.functional as F

from avscli.networks.backbones.mobilenet_v2 import SameConv


@pytest.mark.parametrize("groups", [1, 6], ids=["dense", "depthwise"])
@pytest.mark.parametrize("size_hw", [(8, 6), (2, 2)], ids=str)
def test_a_strided_convolution_pads_after_the_last_row_and_column_only(size_hw, groups):
    torch.manual_seed(0)
    conv = SameConv(6, 6, 3, stride=2, groups=groups)
    picture = torch.randn(2, 6, *size_hw, requires_grad=True)
    padded = F.pad(picture, (0, 1, 0, 1))
    expected = F.conv2d(padded, conv.weight, conv.bias, stride=2, groups=groups)
    ours = conv(picture)
    torch.testing.assert_close(ours, expected)
    inputs = (picture, conv.weight)
    for gradient, wanted in zip(
        torch.autograd.grad(ours.square().sum(), inputs),
        torch.autograd.grad(expected.square().sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(gradient, wanted)

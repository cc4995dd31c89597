"""TensorFlow's SAME padding and dilation, which the light encoders' weights rely on."""

import pytest
import torch
import torch.nn.functional as F

from avscli.networks.backbones.mobilenet_v2 import MobileNetV2, SameConv


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


def test_the_dilated_last_level_holds_the_strided_one_between_its_own_values():
    torch.manual_seed(0)
    strided, dilated = MobileNetV2(), MobileNetV2(output_stride=16)
    dilated.load_state_dict(strided.state_dict())
    frames = torch.rand(1, 3, 64, 96) * 2 - 1
    with torch.inference_mode():
        *coarse, deepest = strided(frames)
        *fine, dense = dilated(frames)
    assert dense.shape == (1, 320, 4, 6)
    torch.testing.assert_close(dense[..., 1::2, 1::2], deepest)
    for a, b in zip(coarse, fine, strict=True):
        assert torch.equal(a, b)

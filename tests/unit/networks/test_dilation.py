"""Four dilated convolutions of the same maps, summed."""

import torch

from avscli.networks.dilation import DilatedSum


def test_a_point_is_spread_to_the_four_distances() -> None:
    layer = DilatedSum(1, 1)
    for convolution in layer.branches:
        torch.nn.init.ones_(convolution.weight)
        torch.nn.init.zeros_(convolution.bias)
    point = torch.zeros(1, 1, 64, 64)
    point[..., 32, 32] = 1.0
    spread = layer(point)[0, 0].detach()
    row = {int(x) - 32: float(spread[32, x]) for x in spread[32].nonzero().flatten()}
    assert row == {0: 4.0} | {side * d: 1.0 for d in (3, 6, 12, 18) for side in (-1, 1)}

"""Folded batch norms against the layers they came from."""

import torch
from torch import nn

from avscli.networks.folding import fold_batch_norms
from tests.networks_for_tests import make_inputs, make_network


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

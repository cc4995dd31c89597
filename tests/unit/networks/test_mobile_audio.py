"""What the light sound encoder keeps of a patch."""

import torch

from avscli.networks.backbones.mobile_audio import MobileAudio


def test_the_centre_follows_the_mean_over_the_whole_patch():
    torch.manual_seed(0)
    whole, both = MobileAudio(), MobileAudio(keeps_centre=True)
    both.load_state_dict(whole.state_dict())
    patches = torch.randn(2, 1, 96, 64) - 2.0
    with torch.inference_mode():
        mean, longer = whole(patches), both(patches)
    assert (whole.num_features, both.num_features) == (1024, 2048)
    assert longer.shape == (2, 2048)
    torch.testing.assert_close(longer[:, :1024], mean)


def test_the_centre_hears_when_within_the_window_something_sounds():
    torch.manual_seed(0)
    encoder = MobileAudio(keeps_centre=True)
    early, late = torch.full((2, 1, 1, 96, 64), -4.6)
    early[..., :40, :] = late[..., 56:, :] = 0.0
    with torch.inference_mode():
        first, second = encoder(early), encoder(late)
    centre, mean = (
        (first[:, part] - second[:, part]).norm() / first[:, part].norm()
        for part in (slice(1024, None), slice(1024))
    )
    assert centre > mean

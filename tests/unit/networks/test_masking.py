"""Stages left out where the coarser one is sure: the same values where they run, none elsewhere."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import pytest
import torch

from avscli.datatypes import NetworkInput, NetworkOutput
from avscli.networks.layers import resize
from avscli.networks.pcmanet.masking import rectangles, window_around
from avscli.networks.pcmanet.network import PCMANet, PictureFeatures
from tests.networks_for_tests import TINY_SPEC, make_inputs, make_network

CELLS_HW = (8, 12)  # of the coarsest grid
VIVID = 200.0  # what is drawn into maps, beside which the borders' padding is faint


def skipping(**changes: object) -> PCMANet:
    """Return a tiny network that spares itself what is settled."""
    architecture = {**TINY_SPEC.architecture, "skips_settled": True, **changes}
    return make_network(dataclasses.replace(TINY_SPEC, architecture=architecture))


@pytest.fixture(scope="module", params=["published", "light"])
def network(request: pytest.FixtureRequest) -> PCMANet:
    """A network that is sure, at every stage, where nothing is drawn, and unsure where it is."""
    light = {"enlarges_last": True, "channels": 64, "source_classes": "dog,cat"}
    network = skipping(**(light if request.param == "light" else {}))
    with torch.inference_mode():
        stages = everything(network, scene(network)).stage_logits
    for head, logits in zip(network.heads, stages, strict=True):
        elsewhere = logits[..., -3, -3].mean()
        scale = 20.0 / (logits - elsewhere).abs().max()
        head[-1].weight.data *= scale
        head[-1].bias.data = (head[-1].bias.data - elsewhere) * scale - 8.0
    return network


class Scene(NamedTuple):
    """What `PCMANet.listen` is given."""

    seen: PictureFeatures
    moments: torch.Tensor
    valid: torch.Tensor

    @classmethod
    def drawn(
        cls, B: int = 2, T: int = 2, *, channels: int = 32, blobs: tuple[tuple[int, int], ...] = ()
    ) -> Scene:
        """Return B clips, in each of which one square of 2×2 of the coarsest cells is drawn.

        Args:
            channels: of the maps.
            blobs: where the square of each clip begins; none where that lies outside.
        """
        draw = torch.Generator().manual_seed(7)
        h, w = CELLS_HW
        maps = [torch.zeros(B, T, channels, h * s, w * s) for s in (8, 4, 2, 1)]
        picture = torch.zeros(B, T, 1 + 2, h * 4, w * 4)
        for clip, (y, x) in enumerate(blobs or [(2, 7)] * B):
            for drawn, s in (*zip(maps, (8, 4, 2, 1), strict=True), (picture, 4)):
                part = drawn[clip, ..., y * s : (y + 2) * s, x * s : (x + 2) * s]
                part.copy_(VIVID * torch.rand(part.shape, generator=draw))
        flat = [m.flatten(0, 1) for m in maps]
        seen = PictureFeatures(flat, picture.flatten(0, 1))
        moments = torch.rand(B, T, 1, 1024, generator=draw)
        return cls(seen, moments, torch.ones(B, T, dtype=torch.bool))

    def first_clip(self) -> Scene:
        T = self.valid.shape[1]
        seen = PictureFeatures([m[:T] for m in self.seen.maps], self.seen.picture[:T])
        return Scene(seen, self.moments[:1], self.valid[:1])


def scene(network: PCMANet, **changes: object) -> Scene:
    return Scene.drawn(channels=network.spec.architecture["channels"], **changes)


def everything(network: PCMANet, given: Scene) -> NetworkOutput:
    network.skips_settled = False
    output: NetworkOutput = network.listen(*given)
    network.skips_settled = True
    return output


def framewise(output: NetworkOutput) -> list[torch.Tensor]:
    return [logits.flatten(0, 1) for logits in output.stage_logits]


def test_each_value_is_that_of_the_whole_computation_or_of_the_stage_before(network):
    with torch.inference_mode():
        found = framewise(network.listen(*scene(network)))
        whole = framewise(everything(network, scene(network)))
    for stage in (1, 2, 3):
        torch.testing.assert_close(found[stage], whole[stage], rtol=0, atol=1e-4)
    enlarged = resize(found[1], found[0].shape[-2:])
    computed = (found[0] - enlarged).abs() > 1e-4
    torch.testing.assert_close(found[0][computed], whole[0][computed], rtol=0, atol=1e-4)
    assert 0.0 < computed.float().mean() < 0.2


def test_what_the_stage_before_leaves_unsettled_is_always_computed(network):
    with torch.inference_mode():
        found = framewise(network.listen(*scene(network)))
        whole = framewise(everything(network, scene(network)))
    unsure = (found[1].abs() < 2.9).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert unsure.any()
    torch.testing.assert_close(found[0][unsure], whole[0][unsure], rtol=0, atol=1e-4)


def test_a_clip_gives_the_same_beside_one_whose_rectangle_lies_elsewhere(network):
    given = scene(network, blobs=((2, 7), (5, 1)))
    with torch.inference_mode():
        together = network.listen(*given).stage_logits
        alone = network.listen(*given.first_clip()).stage_logits
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[:1], other, rtol=0, atol=1e-4)


def test_only_clips_with_something_unsettled_run(network):
    given = scene(network, blobs=((2, 7), (99, 99)))
    with torch.inference_mode():
        found = network.listen(*given).stage_logits
        whole = everything(network, given).stage_logits
    torch.testing.assert_close(found[1][0], whole[1][0], rtol=0, atol=1e-4)
    torch.testing.assert_close(found[1][1], resize(found[2][1], found[1].shape[-2:]))
    assert not torch.allclose(found[1][1], whole[1][1], rtol=0, atol=1e-4)


def settle(network: PCMANet, *, stage: int) -> None:
    """Have a stage say that nothing sounds, whatever it sees."""
    network.heads[stage - 1][-1].weight.data.zero_()
    network.heads[stage - 1][-1].bias.data.fill_(-9.0)


def fine_stages_run(network: PCMANet, given: NetworkInput) -> list[int]:
    """Return which of stages 2 and 1 run."""
    ran: list[int] = []
    hooks = [
        network.heads[stage - 1].register_forward_hook(lambda *_, stage=stage: ran.append(stage))
        for stage in (1, 2)
    ]
    with torch.inference_mode():
        network(given)
    for hook in hooks:
        hook.remove()
    return ran


def test_no_fine_stage_runs_where_the_third_one_settles_everything():
    network = skipping()
    assert fine_stages_run(network, make_inputs()) == [2, 1]
    settle(network, stage=2)
    assert fine_stages_run(network, make_inputs()) == [2]
    settle(network, stage=3)
    assert fine_stages_run(network, make_inputs()) == []
    with torch.inference_mode():
        output = network(make_inputs())
    assert all((logits == -9.0).all() for logits in output.stage_logits[:3])


def test_training_computes_everything():
    network = skipping().train()
    settle(network, stage=3)
    assert fine_stages_run(network, make_inputs()) == [2, 1]


def test_the_published_variant_can_leave_nothing_out():
    with pytest.raises(ValueError, match="official"):
        skipping(variant="official")


def test_the_rectangle_around_marks_is_the_smallest_that_holds_them():
    marks = torch.zeros(3, 6, 7, dtype=torch.bool)
    marks[0, 1, 4] = marks[0, 3, 2] = marks[2, 5, 6] = True
    expected = torch.zeros_like(marks)
    expected[0, 1:4, 2:5] = expected[2, 5, 6] = True
    assert rectangles(marks).equal(expected)


def test_a_window_ends_where_the_picture_does():
    marks = torch.zeros(2, 20, 9, dtype=torch.bool)
    marks[0, 8, 2] = marks[1, 10, 3] = True
    assert window_around(marks) == (slice(5, 14), slice(0, 7))

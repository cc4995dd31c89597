"""What training asks of a network that it knows nothing of."""

import dataclasses

import pytest
import torch
from torch import nn

from avscli.datasets.kinds.scenes import SceneClips
from avscli.datasets.scenes import TRAIN_SEEDS, VALIDATION_SEEDS
from avscli.datatypes import NetworkInput
from avscli.errors import UsageError
from avscli.networks import registry
from avscli.networks.losses import Supervision, mask_loss
from avscli.networks.registry import build_network
from avscli.training.clips.sources import ClipSources
from avscli.training.clips.task import ClipTask
from avscli.training.couples.samples import SCENE_NAMES, SceneSamples
from avscli.training.couples.task import CoupleTask
from avscli.training.engine import Engine
from avscli.training.networks.plain import NetworkTraining
from avscli.training.networks.registry import training_of
from avscli.training.process_group import ProcessGroup
from avscli.training.recipe_files import find_recipe
from avscli.training.start import StartWeights
from tests.networks_for_tests import TINY_SPEC, make_inputs, make_network
from tests.recipes import TINY_CLIP_SPEC, tiny_couple_recipe, tiny_recipe

TOY = {"network": "toy", "architecture": {"channels": 4}}
NO_WEIGHTS: dict[str, float] = {}
MODEST_TOY = {"network": "toy", "architecture": {"channels": 4, "own_losses": True}}


@pytest.fixture(autouse=True)
def _toy(monkeypatch):
    """Add a network: its module, and this line."""
    monkeypatch.setitem(registry._NETWORKS, "toy", "tests.toy_network")


def toy(**changes) -> NetworkTraining:
    torch.manual_seed(0)
    return training_of(build_network(dataclasses.replace(TINY_SPEC, **{**TOY, **changes})))


def couples(folder, *, sound_steps=0, weights=NO_WEIGHTS, **changes) -> Engine:
    spec = dataclasses.replace(tiny_couple_recipe().spec, **changes)
    recipe = tiny_couple_recipe(
        spec=spec, sound_steps=sound_steps, frozen_blocks=0, loss_weights=weights
    )
    return Engine(CoupleTask(recipe, [SceneSamples(SCENE_NAMES)], [1.0]), folder)


def clips(folder, weights=NO_WEIGHTS, **changes) -> Engine:
    spec = dataclasses.replace(TINY_CLIP_SPEC, **changes)
    recipe = tiny_recipe(spec=spec, loss_weights=weights)
    sources = ClipSources(
        *((SceneClips(seeds, 5, (32, 32)),) for seeds in (TRAIN_SEEDS[:4], VALIDATION_SEEDS[:1]))
    )
    task = ClipTask(recipe, sources, folder=folder, device="cpu", processes=ProcessGroup())
    return Engine(task, folder)


def supervision(labelled: list[list[bool]]) -> Supervision:
    draw = torch.Generator().manual_seed(1)
    shape = (len(labelled), len(labelled[0]), 64, 64)
    targets = torch.randint(0, 2, shape, generator=draw).byte()
    return Supervision(targets, torch.tensor(labelled), smoothing_pixels=1.0)


def test_parameters_are_grouped_by_the_names_of_the_encoders():
    side = toy()
    network = side.network
    groups = side.groups()
    assert groups.picture == list(network.backbone.parameters())
    assert groups.sound == list(network.audio_encoder.parameters())
    assert groups.fresh == [network.kept, *network.head.parameters()]


def test_a_network_without_encoders_is_fresh_throughout():
    class Bare(nn.Module):
        spec, checkpoint = TINY_SPEC, None

        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Conv2d(3, 1, 1)

    bare = Bare()
    assert NetworkTraining(bare).groups() == ([], [], list(bare.head.parameters()))


def test_a_network_that_defines_no_losses_learns_by_those_of_its_stages():
    side, inputs = toy(), make_inputs()
    truth = supervision([[True, False, False], [True, True, False]])
    losses = side.losses(inputs, truth)
    assert losses.keys() == {"stage1"}
    torch.testing.assert_close(losses["stage1"], mask_loss(side.network(inputs).logits, truth))


def test_a_network_that_defines_losses_learns_by_these():
    losses = toy(**MODEST_TOY).losses(make_inputs(), supervision([[True] * 3] * 2))
    assert losses.keys() == {"stage1", "modesty"}


def test_a_couple_is_two_clips_of_one_step_that_share_a_picture(tmp_path):
    engine = couples(tmp_path, **TOY)
    batch = next(engine.task.batches(0))
    inputs = batch.inputs()
    assert inputs.frames.shape == (4, 1, 3, 64, 64)
    assert torch.equal(inputs.frames[0], inputs.frames[1])
    assert torch.equal(inputs.frames[2, 0], batch.frames[1])
    assert torch.equal(inputs.log_mel[:, 0], batch.log_mel)
    assert inputs.valid.all()


@pytest.mark.parametrize("make", [couples, clips])
def test_what_needs_no_gradient_stays_and_the_rest_learns(tmp_path, make):
    engine = make(tmp_path, **TOY)
    network = engine.task.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    engine.run(lambda _progress: None)
    after = network.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    frozen = {"audio_encoder.weight", "audio_encoder.bias"} if make is couples else set()
    assert same == {"kept"} | frozen


@pytest.mark.parametrize("make", [couples, clips])
def test_the_recipe_weighs_a_networks_own_losses(tmp_path, make):
    measured = []
    engine = make(tmp_path, weights={"modesty": 0.25}, **MODEST_TOY)
    engine.run(lambda progress: measured.append(progress.measured))
    for losses in measured:
        expected = losses["stage1"] + 0.25 * losses["modesty"]
        assert losses["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("make", [couples, clips])
def test_a_weight_of_a_loss_that_is_not_there_is_refused_with_those_that_are(tmp_path, make):
    with pytest.raises(UsageError, match="loss_weights names 'modesty'") as caught:
        make(tmp_path, weights={"modesty": 0.25}, **TOY).run(lambda _progress: None)
    assert caught.value.hint == "it has: stage1"


NAMELESS = {**TINY_SPEC.architecture, "audio_encoder": "mobile_audio", "source_classes": ""}


@pytest.mark.parametrize(
    "changes", [TOY, {"architecture": NAMELESS}], ids=["toy", "neither names nor tags"]
)
def test_a_network_with_nothing_to_hear_alone_takes_no_sound_steps(tmp_path, changes):
    with pytest.raises(UsageError, match="has no sound side that could be") as caught:
        couples(tmp_path, sound_steps=3, **changes)
    assert caught.value.hint == "set sound_steps = 0"


def test_a_start_for_an_encoder_that_is_not_there_is_refused(tmp_path):
    side = toy()
    side.network.audio_encoder = None
    with pytest.raises(UsageError, match="no audio encoder"):
        side.start(StartWeights(audio=tmp_path / "some.pth"), freezes_audio=False)
    side.network.backbone = None
    with pytest.raises(UsageError, match="no encoder that --start-backbone"):
        side.start(StartWeights(backbone=tmp_path / "some.pth"), freezes_audio=False)


def test_pcmanet_learns_from_couples_as_from_clips_of_one_step():
    """Its own way encodes a picture once; the way of any other network gives the same losses."""
    spec = dataclasses.replace(TINY_SPEC, clip_length=1)
    recipe = tiny_couple_recipe(spec=spec, sound_steps=0)
    batch = next(CoupleTask(recipe, [SceneSamples(SCENE_NAMES)], [1.0]).batches(0))
    network = make_network(spec)  # in evaluation mode: no batch statistics
    own = training_of(network).couple_losses(batch, recipe)
    plain = NetworkTraining(network).couple_losses(batch, recipe)
    assert isinstance(batch.inputs(), NetworkInput)
    torch.testing.assert_close(own, plain)


@pytest.mark.parametrize("network", registry.list_networks())
def test_every_network_takes_a_step_of_the_comparison(tmp_path, network):
    recipe = find_recipe(f"compare/{network}").with_overrides(
        steps=1, batch_samples=2, sample_size_hw=(64, 64), late_size_hw=(64, 64), frozen_share=0.0
    )
    task = CoupleTask(recipe, [SceneSamples(SCENE_NAMES)], [1.0])
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    Engine(task, tmp_path).run(lambda _progress: None)
    after = task.network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("backbone.") for name in changed)
    assert any(not name.startswith("backbone.") for name in changed)
    assert not any(name.startswith("audio_encoder.") for name in changed)

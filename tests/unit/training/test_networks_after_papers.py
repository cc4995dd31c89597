"""AVESFormer, AMA + UE and evidential PCMANet learn from both kinds of recipe."""

import dataclasses
import json

import pytest
import torch

from avscli.datasets.kinds.scenes import SceneClips
from avscli.datasets.scenes import TRAIN_SEEDS, VALIDATION_SEEDS
from avscli.networks.losses import Supervision
from avscli.networks.registry import build_network
from avscli.training.clips.sources import ClipSources
from avscli.training.clips.task import ClipTask
from avscli.training.couples.samples import SCENE_NAMES, SceneSamples
from avscli.training.couples.task import CoupleTask
from avscli.training.engine import Engine
from avscli.training.process_group import ProcessGroup
from tests.networks_for_tests import SPEC_OF_NETWORK, make_inputs
from tests.recipes import TINY_CLIP_SPEC, tiny_couple_recipe, tiny_recipe

LIGHT = {"backbone": "mobilenet_v2", "audio_encoder": "mobile_audio", "channels": 16, "heads": 4}
EVIDENTIAL = {"variant": "corrected", "avga_heads": 4, "qsca_heads": 4, "null_audio_token": True}
SPECS = {
    "avesformer": ("avesformer", LIGHT, {"stage1"}),
    "ama": ("ama", LIGHT, {"mask", "contrast", "evidence", "divergence"}),
    "pcmanet": (
        "pcmanet",
        {**LIGHT, **EVIDENTIAL, "uncertainty": "evidential"},
        {"stage1", "stage2", "stage3", "stage4", "divergence"},
    ),
}


def couples(folder, network, architecture) -> Engine:
    spec = dataclasses.replace(
        tiny_couple_recipe().spec, network=network, architecture=architecture
    )
    recipe = tiny_couple_recipe(spec=spec, sound_steps=0, frozen_blocks=0)
    return Engine(CoupleTask(recipe, [SceneSamples(SCENE_NAMES)], [1.0]), folder)


def clips(folder, network, architecture) -> Engine:
    recipe = tiny_recipe(
        spec=dataclasses.replace(TINY_CLIP_SPEC, network=network, architecture=architecture)
    )
    sources = ClipSources(
        *((SceneClips(seeds, 5, (32, 32)),) for seeds in (TRAIN_SEEDS[:4], VALIDATION_SEEDS[:1]))
    )
    task = ClipTask(recipe, sources, folder=folder, device="cpu", processes=ProcessGroup())
    return Engine(task, folder)


@pytest.mark.parametrize("make", [couples, clips])
@pytest.mark.parametrize("name", SPECS)
def test_it_trains_by_its_losses(tmp_path, make, name):
    network, architecture, expected = SPECS[name]
    engine = make(tmp_path, network, architecture)
    before = {k: v.clone() for k, v in engine.task.network.state_dict().items()}
    engine.run(lambda _progress: None)
    rows = [json.loads(row) for row in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert expected <= rows[0].keys()
    assert all(torch.tensor([row[name] for name in expected]).isfinite().all() for row in rows)
    after = engine.task.network.state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before if "head" in key)


def test_the_share_of_the_run_that_is_done_reaches_the_losses(tmp_path):
    network, architecture, _ = SPECS["pcmanet"]
    engine = couples(tmp_path, network, architecture)
    task = engine.task
    task.prepare(task.num_steps // 2)
    batch = next(task.batches(0))
    truth = task.side.truth_of(batch, task.recipe)
    assert truth.progress == (task.num_steps // 2) / task.num_steps


def test_every_loss_of_ama_reaches_its_part():
    torch.manual_seed(0)
    spec = SPEC_OF_NETWORK["ama"]
    network = build_network(spec).train()
    truth = Supervision(torch.ones(2, 2, 64, 64).byte(), torch.ones(2, 2, dtype=torch.bool), 50.0)
    losses = network.losses(make_inputs(2, 2, log_mel=spec.log_mel), truth)

    def reached(loss: str) -> set[str]:
        network.zero_grad()
        losses[loss].backward(retain_graph=True)
        with_gradient = (n for n, p in network.named_parameters() if p.grad is not None)
        return {name.split(".")[0] for name in with_gradient}

    assert "evidence_head" not in reached("mask")
    assert "mask_head" not in reached("evidence")
    assert {"alignment", "backbone"} <= reached("contrast")
    assert {"alignment", "evidence_head"} <= reached("divergence")


def test_nothing_labelled_costs_nothing_and_keeps_every_parameter_in_the_graph():
    torch.manual_seed(0)
    spec = SPEC_OF_NETWORK["ama"]
    network = build_network(spec).train()
    unlabelled = torch.zeros(1, 2, dtype=torch.bool)
    truth = Supervision(torch.ones(1, 2, 64, 64).byte(), unlabelled, 50.0)
    losses = network.losses(make_inputs(1, 2, log_mel=spec.log_mel), truth)
    sum(losses.values()).backward()
    assert all(float(loss.detach()) == 0.0 for loss in losses.values())
    tags = ("audio_encoder.names", "audio_encoder.hidden")  # which masks do not hear
    without = [n for n, p in network.named_parameters() if p.grad is None]
    assert [name for name in without if not name.startswith(tags)] == []

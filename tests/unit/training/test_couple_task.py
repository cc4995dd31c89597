"""Couples in the engine: what learns when, and that a killed run resumes exactly."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from avscli.errors import UsageError, WeightsError
from avscli.training import engine as training_engine
from avscli.training.couples.samples import SCENE_NAMES, Sample, SceneSamples, SoundSample
from avscli.training.couples.task import CoupleTask
from avscli.training.engine import Engine, Progress
from avscli.training.state import STATE_FILE, make_folder
from tests.recipes import tiny_couple_recipe


class Dying:
    """A source that fails after some couples, as a killed run would stop."""

    def __init__(self, couples: int) -> None:
        self.left = couples
        self.scenes = SceneSamples(SCENE_NAMES)
        self.sound_names = self.scenes.sound_names

    def draw(self, rng, size_hw) -> list[Sample]:
        self.count()
        return self.scenes.draw(rng, size_hw)

    def draw_sounds(self, rng) -> list[SoundSample]:
        self.count()
        return self.scenes.draw_sounds(rng)

    def count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise ConnectionError("killed")


def make_engine(folder: Path, source=None, on_sound_end=None, **changes: object) -> Engine:
    sources = [source or SceneSamples(SCENE_NAMES)]
    make_folder(folder)
    recipe = tiny_couple_recipe(**changes)
    return Engine(CoupleTask(recipe, sources, [1.0], on_sound_end=on_sound_end), folder)


def ignore(_progress: Progress) -> None:
    """Tell nobody."""


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["mobile_audio", "mobile_tagger"])
def encoder(request) -> dict[str, object]:
    """Return the changes of the recipe that take an encoder without or with a tagger."""
    architecture = {**tiny_couple_recipe().spec.architecture, "audio_encoder": request.param}
    log_mel = "efficientat" if request.param == "mobile_tagger" else "vggish"
    spec = replace(tiny_couple_recipe().spec, architecture=architecture, log_mel=log_mel)
    return {"spec": spec}


@pytest.mark.parametrize("kept", [1, 2, 3], ids=["within the sounds", "after them", "with masks"])
def test_a_killed_and_resumed_run_equals_an_undisturbed_one_bit_for_bit(
    tmp_path, monkeypatch, encoder, kept
):
    phases = encoder | {"sound_steps": 2}
    undisturbed = make_engine(tmp_path / "whole", **phases)
    undisturbed.run(ignore)

    monkeypatch.setattr(training_engine, "SAVE_EVERY_SECONDS", 0.0)
    killed = make_engine(tmp_path / "killed", Dying(couples=2 * kept), **phases)  # two a step
    with pytest.raises(ConnectionError):
        killed.run(ignore)
    assert killed.step == kept
    resumed = make_engine(tmp_path / "killed", **phases)
    assert resumed.resume()
    assert resumed.step == kept
    resumed.run(ignore)

    for name, value in undisturbed.task.network.state_dict().items():
        assert torch.equal(value, resumed.task.network.state_dict()[name]), name
        assert torch.equal(undisturbed.weights()[name], resumed.weights()[name]), name


def test_other_seeds_train_other_networks(tmp_path):
    runs = [make_engine(tmp_path / str(seed), seed=seed) for seed in (1, 2)]
    for run in runs:
        run.run(ignore)
    first, second = (run.task.network.heads[0][0].weight for run in runs)
    assert not torch.equal(first, second)


def test_nothing_is_resumed_from_an_empty_folder(tmp_path):
    assert not make_engine(tmp_path).resume()


def test_early_blocks_are_frozen_first_and_train_in_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(training_engine, "SAVE_EVERY_SECONDS", 0.0)
    frozen = make_engine(tmp_path / "a", Dying(couples=8), frozen_share=0.75)
    start = frozen.task.network.backbone.stem.weight.clone()
    with pytest.raises(ConnectionError):
        frozen.run(ignore)
    assert torch.equal(frozen.task.network.backbone.stem.weight, start)
    resumed = make_engine(tmp_path / "a", frozen_share=0.75)
    resumed.resume()
    resumed.run(ignore)
    assert not torch.equal(resumed.task.network.backbone.stem.weight, start)


def test_the_learning_rate_rises_then_falls_to_zero_in_both_phases():
    recipe = tiny_couple_recipe(sound_steps=50, steps=100, warmup_share=0.1)
    sound = [recipe.rate_at(step) for step in range(50)]
    assert sound[0] == pytest.approx(0.2)
    assert sound[4] == sound[5] == 1.0
    assert sound[49] < 0.01
    rates = [recipe.rate_at(50 + step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0.0)


def test_the_sound_side_trains_alone_first(tmp_path, monkeypatch):
    monkeypatch.setattr(training_engine, "SAVE_EVERY_SECONDS", 0.0)
    engine = make_engine(tmp_path, Dying(couples=2))
    before = {k: v.clone() for k, v in engine.task.network.state_dict().items()}
    with pytest.raises(ConnectionError):
        engine.run(ignore)
    changed = {
        k for k, v in engine.task.network.state_dict().items() if not torch.equal(v, before[k])
    }
    assert changed
    assert {name.split(".")[0] for name in changed} == {"audio_encoder", "agreement"}
    assert all(name.startswith("agreement.sound.") for name in changed if "agreement" in name)


def test_a_tagger_is_taught_what_it_said_before_and_stays_near_it(tmp_path):
    spec = tiny_couple_recipe().spec
    architecture = {**spec.architecture, "audio_encoder": "mobile_tagger"}
    tagging = replace(spec, architecture=architecture, log_mel="efficientat")

    def tags_after(weight: float) -> torch.Tensor:
        torch.manual_seed(0)
        engine = make_engine(
            tmp_path / str(weight), spec=tagging, sound_steps=12, steps=0, tag_weight=weight
        )
        windows = torch.rand(4, 1, 128, 98, generator=torch.Generator().manual_seed(1))
        engine.run(ignore)
        with torch.inference_mode():
            tagger = engine.task.side.tagger
            before = tagger.tags(tagger(windows))
            after = engine.task.side.sound_side(windows).tags
        return (after.sigmoid() - before.sigmoid()).abs().mean()

    assert tags_after(5.0) < 0.5 * tags_after(0.0)


def test_sounds_whose_makers_nobody_knows_teach_no_names(tmp_path):
    task = make_engine(tmp_path, sound_steps=1).task
    batch = next(task.batches(0))
    unknown = replace(batch, is_known=torch.zeros(len(batch.heard), dtype=torch.bool))
    assert task.side.sound_losses(batch)["heard"] > 0
    assert task.side.sound_losses(unknown)["heard"] == 0


def test_what_is_fitted_when_the_sound_side_is_trained_stays(tmp_path):
    fitted = []

    def fit(side) -> None:
        naming = side.network.agreement.sound
        fitted.append(naming.names.bias.detach().clone())
        naming.usual.fill_(0.25)

    engine = make_engine(tmp_path, on_sound_end=fit, sound_steps=2)
    engine.run(ignore)
    (bias,) = fitted
    torch.testing.assert_close(engine.weights()["agreement.sound.names.bias"], bias)
    assert (engine.weights()["agreement.sound.usual"] == 0.25).all()


def run_noting_what_stages_believe(engine, monkeypatch) -> tuple[list, list]:
    side = engine.task.side
    listen, losses = side.network.listen, side.couple_losses
    believed, batches = [], []
    monkeypatch.setattr(
        engine.task.network,
        "listen",
        lambda *args, forced: believed.append(forced[:, 0]) or listen(*args, forced=forced),
    )
    monkeypatch.setattr(
        side, "couple_losses", lambda batch, recipe: batches.append(batch) or losses(batch, recipe)
    )
    engine.run(ignore)
    return believed, batches


def test_a_frozen_sound_side_says_the_same_as_in_use(tmp_path, monkeypatch):
    engine = make_engine(tmp_path, sound_steps=1, steps=2, teacher_forcing_share=0.0)
    believed, batches = run_noting_what_stages_believe(engine, monkeypatch)
    network = engine.task.network.eval()
    with torch.inference_mode():
        said = [network.name_sound(network.audio_encoder(b.log_mel)[:, None])[0] for b in batches]
    torch.testing.assert_close(torch.cat(believed), torch.cat(said))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_samples_is_trained_with_teacher_forcing(tmp_path, monkeypatch, share):
    engine = make_engine(tmp_path, sound_steps=0, steps=8, teacher_forcing_share=share)
    believed, batches = run_noting_what_stages_believe(engine, monkeypatch)
    heard, truth = torch.cat(believed), torch.cat([batch.heard for batch in batches])
    is_forced = (heard.abs() == 8.0).all(dim=1)
    assert is_forced.float().mean() == pytest.approx(share, abs=0.3)
    assert torch.equal(heard[is_forced] > 0.0, truth[is_forced] > 0.0)
    sounding = torch.cat([(batch.target == 1).flatten(1).any(dim=1) for batch in batches])
    assert truth[sounding].any(dim=1).all()


def test_the_averaged_sound_side_is_the_one_that_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(training_engine, "SAVE_EVERY_SECONDS", 0.0)
    engine = make_engine(tmp_path, Dying(couples=6), sound_steps=3)
    with pytest.raises(ConnectionError):
        engine.run(ignore)
    averaged = engine.weights()["agreement.sound.names.weight"].clone()
    assert not torch.equal(averaged, engine.task.network.agreement.sound.names.weight)
    resumed = make_engine(tmp_path, sound_steps=3)
    resumed.resume()
    resumed.run(ignore)
    assert torch.equal(resumed.task.network.agreement.sound.names.weight, averaged)


def test_losses_are_logged_as_json_lines(tmp_path):
    make_engine(tmp_path, sound_steps=2, steps=2).run(ignore)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    sounds, masks = {"heard"}, {"shown", "stage1", "stage2", "stage3", "stage4"}
    assert [row.keys() - {"step", "loss"} for row in rows] == [sounds, sounds, masks, masks]
    assert all(value > 0 for row in rows for value in row.values())


def test_the_sound_side_is_frozen_while_masks_train(tmp_path):
    engine = make_engine(tmp_path, sound_steps=0, steps=2)
    before = {k: v.clone() for k, v in engine.task.network.state_dict().items()}
    engine.run(ignore)
    changed = {
        k for k, v in engine.task.network.state_dict().items() if not torch.equal(v, before[k])
    }
    assert {"heads.0.0.weight", "audio_projection.weight"} < changed
    assert any(name.startswith("agreement.naming.") for name in changed)
    assert not any(k.startswith(("audio_encoder.", "agreement.sound.")) for k in changed)


class Interrupting(Dying):
    """A source during whose work somebody presses Ctrl-C."""

    def count(self) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_saves_the_run_between_two_steps_and_it_can_go_on(tmp_path):
    undisturbed = make_engine(tmp_path / "whole")
    undisturbed.run(ignore)
    stopped = make_engine(tmp_path / "stopped", Interrupting(couples=3))
    with pytest.raises(KeyboardInterrupt):
        stopped.run(ignore)
    assert 1 <= stopped.step < stopped.task.num_steps
    resumed = make_engine(tmp_path / "stopped")
    assert resumed.resume()
    assert resumed.step == stopped.step
    resumed.run(ignore)
    for name, value in undisturbed.weights().items():
        assert torch.equal(value, resumed.weights()[name]), name


def test_a_run_of_another_recipe_is_not_resumed(tmp_path):
    make_engine(tmp_path).run(ignore)
    with pytest.raises(UsageError, match="another seed"):
        make_engine(tmp_path, seed=9).resume()


def test_a_damaged_state_is_named(tmp_path):
    (tmp_path / STATE_FILE).write_bytes(b"torn")
    with pytest.raises(WeightsError, match=r"last\.pt is damaged"):
        make_engine(tmp_path).resume()

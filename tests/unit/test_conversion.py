"""Published checkpoints become ours, from real files on disk."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from avscli.checkpoints import load_network, read_info
from avscli.conversion import convert_official
from avscli.errors import CheckpointMismatchError, OutputError, UsageError, WeightsError
from avscli.networks.pcmanet import load_official
from tests.conftest import Avs
from tests.networks_for_tests import make_inputs
from tests.parity.published import baseline_weights, published_keys, rule_weights


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict with the published names, as the authors' training saves it."""
    path = tmp_path_factory.mktemp("published") / "S4_best.pth"
    torch.save(rule_weights(published_keys("s4_resnet"), 2), path)
    return path


def convert(
    source: Path, target: Path, *, vggish: Path | None = None, clip_length: int = 5
) -> None:
    convert_official(source, target, clip_length=clip_length, vggish=vggish, overwrite=False)


def test_a_converted_checkpoint_gives_the_published_networks_logits(published, tmp_path):
    target = tmp_path / "s4.safetensors"
    convert(published, target)
    draw = torch.Generator().manual_seed(0)
    frames = torch.randn(1, 5, 3, 64, 64, generator=draw)
    audio = torch.rand(1, 5, 128, generator=draw)
    official = load_official(published, clip_length=5)
    with torch.inference_mode():
        valid = torch.ones(1, 5, dtype=torch.bool)
        expected = official.network.forward_embeddings(frames, audio, valid).logits
        got = load_network(str(target)).forward_embeddings(frames, audio, valid).logits
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
    assert read_info(target).spec.architecture["variant"] == "official"


def test_with_vggish_a_converted_checkpoint_hears(published, tmp_path):
    vggish = tmp_path / "vggish.pth"
    torch.save(rule_weights(published_keys("vggish_pca"), 1), vggish)
    convert(published, tmp_path / "s4.safetensors", vggish=vggish)
    network = load_network(str(tmp_path / "s4.safetensors"))
    assert network.audio_encoder is not None
    assert network.audio_encoder(torch.zeros(1, 1, 96, 64)).shape == (1, 128)


def test_a_published_semantic_tpavi_is_told_by_its_keys_and_hears(tmp_path):
    source, vggish = tmp_path / "AVSS_best.pth", tmp_path / "vggish.pth"
    torch.save(baseline_weights("tpavi_avss_resnet", 2), source)
    torch.save(rule_weights(published_keys("vggish_pca"), 1), vggish)
    target = tmp_path / "avss.safetensors"
    convert(source, target, vggish=vggish, clip_length=10)
    spec = read_info(target).spec
    assert (spec.network, spec.num_classes, spec.clip_length) == ("tpavi", 71, 10)
    inputs = make_inputs(1, 10, (32, 32))
    inputs.valid[:, 5:] = False
    with torch.inference_mode():
        logits = load_network(str(target))(inputs).logits
    assert logits.shape == (1, 10, 71, 32, 32)
    assert logits[:, :5].isfinite().all()
    assert not logits[:, 5:].any()


def test_a_state_dict_of_no_known_network_is_a_mismatch(tmp_path):
    source = tmp_path / "x.pth"
    torch.save({"conv1.weight": torch.zeros(1)}, source)
    with pytest.raises(CheckpointMismatchError, match="no published network has the 1 keys"):
        convert(source, tmp_path / "y.safetensors")


@pytest.mark.parametrize("length", [1, 4, 7])
def test_other_clip_lengths_are_a_usage_error(published, tmp_path, length):
    with pytest.raises(UsageError, match="--clip-length"):
        convert(published, tmp_path / "x.safetensors", clip_length=length)


def test_an_existing_target_is_kept(published, tmp_path):
    target = tmp_path / "x.safetensors"
    target.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists"):
        convert(published, target)
    assert target.read_bytes() == b"precious"


def test_a_target_of_another_kind_is_a_usage_error(published, tmp_path):
    with pytest.raises(UsageError, match=r"\.safetensors"):
        convert(published, tmp_path / "x.pth")


def test_a_target_that_cannot_be_written_is_an_output_error(published, tmp_path):
    with pytest.raises(OutputError, match=r"missing/x\.safetensors"):
        convert(published, tmp_path / "missing" / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_is_no_checkpoint_leaves_no_target(tmp_path):
    source = tmp_path / "x.pth"
    source.write_text("not weights")
    with pytest.raises(WeightsError, match=r"x\.pth"):
        convert(source, tmp_path / "y.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["x.pth"]


def test_another_networks_state_dict_is_a_mismatch(tmp_path):
    source = tmp_path / "x.pth"
    torch.save({"resnet.conv1.weight": torch.zeros(64, 3, 7, 7)}, source)
    with pytest.raises(CheckpointMismatchError):
        convert(source, tmp_path / "y.safetensors")


def test_an_odd_pickle_protocol_is_not_warned_of(tmp_path, recwarn):
    magic, protocol, system, empty = (
        pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {}, {})
    )
    path = tmp_path / "x.pth"
    path.write_bytes(magic + protocol + system + b"\x80\x64" + empty[2:] + pickle.dumps([], 2))
    with pytest.raises(WeightsError):
        convert(path, tmp_path / "x.safetensors")
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.slow
def test_a_published_catr_becomes_ours_and_what_it_never_uses_is_told(avs: Avs, tmp_path):
    source, target = tmp_path / "best.pth", tmp_path / "catr.safetensors"
    weights = baseline_weights("catr_s4_pvt", 1)
    torch.save({f"module.{key}": value for key, value in weights.items()}, source)
    outcome = avs("models", "convert", source, target, "--clip-length", 5)
    assert outcome.code == 0, outcome.err
    assert "left out 74 tensors" in outcome.err
    assert "conv1, fusion_module, path1, path2, path3, path4, transformer" in outcome.err
    network = load_network(str(target))
    assert network.spec.architecture["queries"] == 50
    inputs = replace(make_inputs(1, 2, (32, 32)), embeddings=torch.rand(1, 2, 1, 128))
    with torch.inference_mode():
        assert network(inputs).logits.isfinite().all()
    del weights["spatial_decoder.gn2.bias"]
    torch.save(weights, source)
    refused = avs("models", "convert", source, target, "--clip-length", 5, "--overwrite")
    assert refused.code == 5
    assert "missing: spatial_decoder.gn2.bias" in refused.err

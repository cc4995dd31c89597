"""Checkpoints: what is written comes back, and what is damaged is refused by name."""

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from avscli import checkpoints, shipped
from avscli.datatypes import OperatingPoint
from avscli.errors import (
    CheckpointMismatchError,
    ExitCode,
    OutputError,
    UnknownNetworkError,
    UsageError,
    WeightsError,
)
from tests.networks_for_tests import TINY_SPEC, make_inputs, make_network, save_tiny


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


def test_a_saved_network_comes_back_with_its_spec_and_bits(tiny):
    loaded, original = checkpoints.load_network(str(tiny)), make_network()
    assert loaded.spec == TINY_SPEC
    for name, value in original.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_operating_points_travel_in_the_checkpoint(tmp_path):
    points = {
        "recall": OperatingPoint(0.2, 0.0),
        "balanced": OperatingPoint(TINY_SPEC.threshold, TINY_SPEC.region_threshold),
        "precision": OperatingPoint(0.8, 0.9),
    }
    spec = dataclasses.replace(TINY_SPEC, operating_points=points)
    loaded = checkpoints.read_info(save_tiny(tmp_path / "x.safetensors", make_network(spec))).spec
    assert loaded == spec
    assert {name: loaded.operating_point(name) for name in points} == points


def test_without_operating_points_the_thresholds_are_the_only_one():
    spec = dataclasses.replace(TINY_SPEC, threshold=0.4, region_threshold=0.7)
    assert spec.operating_point("balanced") == OperatingPoint(0.4, 0.7)
    with pytest.raises(UsageError, match="--prefer recall, only: balanced") as caught:
        spec.operating_point("recall")
    assert "leave --prefer out" in caught.value.hint


def test_the_memory_layout_of_a_loaded_network_does_not_show_in_its_logits(tiny):
    loaded, original = checkpoints.load_network(str(tiny)), make_network()
    with torch.inference_mode():
        ours, expected = loaded(make_inputs()).logits, original(make_inputs()).logits
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


def test_half_precision_halves_the_file_and_comes_back_as_float32(tiny, tmp_path):
    path = save_tiny(tmp_path / "half.safetensors", dtype=torch.float16)
    assert path.stat().st_size < 0.55 * tiny.stat().st_size
    loaded = checkpoints.load_network(str(path)).state_dict()
    for name, value in make_network().state_dict().items():
        torch.testing.assert_close(loaded[name], value.half().to(value.dtype), atol=0, rtol=0)


def test_the_information_is_read_without_building_a_network(tiny):
    info = checkpoints.read_info(tiny)
    assert info.name == "tiny"
    assert info.sha256 == hashlib.sha256(tiny.read_bytes()).hexdigest()
    expected = sum(value.numel() for value in make_network().state_dict().values())
    assert info.num_parameters == expected


def test_a_loaded_network_is_ready_for_inference(tiny):
    network = checkpoints.load_network(str(tiny))
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    assert network.checkpoint == checkpoints.read_info(tiny)


def test_a_golden_passes_on_the_machine_that_wrote_it_and_fails_for_other_weights(tmp_path):
    path = save_tiny(tmp_path / "tiny.safetensors", golden_inputs=make_inputs(1))
    assert checkpoints.verify(str(path)).passed
    golden = checkpoints.golden_path(path).read_bytes()
    other = make_network()
    with torch.no_grad():
        other.heads[0][-1].bias.add_(1.0)
    save_tiny(path, other)
    checkpoints.golden_path(path).write_bytes(golden)
    verification = checkpoints.verify(str(path))
    assert verification.max_logit_difference == pytest.approx(1.0, abs=0.01)
    with pytest.raises(WeightsError, match="other logits"):
        checkpoints.require_verified(str(path))


def test_a_golden_is_gone_with_the_checkpoint_that_it_belonged_to(tmp_path):
    path = save_tiny(tmp_path / "tiny.safetensors", golden_inputs=make_inputs(1))
    save_tiny(path)
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.safetensors"]


def test_a_checkpoint_whose_golden_cannot_be_written_is_not_written_either(tmp_path):
    (tmp_path / "tiny.golden.safetensors" / "in the way").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"cannot write .*tiny\.safetensors"):
        save_tiny(tmp_path / "tiny.safetensors", golden_inputs=make_inputs(1))
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.golden.safetensors"]


def test_a_file_that_is_named_like_shipped_weights_is_not_taken_for_them(tmp_path):
    path = save_tiny(tmp_path / "pcmanet-mini.safetensors", golden_inputs=make_inputs(1))
    assert checkpoints.verify(str(path)).passed


def test_shipped_weights_of_another_hash_are_damaged_whatever_they_call_themselves(
    tmp_path, monkeypatch
):
    save_tiny(tmp_path / "tiny.safetensors")
    monkeypatch.setattr(shipped, "weights_folder", lambda: tmp_path)
    (tmp_path / "index.toml").write_text(
        f'[shipped]\nfile = "tiny.safetensors"\nsha256 = "{"0" * 64}"\n'
        'num_bytes = 1\nlicence = ""\nsummary = ""\n'
    )
    with pytest.raises(WeightsError, match="damaged"):
        checkpoints.load_network("shipped")


def test_a_spec_that_describes_no_network_is_a_mismatch(tmp_path):
    spec = dataclasses.replace(TINY_SPEC, architecture={"backbone": "mobilenet_v2"})
    path = tmp_path / "x.safetensors"
    info = {"name": "x", "trained_on": [], "scores": {}, "licence": "", "source": ""}
    checkpoints.save_checkpoint(path, {}, {**info, "spec": spec})
    with pytest.raises(CheckpointMismatchError, match="audio_encoder"):
        checkpoints.load_network(str(path))


def with_points(**points: object) -> dict[str, object]:
    return {"spec": dataclasses.asdict(TINY_SPEC) | {"operating_points": points}}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scores": []}, "scores is"),
        ({"name": 3}, "name is 3"),
        ({"format_version": "2"}, "format_version"),
        ({"spec": {"network": "pcmanet"}}, "spec lacks"),
        ({"spec": dataclasses.asdict(TINY_SPEC) | {"clip_length": 10**9}}, "clip_length"),
        ({"spec": dataclasses.asdict(TINY_SPEC) | {"pixel_std": [1, 0, 1]}}, "pixel_std"),
        ({"spec": dataclasses.asdict(TINY_SPEC) | {"frame_size_hw": [64, 10**6]}}, "frame_size"),
        ({"spec": dataclasses.asdict(TINY_SPEC) | {"seconds_per_step": -1.0}}, "seconds_per"),
        ({"spec": dataclasses.asdict(TINY_SPEC) | {"threshold": 1.0}}, "threshold"),
        ({"spec": dataclasses.asdict(TINY_SPEC) | {"temperature": 0.0}}, "temperature"),
        (with_points(recall={"threshold": 0.0, "region_threshold": 0.5}), "threshold must"),
        (with_points(recall={"threshold": 0.5, "region_threshold": 1.0}), "region_threshold must"),
        (with_points(recall={"threshold": 0.5}), "operating_points.recall lacks"),
        (with_points(recall=0.5), "operating_points.recall is 0.5"),
        (with_points(balanced={"threshold": 0.9, "region_threshold": 0.0}), "must equal"),
    ],
)
def test_metadata_of_another_kind_is_a_weights_error_that_names_the_field(tmp_path, change, says):
    path = save_tiny(tmp_path / "tiny.safetensors")
    with safe_open(str(path), framework="pt") as file:
        metadata = json.loads(file.metadata()["avscli"])
    save_file(load_file(path), path, {"avscli": json.dumps(metadata | change)})
    with pytest.raises(WeightsError, match=rf"metadata is malformed: .*{says}"):
        checkpoints.read_info(path)


@pytest.mark.parametrize(
    "change",
    [
        {"channels": 10**6},
        {"channels": 33},
        {"avga_heads": 5},
        {"qsca_heads": 0},
        {"channels": "x"},
    ],
)
def test_a_network_that_would_fill_the_memory_is_not_built(tmp_path, change):
    spec = dataclasses.replace(TINY_SPEC, architecture={**TINY_SPEC.architecture, **change})
    info = {"name": "x", "trained_on": [], "scores": {}, "licence": "", "source": ""}
    path = tmp_path / "x.safetensors"
    checkpoints.save_checkpoint(path, {}, {**info, "spec": spec})
    with pytest.raises(CheckpointMismatchError, match="describes no pcmanet network"):
        checkpoints.load_network(str(path))


@pytest.mark.parametrize("name", ["frames", "log_mel", "valid", "logits"])
def test_a_golden_whose_tensors_do_not_belong_together_is_damaged(tmp_path, name):
    path = save_tiny(tmp_path / "tiny.safetensors", golden_inputs=make_inputs(1))
    golden = checkpoints.golden_path(path)
    tensors = load_file(golden)
    save_file(tensors | {name: tensors[name][:, :1].contiguous()}, golden)
    with pytest.raises(WeightsError, match="is damaged"):
        checkpoints.verify(str(path))
    save_file(tensors | {name: tensors[name].flatten()}, golden)
    with pytest.raises(WeightsError, match="is damaged"):
        checkpoints.verify(str(path))


def damaged_header(path: Path) -> None:
    path.write_bytes(b"\xff" * 100)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def without_metadata(path: Path) -> None:
    save_file(load_file(path), path)


@pytest.mark.parametrize("damage", [damaged_header, truncated, without_metadata])
def test_a_damaged_file_is_a_weights_error_that_names_it(tmp_path, damage):
    path = save_tiny(tmp_path / "tiny.safetensors")
    damage(path)
    with pytest.raises(WeightsError, match=r"tiny\.safetensors") as caught:
        checkpoints.load_network(str(path))
    assert caught.value.exit_code == ExitCode.BAD_WEIGHTS
    assert caught.value.hint


def test_missing_tensors_are_named(tmp_path):
    network = make_network()
    state = network.state_dict()
    del state["heads.0.0.weight"]
    info = {
        "name": "x",
        "spec": TINY_SPEC,
        "trained_on": [],
        "scores": {},
        "licence": "",
        "source": "",
    }
    checkpoints.save_checkpoint(tmp_path / "x.safetensors", state, info)
    with pytest.raises(CheckpointMismatchError, match=r"heads\.0\.0\.weight"):
        checkpoints.load_network(str(tmp_path / "x.safetensors"))


def test_a_newer_format_says_upgrade(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "FORMAT_VERSION", 99)
    path = save_tiny(tmp_path / "tiny.safetensors")
    monkeypatch.undo()
    with pytest.raises(WeightsError, match="format 99") as caught:
        checkpoints.read_info(path)
    assert "upgrade" in caught.value.hint


def test_an_older_format_still_loads(tmp_path):
    path = save_tiny(tmp_path / "tiny.safetensors")
    with safe_open(str(path), framework="pt") as file:
        metadata = json.loads(file.metadata()["avscli"])
    metadata["format_version"] = 1
    for later in ("sound_offsets_seconds", "operating_points"):
        del metadata["spec"][later]
    save_file(load_file(path), path, {"avscli": json.dumps(metadata)})
    assert checkpoints.load_network(str(path)).spec == TINY_SPEC


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UnknownNetworkError) as caught:
        shipped.find_checkpoint("pcmanet-mimi")
    assert "pcmanet-mini" in caught.value.hint


def test_a_missing_file_is_not_taken_for_a_name(tmp_path):
    with pytest.raises(UnknownNetworkError, match="no checkpoint file"):
        shipped.find_checkpoint(str(tmp_path / "absent.safetensors"))


@pytest.mark.weights
@pytest.mark.parametrize("entry", shipped.list_shipped(), ids=lambda e: e.name)
def test_shipped_weights_are_what_the_index_says_and_pass_their_golden(entry):
    path = shipped.weights_folder() / entry.file
    assert path.stat().st_size == entry.num_bytes <= 30_000_000
    assert shipped.sha256_of(path) == entry.sha256
    assert checkpoints.require_verified(entry.name).passed
    assert (shipped.weights_folder() / f"{entry.name}.md").is_file(), "a model card is due"

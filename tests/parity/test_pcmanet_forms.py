"""The six published forms load by themselves and behave as the published code is known to.

No reference numbers exist for four of them; their weights follow the rule, their key tables are
those of the two measured forms changed by the known differences. Frames are 64 × 64 to be quick:
every stage still has its own grid.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from avscli.errors import CheckpointMismatchError, UsageError, WeightsError
from avscli.networks.pcmanet import load_official
from avscli.networks.pcmanet.official import OfficialOutput, OfficialPCMANet
from avscli.networks.pcmanet.remap import PublishedForm, infer_form, read_published
from tests.parity.published import S4_SEEDS, published_keys, rule_weights

Shapes = dict[str, tuple[int, ...]]
FORMS = [(task, encoder) for task in ("s4", "ms3", "avss") for encoder in ("pvt", "resnet")]
WITHOUT_REFERENCE = FORMS[2:]
CLIP_LENGTH = {"s4": 5, "ms3": 5, "avss": 10}
MEASURED_PARAMETERS = {  # of the published models
    ("s4", "pvt"): 95.069e6,
    ("s4", "resnet"): 65.751e6,
    ("ms3", "pvt"): 95.069e6,
    ("ms3", "resnet"): 65.685e6,
    ("avss", "pvt"): 95.105e6,
    ("avss", "resnet"): 65.721e6,
}
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def form_keys(task: str, encoder: str) -> Shapes:
    keys = published_keys(f"s4_{encoder}")
    for stage in (1, 2, 3, 4):
        if task != "s4":  # 8 heads everywhere but in S4 with ResNet
            keys[f"avga{stage}.seq1.0.weight"] = (256, 32, 1, 1)
            keys[f"avga{stage}.fc.1.weight"] = (32, 256)
            keys[f"avga{stage}.fc.1.bias"] = (32,)
        if task == "avss":
            keys[f"output_conv{stage}.3.weight"] = (71, 128, 1, 1)
            keys[f"output_conv{stage}.3.bias"] = (71,)
    if (task, encoder) == ("ms3", "pvt"):
        keys = {key.replace("aud_fc1.", "aud_fc."): shape for key, shape in keys.items()}
    return keys


def form_weights(task: str, encoder: str) -> dict[str, torch.Tensor]:
    return rule_weights(form_keys(task, encoder), S4_SEEDS[encoder])


def empty(keys: Shapes) -> dict[str, torch.Tensor]:
    return {key: torch.empty(shape, device="meta") for key, shape in keys.items()}


@pytest.mark.parametrize(("task", "encoder"), FORMS)
def test_key_tables_have_the_measured_number_of_parameters(task: str, encoder: str) -> None:
    keys = form_keys(task, encoder)
    count = sum(torch.Size(shape).numel() for k, shape in keys.items() if not k.endswith(BUFFERS))
    assert count == pytest.approx(MEASURED_PARAMETERS[task, encoder], abs=500)


@pytest.mark.parametrize(("task", "encoder"), FORMS)
def test_forms_are_told_from_their_state_dict(task: str, encoder: str) -> None:
    form = infer_form(read_published(empty(form_keys(task, encoder))))
    assert form == PublishedForm(
        backbone="pvt_v2_b5" if encoder == "pvt" else "resnet50",
        channels=256,
        avga_heads=4 if (task, encoder) == ("s4", "resnet") else 8,
        num_classes=71 if task == "avss" else 1,
    )


@pytest.fixture(scope="module", params=WITHOUT_REFERENCE, ids="-".join)
def model(request: pytest.FixtureRequest) -> OfficialPCMANet:
    task, encoder = request.param
    return load_official(form_weights(task, encoder), clip_length=CLIP_LENGTH[task])


@pytest.fixture(scope="module")
def clips(model: OfficialPCMANet) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two clips; the last steps of the second are padding."""
    T = model.spec.clip_length
    draws = torch.Generator().manual_seed(5)
    frames = torch.randn(2, T, 3, 64, 64, generator=draws)
    audio = torch.randn(2, T, 128, generator=draws).relu()
    valid = torch.ones(2, T, dtype=torch.bool)
    valid[1, T // 2 :] = False
    return frames, audio, valid


@pytest.fixture(scope="module")
def output(
    model: OfficialPCMANet, clips: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
) -> OfficialOutput:
    return model.forward_stages(*clips)


def assert_logits_close(one: OfficialOutput, other: OfficialOutput, *, atol: float) -> None:
    torch.testing.assert_close(one.logits, other.logits, rtol=0, atol=atol)


def clip_of(output: OfficialOutput, index: int) -> OfficialOutput:
    logits = [stage[index : index + 1] for stage in output.logits]
    return OfficialOutput(logits, output.selected)


def test_four_maps_come_at_frame_size(model: OfficialPCMANet, output: OfficialOutput) -> None:
    spec = model.spec
    expected = [(2, spec.clip_length, spec.num_classes, 64, 64)] * 4
    assert [tuple(stage.shape) for stage in output.logits] == expected
    assert all(torch.isfinite(stage).all() for stage in output.logits)
    assert output.selected.shape == (3,)
    assert ((output.selected > 0) & (output.selected <= 1)).all()
    assert not model.training


def test_a_clip_does_not_depend_on_the_other(
    model: OfficialPCMANet,
    clips: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    output: OfficialOutput,
) -> None:
    frames, audio, valid = (values.clone() for values in clips)
    frames[0], audio[0] = -frames[0], audio[0].flip(0)
    changed = model.forward_stages(frames, audio, valid)
    assert_logits_close(clip_of(changed, 1), clip_of(output, 1), atol=2.4e-7)


def test_a_clip_does_not_depend_on_the_batch_size(
    model: OfficialPCMANet,
    clips: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    output: OfficialOutput,
) -> None:
    alone = model.forward_stages(*(values[1:] for values in clips))
    # Another batch size means other matrix kernels; the rule's weights amplify their rounding.
    assert_logits_close(alone, clip_of(output, 1), atol=5e-4)


def test_only_the_semantic_form_heeds_padding(
    model: OfficialPCMANet,
    clips: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    output: OfficialOutput,
) -> None:
    frames, audio, valid = clips
    noise = torch.where(valid[:, :, None, None, None], frames, -frames)
    unheard = torch.where(valid[:, :, None], audio, 1.0 + audio)
    other_padding = model.forward_stages(noise, unheard, valid)
    unpadded = model.forward_stages(frames, audio)
    if model.spec.task == "semantic":
        assert_logits_close(other_padding, output, atol=2.4e-7)
        # Padded sounds stay keys of the attention, so real steps do feel that they are there.
        assert not torch.allclose(unpadded.logits[0][1, 0], output.logits[0][1, 0], atol=1e-2)
    else:
        assert_logits_close(unpadded, output, atol=0.0)
    assert_logits_close(clip_of(unpadded, 0), clip_of(output, 0), atol=2.4e-7)


def test_shapes_that_do_not_fit_are_refused(model: OfficialPCMANet) -> None:
    T = model.spec.clip_length
    frames, audio = torch.zeros(1, T, 3, 64, 64), torch.zeros(1, T, 128)
    with pytest.raises(UsageError, match=rf"\[B, {T}, 3, H, W\], got \[1, {T - 1}, 3, 64, 64\]"):
        model.forward_stages(frames[:, 1:], audio[:, 1:])
    with pytest.raises(UsageError, match="multiples of 32, got 64×63"):
        model.forward_stages(frames[..., :63], audio)
    with pytest.raises(UsageError, match="audio must be"):
        model.forward_stages(frames, audio[:, 1:])
    with pytest.raises(UsageError, match="audio must be"):
        model.forward_stages(frames, audio, torch.ones(T, dtype=torch.bool))


@pytest.fixture(scope="module")
def ms3_resnet() -> dict[str, torch.Tensor]:
    return form_weights("ms3", "resnet")


def test_a_file_of_a_parallel_wrapper_loads_like_the_state_dict(
    ms3_resnet: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    dead = ("gf4.seq2.", "resnet.layer3_2.", "resnet.layer4_2.")
    lean = {f"module.{k}": v for k, v in ms3_resnet.items() if not k.startswith(dead)}
    path = tmp_path / "published.pth"
    torch.save(lean, path)
    from_file = load_official(path, clip_length=5).state_dict()
    from_memory = load_official(ms3_resnet, clip_length=5).state_dict()
    torch.testing.assert_close(from_file, from_memory, rtol=0, atol=0)


def test_older_names_of_the_same_layers_are_understood() -> None:
    weight = torch.ones(1)
    older = {"aud_fc.weight": weight, "module.avga3.fc1.0.bias": weight, "gf4.seq2.0.bias": weight}
    assert set(read_published(older)) == {"aud_fc1.weight", "avga3.fc.0.bias"}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda w: w.pop("gf2.seq3.0.bias"), r"missing: gf2\.seq3\.0\.bias$"),
        (lambda w: w.update({"tpavi.W": torch.ones(1)}), r"unexpected: tpavi\.W$"),
        (
            lambda w: w.update({"conv2.0.bias": torch.ones(7)}),
            r"of another shape: conv2\.0\.bias \[7\] instead of \[256\]$",
        ),
        (lambda w: w.pop("avga4.fc.1.weight"), r"missing: avga4\.fc\.1\.weight$"),
    ],
    ids=["missing", "unexpected", "misshapen", "telling"],
)
def test_a_state_dict_that_does_not_fit_is_refused(
    ms3_resnet: dict[str, torch.Tensor],
    spoil: Callable[[dict[str, torch.Tensor]], object],
    message: str,
) -> None:
    spoiled = dict(ms3_resnet)
    spoil(spoiled)
    with pytest.raises(CheckpointMismatchError, match=message):
        load_official(spoiled, clip_length=5)


def test_another_networks_state_dict_is_refused() -> None:
    with pytest.raises(CheckpointMismatchError, match=r"encoder_backbone\., resnet\."):
        load_official({"fc.weight": torch.ones(1)}, clip_length=5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a checkpoint", "cannot read"),
        (b"", "cannot read"),
        (b"PK\x03\x04", "cannot read"),  # the start of an archive
        (b"\x80\x02q\xff", "cannot read"),  # the start of a pickle
        (None, "No such file"),
    ],
    ids=["text", "empty", "cut archive", "cut pickle", "missing"],
)
def test_a_file_that_is_no_checkpoint_is_refused(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "published.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        load_official(path, clip_length=5)


class Dangerous:
    """An object whose unpickling would run code."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return exec, ("raise AssertionError('ran')",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Dangerous(), "cannot read"),
        ([1, 2], "holds list"),
        ({"epoch": 3}, "holds dict"),
        ({1: torch.ones(1)}, "holds dict"),
    ],
    ids=["code", "list", "other dict", "numbered dict"],
)
def test_a_file_without_a_state_dict_is_refused(
    tmp_path: Path, content: object, message: str
) -> None:
    path = tmp_path / "published.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError, match=message):
        load_official(path, clip_length=5)

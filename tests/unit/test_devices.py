"""Devices: what is asked for is honoured or refused, and memory that runs out halves the batch."""

import dataclasses

import pytest
import torch

from avscli import devices
from avscli.arithmetic import CACHE_VARIABLE
from avscli.checkpoints import load_network
from avscli.datatypes import NetworkInput, SourceLogits
from avscli.devices import TorchRuntime, choose_device, choose_precision, start
from avscli.errors import DeviceError, ExitCode, WeightsError
from avscli.networks.folding import FusedConvolution
from tests.networks_for_tests import TINY_SPEC, make_inputs, make_network, save_tiny


class ShortOfMemory(torch.nn.Module):
    """A real network on a device that holds at most two clips."""

    def __init__(self) -> None:
        super().__init__()
        self.network = make_network()
        self.spec = self.network.spec
        self.fits = 2

    def forward(self, inputs: NetworkInput):
        if len(inputs.valid) > self.fits:
            raise torch.OutOfMemoryError("out of memory")
        return self.network(inputs)


@pytest.mark.parametrize("wanted", ["gpu", "tpu:0", "cuda:99"])
def test_a_device_that_is_named_and_does_not_work_is_an_error(wanted):
    with pytest.raises(DeviceError, match=wanted.split(":")[0]) as caught:
        choose_device(wanted, warn=pytest.fail)
    assert caught.value.exit_code == ExitCode.DEVICE
    assert caught.value.hint


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_auto_takes_the_cpu_without_a_word_where_there_is_nothing_else():
    assert choose_device("auto", warn=pytest.fail) in ("cpu", "mps")


def test_running_out_of_memory_halves_the_batch_says_so_once_and_gives_the_same_numbers():
    warnings: list[str] = []
    network, inputs = ShortOfMemory(), make_inputs(8)
    runtime = TorchRuntime(network, "cpu", "fp32", 8, warnings.append)
    with torch.inference_mode():
        expected = network.network(inputs).logits
    torch.testing.assert_close(runtime.forward(inputs).logits, expected, atol=1e-5, rtol=1e-4)
    assert runtime.clips_at_once == 2
    runtime.forward(inputs)
    assert len([w for w in warnings if "out of memory" in w]) == 1


def test_a_clip_that_does_not_fit_alone_is_a_device_error():
    network = ShortOfMemory()
    network.fits = 0
    runtime = TorchRuntime(network, "cpu", "fp32", 4, lambda _message: None)
    with pytest.raises(DeviceError, match="one clip") as caught:
        runtime.forward(make_inputs(4))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("precision", "kind"), [("fp32", WeightsError), ("bf16", DeviceError)], ids=["fp32", "bf16"]
)
def test_logits_that_are_not_numbers_end_the_run_instead_of_becoming_masks(precision, kind):
    network = make_network()
    with torch.no_grad():
        network.heads[0][-1].bias.fill_(torch.nan)
    runtime = TorchRuntime(network, "cpu", precision, 1, pytest.fail)
    with pytest.raises(kind, match=f"not numbers in {precision}") as caught:
        runtime.forward(make_inputs(1))
    assert caught.value.hint


def test_what_padded_steps_hold_is_nobodys_business():
    network = make_network()
    forward = network.forward

    def with_a_padded_step(inputs: NetworkInput):
        output = forward(inputs)
        output.logits[:, -1] = torch.nan
        return output

    network.forward = with_a_padded_step
    inputs = make_inputs(2)
    inputs.valid[:, -1] = False
    logits = TorchRuntime(network, "cpu", "fp32", 2, pytest.fail).forward(inputs).logits
    assert logits[:, -1].isnan().all()
    assert not logits[:, :-1].isnan().any()


def test_a_precision_that_is_asked_for_is_not_measured():
    assert choose_precision("fp16", "cpu", pytest.fail) == "fp16"
    assert choose_precision("auto", "cpu", None) == "fp32"


@pytest.mark.parametrize(("shift", "agree"), [(0.0, True), (5.0, False)], ids=["same", "other"])
def test_a_golden_says_whether_an_arithmetic_gives_the_same_masks(monkeypatch, shift, agree):
    told = {}

    def choose(wanted, device, has_golden_masks):
        told.update({each: has_golden_masks(each) for each in ("fp32", "bf16")})
        return "fp32"

    monkeypatch.setattr(devices, "choose_precision", choose)
    spec = dataclasses.replace(TINY_SPEC, threshold=0.9, temperature=4.0)
    network, inputs = make_network(spec), make_inputs(1)
    with torch.no_grad():
        network.heads[0][-1].bias.fill_(8.0)  # below the cutoff of 8.79, and so without a mask …
        stored = network(inputs).logits + shift  # … or above it, and marked everywhere
    start(network, "cpu", golden=(inputs, stored), warn=pytest.fail)
    assert told == {"fp32": agree, "bf16": agree}


def test_a_checkpoint_is_measured_once_on_a_machine(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    path = save_tiny(tmp_path / "tiny.safetensors")
    inputs = make_inputs(1)
    golden = inputs, load_network(str(path))(inputs).logits
    first = start(load_network(str(path)), "cpu", golden=golden, warn=pytest.fail)
    monkeypatch.setattr(devices, "choose_precision", lambda *_arguments: pytest.fail("again"))
    again = start(load_network(str(path)), "cpu", golden=golden, warn=pytest.fail)
    assert again.precision == first.precision


def test_a_network_without_a_golden_runs_in_float32_on_a_cpu():
    runtime = start(make_network(), "cpu", warn=pytest.fail)
    assert runtime.precision == "fp32"
    assert runtime.facts()["device"] == "cpu"


def test_bfloat16_outputs_are_float32_and_close():
    network, inputs = make_network(), make_inputs(1)
    exact = TorchRuntime(network, "cpu", "fp32", 1, pytest.fail).forward(inputs).logits
    rough = TorchRuntime(network, "cpu", "bf16", 1, pytest.fail).forward(inputs).logits
    assert rough.dtype == torch.float32
    assert 0.0 < (exact - rough).abs().max() < 0.1 * exact.abs().max() + 0.1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_gives_the_cpus_numbers():
    network, inputs = make_network(), make_inputs(2)
    expected = TorchRuntime(network, "cpu", "fp32", 2, pytest.fail).forward(inputs).logits
    network.to("cuda")
    got = TorchRuntime(network, "cuda", "fp32", 2, pytest.fail).forward(inputs).logits
    torch.testing.assert_close(got, expected, atol=1e-3, rtol=1e-3)


class Telling(torch.nn.Module):
    """A real network that also tells its sources, in half precision."""

    def __init__(self) -> None:
        super().__init__()
        self.network = make_network()
        self.spec = self.network.spec

    def forward(self, inputs: NetworkInput):
        B, T = inputs.valid.shape
        numbers = torch.arange(B * T * 2.0).reshape(B, T, 2).half()
        sources = SourceLogits(
            numbers[..., None, None], inputs.frames.mean(dim=(2, 3, 4))[..., None]
        )
        return dataclasses.replace(self.network(inputs), sources=sources)


@pytest.mark.parametrize("batch_clips", [8, 3])
def test_what_a_network_says_of_its_sources_comes_through_in_parts_too(batch_clips):
    inputs = make_inputs(8)
    sources = (
        TorchRuntime(Telling(), "cpu", "fp32", batch_clips, pytest.fail).forward(inputs).sources
    )
    assert sources is not None
    assert (sources.picture.dtype, sources.picture.shape) == (torch.float32, (8, 3, 2, 1, 1))
    torch.testing.assert_close(sources.sound[..., 0], inputs.frames.mean(dim=(2, 3, 4)))


def test_a_network_that_is_started_on_the_cpu_has_its_activations_fused():
    network = make_network()
    start(network, "cpu", precision="fp32", warn=pytest.fail)
    kinds = {type(module) for module in network.modules()}
    assert FusedConvolution in kinds
    assert torch.nn.BatchNorm2d not in kinds
